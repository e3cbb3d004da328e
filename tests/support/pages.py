"""The pages of deploy/, terraform/ and grafana/, and their blocks of commands.

A block's first line says who runs it: "# run" test_pages.py, as it stands, in a clone; "# run by tests/deploy/FILE" that
test. The others name a tool that no test can have (ELSEWHERE).
"""

import re

from support.servers import ROOT

PAGES = sorted(path for folder in ("deploy", "terraform", "grafana") for path in (ROOT / folder).rglob("*.md") if "node_modules" not in path.parts)

# How a command begins, and what it takes.
ELSEWHERE = {
    "az ": "Azure",
    "terraform (init|plan|apply|-chdir)": "a state on Azure",
    "kubectl (?!kustomize)": "a cluster",
    "helm (upgrade|repo) ": "a cluster, and the Internet",
    "argocd ": "Argo CD",
    "minikube ": "virtual machines",
    "kubeseal ": "Sealed Secrets",
    "docker compose ": "Docker's plugin, and images of its registry",
    "dig ": "a name on the Internet",
}
COMMAND = r"(?m)(?:^ *|[|;&(] *)"


def blocks(page, language="sh"):
    """As they are without the list they may stand in."""
    return [re.sub(rf"^{indent}", "", block, flags=re.M) for indent, block in re.findall(rf"^( *)```{language}\n(.*?)^ *```", (ROOT / page).read_text(), re.S | re.M)]


def runs(block):
    """Who runs it: "tests/deploy/FILE", or nothing."""
    first = block.split("\n", 1)[0]
    return "tests/deploy/test_pages.py" if first == "# run" else first.removeprefix("# run by ") if first.startswith("# run by ") else ""


def run_by(test, page):
    """The blocks that a test runs, in their order."""
    found = [block for block in blocks(page) if runs(block) == f"tests/deploy/{test}"]
    assert found, f"{page} leaves nothing to {test}"
    return found


def elsewhere(block):
    """What it takes that is not here."""
    return [why for command, why in ELSEWHERE.items() if re.search(COMMAND + command, block)]
