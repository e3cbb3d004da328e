"""deploy/helm: the chart renders what deploy/k8s' overlays do, refuses values it does not know, and what it switches is whole."""

import difflib
import re
import subprocess

import pytest
import yaml

from support.kubernetes import K8S, OVERLAYS, Network, Pod, helm, known, objects, of, pod_templates
from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
CHART = ROOT / "deploy/helm/titanic-api"
NAMESPACES = {"dev": "titanic-dev", "staging": "titanic-staging", "prod": "titanic"}


def run(command, *words):
    return subprocess.run([str(helm()), command, *words], capture_output=True, text=True, timeout=60)


def values(overlay):
    """The second region's come behind production's."""
    names = [] if overlay is None else ["prod", overlay] if overlay == "prod-eu" else [overlay]
    return [word for name in names for word in ("--values", str(CHART / f"values-{name}.yaml"))]


def template(overlay, *settings, chart=CHART):
    """With the values of an environment (None: the chart's own) and what --set changes of them."""
    return run("template", "titanic-api", str(chart), "--namespace", NAMESPACES.get(overlay, "titanic"), *values(overlay), *(word for each in settings for word in ("--set", each)))


def rendered(overlay, *settings):
    done = template(overlay, *settings)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def keyed(everything):
    found = {f"{each['kind']} {each['metadata'].get('namespace', '-')}/{each['metadata']['name']}": yaml.safe_dump(each).splitlines() for each in everything}
    assert len(found) == len(everything), "one is there twice"
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_is_the_overlay(overlay):
    there, ours = keyed(objects(K8S / "overlays" / overlay)), keyed(rendered(overlay))
    differences = []
    for key in sorted({*there, *ours}):
        lines = difflib.unified_diff(there.get(key, []), ours.get(key, []), f"deploy/k8s/overlays/{overlay}: {key}", f"deploy/helm, values-{overlay}.yaml: {key}", lineterm="", n=2)
        differences += lines
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("overlay", (None, *OVERLAYS))
def test_lint(overlay):
    done = run("lint", "--strict", str(CHART), *values(overlay))
    assert done.returncode == 0 and "[WARNING]" not in done.stdout and "1 chart(s) linted, 0 chart(s) failed" in done.stdout, done.stdout + done.stderr


