"""The pages of deploy/, terraform/ and grafana/: their commands are run here, by another test, or cannot be run here; each is well formed."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

from support.kubernetes import helm, kubectl
from support.pages import PAGES, blocks, elsewhere, runs
from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD, needs

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
FOLDERS = r"(?:deploy|terraform|grafana|configs|tests|core|plugins|sdk)"
HERE = "tests/deploy/test_pages.py"


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
            assert (ROOT / name.rstrip("/.")).exists() or name.endswith("sealed-secret.yaml") or name.startswith("deploy/compose/secrets/"), f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_can_be_run_is(page):
    for block in blocks(page):
        test = runs(block)
        if not test:
            assert elsewhere(block), f"{named(page)}: nobody runs this, and nothing in it keeps a test from it:\n{block}"
        elif test != HERE:
            assert f'run_by("{pathlib.Path(test).name}", "{named(page)}")' in (ROOT / test).read_text(), f"{named(page)} says that {test} runs it"


def test_what_counts_as_elsewhere():
    assert not any(map(elsewhere, ("deploy/cost/cost --check\n", "kubectl kustomize deploy/k8s/overlays/prod\n", "helm template titanic-api deploy/helm/titanic-api\n", "terraform fmt -check\n", "git blame az\n", "echo a baz b\n")))
    assert all(map(elsewhere, ("az login\n", 'x="$(az account show)"\n', "cat k | kubectl apply -f -\n", "cd a\nterraform init\n", "  kubectl get pods\n")))


@pytest.fixture
def clone(tmp_path):
    """This tree as a commit of its own, with somewhere to push to."""
    folder, origin = tmp_path / "clone", tmp_path / "origin"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = "\0".join(name for name in listed.split("\0") if name and os.path.lexists(ROOT / name))
    folder.mkdir()
    subprocess.run(["xargs", "-0", "cp", "--parents", "--no-dereference", "-t", str(folder)], cwd=ROOT, input=names, check=True, text=True)
    subprocess.run(["git", "init", "-q", "--bare", str(origin)], check=True)
    git = lambda *words: subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
    git("init", "-q")
    git("config", "user.name", "release")
    git("config", "user.email", "release@titanic.example")
    git("add", "-A")
    git("commit", "-q", "-m", "as it stands")
    git("remote", "add", "origin", str(origin))
    git("push", "-q", "--set-upstream", "origin", "HEAD")
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if any(runs(block) == HERE for block in blocks(page))], ids=named)
def test_commands_run(page, clone):
    """One after the other, from the top of the tree."""
    tools = os.pathsep.join({str(tool().parent) for tool in (kubectl, helm)})
    for block in (block for block in blocks(page) if runs(block) == HERE):
        if "terraform " in block:
            needs("terraform")
        run = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=clone, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, f"{block}\n{run.stdout}{run.stderr}"
    ahead = subprocess.run(["git", "status", "--short", "--branch", "--untracked-files=no"], cwd=clone, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(ahead) == 1 and "ahead" not in ahead[0], f"left without a commit or a push: {ahead}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("$") or (page.parent / target).exists(), f"{page}: {target}"  # $: of a template


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_is_well_formed(page):
    for block in blocks(page, "yaml"):
        list(yaml.safe_load_all(block))
