"""deploy/k8s, deploy/argocd and deploy/mesh: every object against the published types of its kind, and whether they fit together."""

import filecmp
import json
import os
import re
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from support.http import check, contract_config
from support.kubernetes import K8S, OVERLAYS, Network, Pod, known, objects, of, one, pod_templates, render, selects
from support.servers import CONTRACT, PRESET, ROOT, free_port, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
ARGOCD, MESH = ROOT / "deploy/argocd", ROOT / "deploy/mesh"


@pytest.fixture(scope="module")
def rendered():
    return {name: objects(K8S / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Production with the mesh instead of its ingress."""
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "kustomization.yaml").write_text(f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: titanic\nresources: [{os.path.relpath(K8S / 'base', folder)}]\ncomponents: [{os.path.relpath(MESH, folder)}]\nconfigMapGenerator: [{{ name: titanic-environment, literals: [A=b] }}]\n")
    return objects(folder)


def test_every_object_is_what_its_kind_takes(rendered, mesh, tmp_path):
    alone = [*K8S.glob("components/keda/scaled-object.yaml"), ARGOCD / "root.yaml", ARGOCD / "settings/argocd-cm.yaml", *(ROOT / "deploy/monitoring/kubernetes").glob("*.yaml"), K8S / "cluster/storage-class.yaml"]
    everything = [*(yaml.safe_dump_all(each) for each in (*rendered.values(), mesh)), render(ARGOCD), *(path.read_text() for path in alone)]
    status, said = known(tmp_path, "\n---\n".join(everything))
    assert status == 0 and int(said.split()[-4]) > 120, said


MISTAKES = (  # each in another object
    ("maxUnavailable: 0", "maxUnavailabel: 0", "'\"maxUnavailabel\"' does not exist"),
    ("minReplicas: 2", "minReplicas: '2'", "not assignable to type 'number'"),
    ("setWeight: 5", "setWeigth: 5", "'\"setWeigth\"' does not exist"),
    ("restartPolicy: Never\n      securityContext", "restartPolicy: Sometimes\n      securityContext", "Sometimes"),
    ("kind: PodDisruptionBudget", "kind: PodDisruptionBudgets", "there is no PodDisruptionBudgets in policy/v1"),
    ("refreshInterval: 1m", "refreshIntervall: 1m", "'\"refreshIntervall\"' does not exist"),
    ("port: 6380", "port: [ 6380 ]", "number[]"),
)


def test_mistakes_are_found(tmp_path):
    text = render(K8S / "overlays/prod")
    for right, wrong, _ in MISTAKES:
        assert right in text, right
        text = text.replace(right, wrong, 1)
    status, found = known(tmp_path, text)
    assert status == 1
    for _, wrong, said in MISTAKES:
        assert said in found, (wrong, found)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_restricted(rendered, overlay):
    """Pod Security's profile "restricted" (kubernetes.io/docs/concepts/security/pod-security-standards), limits, pinned images."""
    namespace = one(rendered[overlay], "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in pod_templates(rendered[overlay]).items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert spec["automountServiceAccountToken"] is False and not spec.get("hostNetwork") and not spec.get("hostPID"), name
        assert all(set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"} for volume in spec.get("volumes", [])), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, name
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]) and {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            image, tag = container["image"].rsplit(":", 1)
            assert "/" in image and tag not in ("", "latest"), container["image"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(rendered, overlay):
    everything = rendered[overlay]
    namespace = one(everything, "Namespace")["metadata"]["name"]
    assert all(each["metadata"].get("namespace") == namespace for each in everything if each["kind"] != "Namespace")
    made = set(of(everything, "ExternalSecret")) or {"titanic-api"}  # in development by hand: deploy/k8s/README.md
    for name, template in pod_templates(everything).items():
        spec = template["spec"]
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in of(everything, "ConfigMap"), f"{name}: {volume}"
            if "secret" in volume:
                assert volume["secret"]["secretName"] in made, f"{name}: {volume}"
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in of(everything, "PersistentVolumeClaim"), name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert all(source["configMapRef"]["name"] in of(everything, "ConfigMap") for source in container.get("envFrom", []))
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= {volume["name"] for volume in spec.get("volumes", [])} | {claim["metadata"]["name"] for each in of(everything, "StatefulSet").values() for claim in each["spec"]["volumeClaimTemplates"]}
        assert spec.get("serviceAccountName", "default") in {"default", *of(everything, "ServiceAccount")}
    pods = [template["metadata"]["labels"] for template in pod_templates(everything).values()]
    for kind, path in (("Service", ("spec", "selector")), ("PodDisruptionBudget", ("spec", "selector", "matchLabels"))):
        for name, each in of(everything, kind).items():
            for key in path:
                each = each[key]
            assert any(selects({"matchLabels": each}, labels) for labels in pods), f"{kind} {name} selects nothing"
    workloads = {(each["kind"], each["metadata"]["name"]) for each in everything}
    target = one(everything, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in workloads
    for ingress in of(everything, "Ingress").values():
        service = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert service["port"]["name"] in {port["name"] for port in of(everything, "Service")[service["name"]]["spec"]["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_says_what_it_is_part_of(rendered, overlay):
    """The components' as well, which carry no such label of their own."""
    environment = "prod" if overlay == "prod-eu" else overlay
    for each in rendered[overlay]:
        labels = each["metadata"].get("labels", {})
        assert (labels.get("app.kubernetes.io/part-of"), labels.get("titanic.example/environment")) == ("titanic", environment), f"{each['kind']} {each['metadata']['name']}"


def test_an_environment_names_what_is_its_own(rendered):
    """Components mark what an overlay has to replace. A targeted patch that meets nothing is silent, and so would be a mark that stays."""
    mark = "NAMED-BY-AN-OVERLAY"
    marked = {path.name: path.read_text().count(mark) for path in K8S.rglob("components/*/*.yaml") if path.name != "kustomization.yaml"}
    assert {name: count for name, count in marked.items() if count} == {"store.yaml": 3, "ingress.yaml": 2}
    vaults, clients, hosts = {}, {}, {}
    for overlay, everything in rendered.items():
        assert mark not in yaml.safe_dump_all(everything), overlay
        if overlay != "dev":  # which has neither a vault nor an ingress
            vaults[overlay] = one(everything, "SecretStore")["spec"]["provider"]["azurekv"]["vaultUrl"]
            clients[overlay] = of(everything, "ServiceAccount")["titanic-secrets"]["metadata"]["annotations"]["azure.workload.identity/client-id"]
            hosts[overlay] = one(everything, "Ingress")["spec"]["rules"][0]["host"]
            assert one(everything, "Ingress")["spec"]["tls"][0]["hosts"] == [hosts[overlay]]
    assert len(set(clients.values())) == len(clients), "each reads as itself"
    for each in (vaults, hosts):
        assert each["prod"] == each["prod-eu"] != each["staging"], "both regions of production are one environment"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_hosts_say_which_version_they_are(rendered, overlay):
    environment = next(each["data"] for name, each in of(rendered[overlay], "ConfigMap").items() if name.startswith("titanic-environment-"))
    assert one(rendered[overlay], "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{environment['SERVICE_VERSION']}")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_common_label_moves_no_selector(rendered, overlay):
    """The original's labels relabelled the database's selector, which then selected the hosts."""
    for name, service in of(rendered[overlay], "Service").items():
        assert set(service["spec"]["selector"]) == {"app.kubernetes.io/name"}, name
    assert "app.kubernetes.io/part-of" not in json.dumps(one(rendered[overlay], "Deployment")["spec"]["selector"])


@pytest.mark.parametrize("overlay", ("staging", "prod"))
def test_nodes_drain_and_releases_lose_nothing(rendered, overlay):
    everything = rendered[overlay]
    least = one(everything, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    budget = one(everything, "PodDisruptionBudget")["spec"]
    assert least >= 2 and budget["maxUnavailable"] == 1 and "minAvailable" not in budget, "one may always go"
    deployment = one(everything, "Deployment")["spec"]
    assert "replicas" not in deployment, "the autoscaler's"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pod = deployment["template"]["spec"]
    drain = int(json.loads((ROOT / "core/config/schema.json").read_text())["properties"]["server"]["properties"]["timeouts"]["properties"]["drain"]["default"].removesuffix("s"))
    assert pod["terminationGracePeriodSeconds"] > pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] + drain


def test_the_configuration_is_the_shipped_one(tmp_path):
    assert filecmp.cmp(K8S / "base/bulkhead.yaml", ROOT / "configs/production.yaml", shallow=False), "cp configs/production.yaml deploy/k8s/base/bulkhead.yaml"
    image = (ROOT / "configs/titanic.yaml").read_text().split("\n", 1)[1]
    for ours, there in (("127.0.0.1:5000}", "0.0.0.0:5000}"), ("sqlite:///var/titanic.db", "sqlite:////var/lib/bulkhead/titanic.db"), ("plugins/people/data/titanic891.csv", "/usr/share/bulkhead/titanic891.csv")):
        image = image.replace(ours, there)
    assert (ROOT / "deploy/container/titanic.yaml").read_text().split("\n", 1)[1] == image, "the image's is configs/titanic.yaml with other places"
    (tmp_path / "database").write_text("secret")
    text = (K8S / "overlays/dev/bulkhead.yaml").read_text().replace("/run/secrets/", f"{tmp_path}/").replace("/usr/share/bulkhead/", f"{ROOT}/plugins/people/data/").replace("${DATABASE_URL}", "postgresql://titanic@titanic-postgres:5432/titanic")
    run = check(tmp_path, text)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_may_talk_to_whom(rendered, overlay):
    everything = rendered[overlay]
    namespace = one(everything, "Namespace")["metadata"]["name"]
    network = Network(everything, namespace)
    templates = pod_templates(everything)
    labels = lambda name: templates[name]["metadata"]["labels"]
    pod = lambda name: Pod(namespace, **{key.replace("/", "__").replace(".", "_"): value for key, value in labels(name).items()})
    host, migration, stranger = pod("Deployment/titanic-api"), pod("Job/titanic-migrate"), Pod(namespace, app="stranger")
    named = lambda where, name: Pod(where, **{"app_kubernetes_io__name": name})
    database = pod("StatefulSet/titanic-postgres") if overlay == "dev" else {"staging": "10.20.16.4", "prod": "10.10.16.4", "prod-eu": "10.11.16.4"}[overlay]
    redis = {"staging": "10.20.17.4", "prod": "10.10.17.4", "prod-eu": "10.11.17.4"}.get(overlay)
    dns, collector = Pod("kube-system", **{"k8s-app": "kube-dns"}), named("monitoring", "otel-collector")

    for source, target, port in (
        (named("ingress-nginx", "ingress-nginx"), host, 5000), (named("monitoring", "prometheus"), host, 5000), (named("monitoring", "prometheus-blackbox-exporter"), host, 5000),
        (host, database, 5432), (migration, database, 5432), (host, dns, 53), (migration, dns, 53), (host, collector, 4318), (host, "20.190.128.1", 443),
    ):
        assert network.may(source, target, port), (overlay, getattr(source, "labels", source), getattr(target, "labels", target), port)
    if overlay != "dev":
        backup, solver = pod("CronJob/titanic-backup"), Pod(namespace)
        solver.labels = {"acme.cert-manager.io/http01-solver": "true"}
        for source, target, port in ((host, redis, 6380), (backup, database, 5432), (backup, named("monitoring", "prometheus-pushgateway"), 9091), (named("ingress-nginx", "ingress-nginx"), solver, 8089)):
            assert network.may(source, target, port), (overlay, source, target, port)
        assert not network.may(backup, "20.190.128.1", 443) and not network.may(migration, redis, 6380)
    if overlay == "prod-eu":
        assert network.may(host, "10.10.16.4", 6432) and network.may(backup, "10.10.16.4", 5432), "until it is promoted, the primary is there"
        assert not network.may(host, "10.10.17.4", 6380)
    for source, target, port in (
        (named("default", "anything"), host, 5000), (stranger, host, 5000), (named("ingress-nginx", "ingress-nginx"), host, 5001), (named("monitoring", "grafana"), host, 5000),
        (stranger, database, 5432), (named("default", "anything"), database, 5432) if overlay == "dev" else (stranger, database, 6432), (stranger, dns, 80),
        (host, "169.254.169.254", 80), (host, "169.254.169.254", 443), (host, "20.190.128.1", 80), (host, "10.99.0.1", 443), (host, named("default", "anything"), 443), (stranger, "20.190.128.1", 443), (migration, "20.190.128.1", 443),
    ):
        assert not network.may(source, target, port), (overlay, getattr(source, "labels", source), getattr(target, "labels", target), port)


def test_the_order_of_a_release(rendered):
    """Secrets, then migrations, then hosts, then what scales and shows them (Argo CD's waves)."""
    wave = lambda kind, name: int(of(rendered["prod"], kind)[name]["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))
    order = [wave("Namespace", "titanic"), wave("SecretStore", "key-vault"), wave("ExternalSecret", "titanic-api"), wave("Service", "titanic-api"), wave("Job", "titanic-migrate"), wave("Deployment", "titanic-api"), wave("HorizontalPodAutoscaler", "titanic-api")]
    assert wave("Ingress", "titanic-api") < wave("Rollout", "titanic-api"), "which names it, and is degraded without it"
    assert order == sorted(order) and len(set(order)) == len(order) and wave("ServiceAccount", "titanic-secrets") < wave("SecretStore", "key-vault") and wave("Rollout", "titanic-api") == wave("Deployment", "titanic-api")


def test_two_regions_ask_one_database(tmp_path):
    """With the component that production takes when its second region is there, both overlays differ by their own Redis alone."""

    def production(taken):
        clone = tmp_path / f"k8s-{taken}"
        subprocess.run(["cp", "-r", str(K8S), str(clone)], check=True)
        kustomization = clone / "overlays/prod/kustomization.yaml"
        text, lines = re.subn(r"^  (?:# )?(- \.\./\.\./components/second-region)", r"  \1" if taken else r"  # \1", kustomization.read_text(), flags=re.M)
        assert lines == 1
        kustomization.write_text(text)
        return clone / "overlays"

    def environment(everything):
        return next(each["data"] for name, each in of(everything, "ConfigMap").items() if name.startswith("titanic-environment-"))

    two = production(True)
    first, second, alone = objects(two / "prod"), objects(two / "prod-eu"), objects(production(False) / "prod")
    differs = lambda one, other: {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    assert differs(environment(first), environment(second)) == {"REDIS_HOST"}
    assert differs(environment(first), environment(alone)) == {"DATABASE_URL", "DATABASE_DIRECT_URL"}
    assert of(first, "NetworkPolicy")["titanic-database"]["spec"] == of(second, "NetworkPolicy")["titanic-database"]["spec"]
    images = lambda everything: sorted(container["image"] for template in pod_templates(everything).values() for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])])
    assert images(first) == images(second), "a release reaches both regions"
    asked = lambda everything: {each["secretKey"]: each["remoteRef"]["key"] for each in one(everything, "ExternalSecret")["spec"]["data"]}
    assert differs(asked(first), asked(second)) == {"redis-url"}
    url = environment(second)["DATABASE_URL"].replace("/etc/ssl/certs/ca-certificates.crt", "ca.crt")
    (tmp_path / "database").write_text("secret")
    run = check(tmp_path, (K8S / "overlays/dev/bulkhead.yaml").read_text().replace("/run/secrets/", f"{tmp_path}/").replace("/usr/share/bulkhead/", f"{ROOT}/plugins/people/data/").replace("${DATABASE_URL}", url))
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("second", (False, True))
def test_applications(second, tmp_path):
    folder = tmp_path / "argocd"
    subprocess.run(["cp", "-r", str(ARGOCD), str(folder)], check=True)
    path = folder / "applications/prod.yaml"
    text, lines = re.subn(r"^( +)(?:# )?(- \{ region: westeurope)", r"\1\2" if second else r"\1# \2", path.read_text(), flags=re.M)  # as the runbook has it done when the region is made
    assert lines == 1
    path.write_text(text)
    everything = objects(folder)
    project = one(everything, "AppProject")["spec"]
    allowed = {(each["name"], each["namespace"]) for each in project["destinations"]}
    applications = [each["spec"] for each in of(everything, "Application").values()]
    regions = one(everything, "ApplicationSet")["spec"]
    for element in regions["generators"][0]["list"]["elements"]:
        fill = json.dumps(regions["template"]["spec"])
        for key, value in element.items():
            fill = fill.replace("{{ .%s }}" % key, value)
        assert "{{" not in fill
        applications.append(json.loads(fill))
    assert len(applications) == 3 + second
    clusters = {f"{name}-aks" for name in ("titanic-dev", "titanic-staging", "titanic-prod", *(["titanic-prod-eu"] if second else []))}
    assert {spec["destination"]["name"] for spec in applications} == clusters, "as modules/aks names them"
    assert any(rule["kind"] == "Service" for rule in applications[-1]["ignoreDifferences"]), "or a sync would mix stable and canary"
    for spec in applications:
        destination = spec["destination"]
        assert (destination["name"], destination["namespace"]) in allowed
        overlay = ROOT / spec["source"]["path"]
        assert yaml.safe_load((overlay / "kustomization.yaml").read_text())["namespace"] == destination["namespace"]
        assert spec["source"]["repoURL"] in project["sourceRepos"]
        assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True} and spec["syncPolicy"]["retry"]["limit"] == 5
    assert yaml.safe_load((ARGOCD / "settings/argocd-cm.yaml").read_text())["data"]["timeout.reconciliation"] == "180s", "seen within three minutes"


def test_an_image_is_set_by_a_commit(tmp_path):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    clone = tmp_path / "clone"
    for folder in ("deploy/argocd", "deploy/k8s"):
        subprocess.run(["cp", "-r", f"{ROOT}/{folder}/.", str(clone / folder)] if (clone / folder).exists() else ["cp", "-r", f"{ROOT}/{folder}", str(clone / folder)], check=True)
    git = lambda *words: subprocess.run(["git", "-C", str(clone), "-c", "user.name=release", "-c", "user.email=release@titanic.example", *words], check=True, capture_output=True, text=True).stdout
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "as it stands")
    environment = {**os.environ, "GIT_AUTHOR_NAME": "release", "GIT_AUTHOR_EMAIL": "release@titanic.example", "GIT_COMMITTER_NAME": "release", "GIT_COMMITTER_EMAIL": "release@titanic.example"}
    run = lambda *words: subprocess.run([str(clone / "deploy/argocd/set-image"), *words], env=environment, capture_output=True, text=True)
    image = lambda: one(objects(clone / "deploy/k8s/overlays/prod"), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    digest = "sha256:" + "0123456789abcdef" * 4
    for version, expected in (("1.2.3", "titanicprod.azurecr.io/titanic-api:1.2.3"), (digest, f"titanicprod.azurecr.io/titanic-api@{digest}"), ("123", "titanicprod.azurecr.io/titanic-api:123"), (digest, f"titanicprod.azurecr.io/titanic-api@{digest}"), ("1.2.4", "titanicprod.azurecr.io/titanic-api:1.2.4")):
        done = run("prod", version, "--commit")
        assert done.returncode == 0, done.stderr
        assert image() == expected and git("log", "-1", "--format=%s").strip() == f"prod: titanic-api {version}" and git("status", "--porcelain") == ""
        assert f"SERVICE_VERSION={version.removeprefix('sha256:')}\n" in (clone / "deploy/k8s/overlays/prod/environment.env").read_text()
    assert image() and one(objects(clone / "deploy/k8s/overlays/staging"), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.1.0"), "the others stay"
    for words, said in ((("prod", "latest"), "not latest"), (("prod", "a b"), "neither a tag"), (("pord", "1"), "no environment 'pord'")):
        refused = run(*words)
        assert refused.returncode == 1 and said in refused.stderr
    git("revert", "--no-edit", "HEAD")
    assert image() == f"titanicprod.azurecr.io/titanic-api@{digest}", "rolling back is a revert"


def test_the_canary_judges_the_new_version_alone(hosts, rendered, tmp_path):
    """Its queries on a real Prometheus that scrapes an old version which answers well and a new one which does not."""
    steps = one(rendered["prod"], "Rollout")["spec"]["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [5, 20, 50, 100] and all(steps[i + 1].get("pause") for i, step in enumerate(steps) if step.get("setWeight", 100) < 100)
    broken = f"  - id: metrics\n  - {{ id: async, library: {CONTRACT}/async.so }}\n"
    pods = {"titanic-api-old-a": hosts(contract_config("cpp_hello", extra=broken)), "titanic-api-new-b": hosts(contract_config("cpp_hello", extra=broken))}
    port = free_port()
    jobs = [{"targets": [f"127.0.0.1:{host.port}"], "labels": {"pod": pod}} for pod, host in pods.items()]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [{"job_name": "titanic-api", "scrape_interval": "1s", "honor_labels": True, "static_configs": jobs}]}))
    server = subprocess.Popen(["prometheus", f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    analysis = {metric["name"]: metric for metric in of(rendered["prod"], "AnalysisTemplate")["titanic-api"]["spec"]["metrics"]}

    def result(name, pods_hash):
        query = analysis[name]["provider"]["prometheus"]["query"].replace("{{args.hash}}", pods_hash).replace("[2m]", "[10s]")
        assert "{{" not in query
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        return [float(series["value"][1]) for series in json.loads(urllib.request.urlopen(url, timeout=10).read())["data"]["result"]]

    def good(name, pods_hash):
        """The condition as Argo Rollouts' expression language has it, in Python's words."""
        condition = analysis[name]["successCondition"].replace("||", "or").replace("isNaN(result[0])", "result[0] != result[0]")
        return eval(condition, {"result": result(name, pods_hash), "len": len})  # noqa: S307: of our own file

    try:
        wait_until(lambda: subprocess.run(["curl", "-fs", f"http://127.0.0.1:{port}/-/ready"], capture_output=True).returncode == 0, what="Prometheus")
        assert all(good(name, "none") for name in analysis), "without requests there is nothing to judge"

        def judged():
            for _ in range(20):
                pods["titanic-api-old-a"].get("/hello/x")
                pods["titanic-api-new-b"].get("/hello/x")
                pods["titanic-api-new-b"].get("/async/dropped")
            return result("error-ratio", "new") and result("error-ratio", "new")[0] > 0.2 and result("error-ratio", "old") == [0.0] and result("latency-p95-seconds", "old")

        wait_until(judged, what="both versions' figures")
        assert not good("error-ratio", "new") and good("error-ratio", "old")
        assert good("latency-p95-seconds", "old") and good("ready", "old") and result("ready", "old") == [0.0]
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_dead_ends_of_the_mesh(mesh):
    assert one(mesh, "PeerAuthentication")["spec"]["mtls"]["mode"] == "STRICT"
    rule = one(mesh, "DestinationRule")["spec"]["trafficPolicy"]
    assert rule["tls"]["mode"] == "ISTIO_MUTUAL" and rule["outlierDetection"]["maxEjectionPercent"] <= 50
    routes = {route["name"]: route for route in one(mesh, "VirtualService")["spec"]["http"]}
    assert set(routes["writes"]["retries"]["retryOn"].split(",")) == {"connect-failure", "refused-stream"}, "a write that may have been carried out is never sent again"
    policies = of(mesh, "AuthorizationPolicy")
    assert policies["deny-by-default"]["spec"] == {}
    assert one(mesh, "Namespace")["metadata"]["labels"]["istio-injection"] == "enabled"