def test_a_package_is_the_chart(tmp_path):
    """What it shares with deploy/k8s are symbolic links, and files in the package."""
    done = run("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("titanic-api-*.tgz")
    assert template("prod", chart=package).stdout == template("prod").stdout != ""
    assert all(each.is_symlink() and each.is_file() for each in (CHART / "files").iterdir()), "written once"


REFUSED = (
    ("ingres.enabled=true", "at '': additional properties 'ingres' not allowed"),
    ("autoscaling.maxReplica=9", "at '/autoscaling': additional properties 'maxReplica' not allowed"),
    ("autoscaling.minReplicas=two", "at '/autoscaling/minReplicas': got string, want integer"),
    ("keda.enabled=yes", "at '/keda/enabled': got string, want boolean"),
    ("image.tag=latest", "at '/image/tag'"),
    ("image.tag=sha256:0123", "at '/image/tag'"),
    ("resources.limits.memory=512MB", "at '/resources/limits/memory'"),
    ("configuration.file=staging", "at '/configuration/file'"),
    ("environment.LOG_LEVEL=1", "at '/environment/LOG_LEVEL': got number, want string"),
    ("networkPolicies.database={10.10.16.4}", "at '/networkPolicies/database/0'"),
    ("ingress.host=", "at '/ingress/host'"),
    ("externalSecrets.vaultUrl=", "at '/externalSecrets/vaultUrl'"),
    ("externalSecrets.clientId=", "at '/externalSecrets/clientId'"),
    ("backup.schedule=daily", "at '/backup/schedule'"),
    ("ingress.enabled=false", "canary.enabled needs ingress.enabled"),
)


@pytest.mark.parametrize("setting, said", REFUSED, ids=[setting for setting, _ in REFUSED])
def test_refused(setting, said):
    done = template("prod", setting)
    assert done.returncode != 0 and said in done.stderr and not done.stdout, done.stderr


def test_every_value_is_used():
    """And every one of values.yaml is in the schema, or lint would say so."""
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", templates))
    for name, value in yaml.safe_load((CHART / "values.yaml").read_text()).items():
        paths = {name} if name in used or not isinstance(value, dict) else {f"{name}.{key}" for key in value}
        assert paths <= used, paths - used


def test_keda_in_place_of_the_autoscaler():
    for overlay, target in (("staging", "Deployment"), ("prod", "Rollout")):
        everything = rendered(overlay, "keda.enabled=true", "autoscaling.maxReplicas=9")
        assert not of(everything, "HorizontalPodAutoscaler")
        ours = of(everything, "ScaledObject")["titanic-api"]["spec"]
        assert ours["scaleTargetRef"]["kind"] == target and ours["maxReplicaCount"] == 9
    ours, there = of(rendered("staging", "keda.enabled=true"), "ScaledObject")["titanic-api"], yaml.safe_load((K8S / "components/keda/scaled-object.yaml").read_text())
    assert ours["spec"] == there["spec"] and ours["metadata"]["annotations"] == there["metadata"]["annotations"]
    without = of(rendered("staging", "keda.enabled=true", "autoscaling.requestsPerSecond=0"), "ScaledObject")["titanic-api"]["spec"]
    assert [trigger["type"] for trigger in without["triggers"]] == ["cpu"] and "fallback" not in without, "KEDA falls back from no cpu trigger"


def test_without_the_canary():
    everything = rendered("prod", "canary.enabled=false")
    assert not of(everything, "Rollout") and not of(everything, "AnalysisTemplate") and set(of(everything, "Service")) == {"titanic-api"}
    assert of(everything, "HorizontalPodAutoscaler")["titanic-api"]["spec"]["scaleTargetRef"]["kind"] == "Deployment"


def test_without_the_ingress():
    everything = rendered("staging", "ingress.enabled=false")
    assert not of(everything, "Ingress") and "certificate-challenge" not in of(everything, "NetworkPolicy")


def test_without_redis():
    everything = rendered("staging", "redisTls.enabled=false")
    pod = of(everything, "Deployment")["titanic-api"]["spec"]["template"]["spec"]
    assert "initContainers" not in pod and [each["name"] for each in pod["containers"][0]["env"]] == ["POD_NAME"]
    assert "titanic-api-redis" not in of(everything, "NetworkPolicy") and not any(name.startswith("titanic-redis") for name in of(everything, "ConfigMap"))
    assert "redis-url" not in [each["secretKey"] for each in of(everything, "ExternalSecret")["titanic-api"]["spec"]["data"]]


def test_another_configuration_is_a_rollout(tmp_path):
    name = lambda everything, what: next(each for each in of(everything, "ConfigMap") if re.fullmatch(rf"{what}-[a-z0-9]{{10}}", each))
    before, after = rendered("prod"), rendered("prod", "environment.LOG_LEVEL=debug")
    assert name(before, "titanic-api") == name(after, "titanic-api") and name(before, "titanic-environment") != name(after, "titanic-environment")
    for key, pods in pod_templates(after).items():
        assert f"'name': '{name(after, 'titanic-environment')}'" in str(pods), key
    path = tmp_path / "bulkhead.yaml"
    path.write_text("service: \"<&>\"\nplugins: []\n")
    done = run("template", "titanic-api", str(CHART), "--set-file", f"configuration.text={path}")
    own = list(yaml.safe_load_all(done.stdout))
    assert of(own, "ConfigMap")[name(own, "titanic-api")]["data"] == {"bulkhead.yaml": path.read_text()}


def test_an_image_by_digest_says_its_version():
    digest = "sha256:" + "0123456789abcdef" * 4
    everything = rendered("prod", f"image.tag={digest}")
    assert of(everything, "Deployment")["titanic-api"]["spec"]["template"]["spec"]["containers"][0]["image"] == f"titanicprod.azurecr.io/titanic-api@{digest}"
    assert digest.removeprefix("sha256:") in [each["data"].get("SERVICE_VERSION") for each in of(everything, "ConfigMap").values()]


def test_who_may_talk_to_whom_by_other_addresses():
    everything = rendered("prod", "networkPolicies.database={10.99.0.0/28,fd00::/64}", "networkPolicies.monitoringNamespace=observability", "networkPolicies.ingressNamespace=edge")
    network = Network(everything, "titanic")
    host = Pod("titanic")
    host.labels = pod_templates(everything)["Deployment/titanic-api"]["metadata"]["labels"]
    named = lambda where, name: Pod(where, app_kubernetes_io__name=name)
    assert network.may(host, "10.99.0.4", 5432) and network.may(host, "fd00::4", 6432) and not network.may(host, "10.10.16.4", 5432)
    assert network.may(named("edge", "ingress-nginx"), host, 5000) and not network.may(named("ingress-nginx", "ingress-nginx"), host, 5000)
    assert network.may(named("observability", "prometheus"), host, 5000) and network.may(host, named("observability", "otel-collector"), 4318) and not network.may(named("monitoring", "prometheus"), host, 5000)
    closed = Network(rendered(None), "titanic")
    assert not closed.may(host, "10.10.16.4", 5432), "nothing named is nothing open"


def test_helm_by_itself():
    """It makes the namespace before the objects, cannot change a Job, and deletes what it has made."""
    everything = rendered("prod", "managedBy=helm")
    assert not of(everything, "Namespace") and set(of(everything, "Job")) == {"titanic-migrate-1"}
    assert of(everything, "PersistentVolumeClaim")["titanic-backups"]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


OTHER_VALUES = (
    (None,),
    ("dev", "managedBy=helm", "podMonitor.enabled=true", "postgres.storage=1Gi"),
    ("staging", "keda.enabled=true", "ingress.enabled=false", "redisTls.enabled=false", "labels.team=people"),
    ("prod", "managedBy=helm", "keda.enabled=true", "networkPolicies.database={10.99.0.0/28,10.99.1.0/28}", "resources.limits.cpu=4", "canary.maxLatencySeconds=1", "backup.keepDays=1000000", "autoscaling.requestsPerSecond=1000000"),
    ("prod", "canary.enabled=false", "externalSecrets.enabled=false", "backup.enabled=false", "autoscaling.requestsPerSecond=0", "ingress.annotations=null"),
)


def test_other_values_are_what_the_kinds_take(tmp_path):
    everything = [yaml.safe_dump_all(rendered(*each)) for each in OTHER_VALUES]
    assert "e+06" not in "".join(everything), "Helm reads numbers as floating point"
    status, said = known(tmp_path, "\n---\n".join(everything))
    assert status == 0 and int(said.split()[-4]) > 100, said
