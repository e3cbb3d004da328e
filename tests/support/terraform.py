"""Terraform itself, with providers of which nothing is real but their schema (tests/node/terraform)."""

import json
import os
import re
import shutil
import subprocess

from support.servers import ROOT

TERRAFORM = ROOT / "terraform"
MODULES = sorted(path.name for path in (TERRAFORM / "modules").iterdir() if path.is_dir())
ENVIRONMENTS = ("dev", "staging", "prod")


def resources():
    """What the files name: azurerm_redis_cache, data.azurerm_client_config."""
    found = set()
    for path in TERRAFORM.rglob("*.tf"):
        for kind, name in re.findall(r'^(resource|data) "(\w+)"', path.read_text(), re.M):
            found.add(name if kind == "resource" else f"data.{name}")
    return sorted(found)


class Terraform:
    def __init__(self, folder):
        self.folder = folder / "terraform"
        shutil.copytree(TERRAFORM, self.folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        self.providers = subprocess.Popen(["node", str(ROOT / "tests/node/terraform/provider.mjs"), *resources()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.environment = {**os.environ, "TF_REATTACH_PROVIDERS": self.providers.stdout.readline(), "TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}

    def run(self, folder, *words):
        return subprocess.run(["terraform", f"-chdir={self.folder / folder}", words[0], "-no-color", *words[1:]], env=self.environment, capture_output=True, text=True, timeout=300)

    def ready(self, folder):
        run = self.run(folder, "init", "-backend=false", "-input=false")
        assert run.returncode == 0, run.stdout + run.stderr

    def plan(self, environment, *more):
        """The plan of an environment with the variables of its example, and of `more` that it names in comments, as Terraform shows it."""
        folder = f"environments/{environment}"
        here = self.folder / folder
        example = (here / "terraform.tfvars.example").read_text()
        for name in more:
            assert f"\n# {name} = " in example, name
            example = example.replace(f"\n# {name} = ", f"\n{name} = ")
        (here / "terraform.tfvars").write_text(example)
        (here / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        init = self.run(folder, "init", "-input=false")
        assert init.returncode == 0, init.stdout + init.stderr
        plan = self.run(folder, "plan", "-input=false", "-lock=false", "-out=plan")
        assert plan.returncode == 0, plan.stdout + plan.stderr
        return json.loads(self.run(folder, "show", "-json", "plan").stdout)

    def close(self):
        self.providers.stdin.close()
        self.providers.wait(timeout=30)


def planned(plan):
    """What will be there: address to values, with `type`."""
    found = {}

    def walk(module):
        for resource in module.get("resources", []):
            found[resource["address"]] = {**resource["values"], "type": resource["type"]}
        for child in module.get("child_modules", []):
            walk(child)

    walk(plan["planned_values"]["root_module"])
    return found
