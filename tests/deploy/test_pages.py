"""The pages of deploy/ and terraform/: blocks that begin with "# run" are run, of the others the syntax and the files they name are checked."""

import os
import re
import subprocess

import pytest

from support.kubernetes import helm, kubectl
from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD, needs

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
PAGES = sorted(path for folder in ("deploy", "terraform", "grafana") for path in (ROOT / folder).rglob("*.md") if "node_modules" not in path.parts)
FOLDERS = r"(?:deploy|terraform|grafana|configs|tests|core|plugins|sdk)"


def blocks(page, language="sh"):
    return [re.sub(r"^ {2}", "", block, flags=re.M) if indent else block for indent, block in re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.S | re.M)]


def named(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_well_formed(page, tmp_path):
    for number, block in enumerate(blocks(page)):
        path = tmp_path / f"{number}.sh"
        path.write_text("#!/usr/bin/env bash\n" + block)
        run = subprocess.run(["shellcheck", "--exclude=SC2164,SC2154", str(path)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout
        for name in re.findall(rf"(?<![\w/.-])({FOLDERS}/[\w./-]+)", block):
            assert (ROOT / name.rstrip("/.")).exists() or name.endswith("sealed-secret.yaml"), f"{page}: {name}"


def runnable():
    return [(page, block) for page in PAGES for block in blocks(page) if block.startswith("# run\n")]


@pytest.mark.parametrize("page, block", runnable(), ids=lambda value: named(value) if hasattr(value, "relative_to") else "")
def test_commands_run(page, block):
    if "terraform " in block:
        needs("terraform")
    tools = os.pathsep.join(str(tool().parent) for tool in (kubectl, helm))
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=ROOT, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("$") or (page.parent / target).exists(), f"{page}: {target}"  # $: of a template


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_is_well_formed(page):
    import yaml

    for block in blocks(page, "yaml"):
        list(yaml.safe_load_all(block))
