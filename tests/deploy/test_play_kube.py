"""deploy/k8s/overlays/dev really runs: its database, migration and hosts by `podman play kube`, as rendered, with what the manifests say looked up from within."""

import json
import re
import time

import pytest

from support.containers import Engine, Isolated
from support.kubernetes import K8S, objects, of
from support.play import Namespace, template
from support.servers import PRESET, ROOT, wait_until
from support.skips import OTHER_BUILD

pytestmark = [pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD), pytest.mark.slow]
PORT = 15000
SECRETS = {"titanic-api": {"database": "d" * 40, "pepper": "p" * 40}}
DATABASE, HOST = "titanic-postgres-postgres", "titanic-api-bulkhead"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    builder = Engine()  # packages come from outside
    builder.build("localhost/titanic-api:dev")
    images = ROOT / "tests/support/images"
    builder.run("buildah", "build", *builder.options.split(), "--layers", "--build-arg", f"BASE={builder.base()}", "--target", "postgres", "--tag", "docker.io/library/postgres:15-bookworm", "--file", images / "Containerfile", images, timeout=1200)
    made = Isolated(tmp_path_factory.mktemp("podman"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def everything():
    return objects(K8S / "overlays/dev")


@pytest.fixture(scope="module")
def namespace(engine, everything):
    made = Namespace(engine, everything, SECRETS, {})
    database = of(everything, "StatefulSet")["titanic-postgres"]
    made.start(database)
    probe = template(database)["spec"]["containers"][0]["startupProbe"]
    wait_until(lambda: made.exec(DATABASE, *probe["exec"]["command"], check=False).returncode == 0, probe["periodSeconds"] * probe["failureThreshold"], "the database's startup probe")
    job = of(everything, "Job")["titanic-migrate"]
    made.start(job)
    assert engine.run("podman", "wait", "titanic-migrate-migrate").stdout.strip() == "0", made.logs("titanic-migrate-migrate")
    made.start(of(everything, "Deployment")["titanic-api"], PORT)
    yield made
    made.close()


def get(namespace, path, *more):
    """Status and body."""
    run = namespace.engine.run("curl", "-s", "-m", "10", "-w", "\n%{http_code}", *more, f"http://127.0.0.1:{PORT}{path}", check=False)
    body, _, status = run.stdout.rpartition("\n")
    return int(status or 0), body


def sql(namespace, text):
    return namespace.exec(DATABASE, "psql", "-U", "titanic", "-d", "titanic", "-Atc", text).stdout.strip()


def test_its_probes_say_what_the_kubelet_wants_to_hear(namespace, everything):
    host = template(of(everything, "Deployment")["titanic-api"])["spec"]["containers"][0]
    began = time.monotonic()
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = host[name]
        wait_until(lambda: get(namespace, probe["httpGet"]["path"])[0] == 200, probe["periodSeconds"] * probe["failureThreshold"] + 30, name)
    print(f"ready {time.monotonic() - began:.1f} s after podman had started it")
    database = template(of(everything, "StatefulSet")["titanic-postgres"])["spec"]["containers"][0]
    for name in ("readinessProbe", "livenessProbe"):
        namespace.exec(DATABASE, *database[name]["exec"]["command"])
    status, body = get(namespace, "/people?limit=1")
    assert status == 200 and json.loads(body)[0]["name"] and sql(namespace, "select count(*) from people") == "891"


@pytest.mark.parametrize("kind, workload, container", [("StatefulSet", "titanic-postgres", DATABASE), ("Deployment", "titanic-api", HOST)])
def test_it_is_locked_in_as_the_manifest_says(namespace, everything, kind, workload, container):
    spec = template(of(everything, kind)[workload])["spec"]
    seen = dict(re.findall(r"^(\w+):\s*(.*)$", namespace.exec(container, "cat", "/proc/1/status").stdout, re.M))
    context = spec["securityContext"]
    assert seen["Uid"].split() == [str(context["runAsUser"])] * 4 and seen["Gid"].split() == [str(context["runAsGroup"])] * 4
    assert all(int(seen[f"Cap{each}"], 16) == 0 for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")) and seen["NoNewPrivs"] == "1" and seen["Seccomp"] == "2"
    mounts = {line.split()[1]: line.split()[3].split(",") for line in namespace.exec(container, "cat", "/proc/mounts").stdout.splitlines()}
    assert "ro" in mounts["/"]
    for mount in spec["containers"][0]["volumeMounts"]:
        place = re.sub("^/var/run/", "/run/", mount["mountPath"])
        assert ("ro" in mounts[place]) == mount.get("readOnly", False), place
    limits = json.loads(namespace.engine.run("podman", "inspect", container).stdout)[0]["HostConfig"]
    assert limits["Memory"] > 0 and limits["CpuQuota"] > 0


def test_what_it_is_given_comes_in(namespace, everything):
    environment = dict(line.split("=", 1) for line in namespace.engine.run("podman", "inspect", HOST, "--format", "{{range .Config.Env}}{{println .}}{{end}}").stdout.splitlines() if line)
    (given,) = [each["data"] for name, each in of(everything, "ConfigMap").items() if name.startswith("titanic-environment-")]
    assert given.items() <= environment.items() and environment["POD_NAME"] == "titanic-api"
    assert namespace.exec(HOST, "cat", "/etc/bulkhead/bulkhead.yaml").stdout == (K8S / "overlays/dev/bulkhead.yaml").read_text()
    ask = "exec 3<>/dev/tcp/titanic-api/%d; printf 'GET /health/live HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' >&3; head -1 <&3"
    assert " 200 " in namespace.exec(DATABASE, "bash", "-c", ask % 5000).stdout, "by the Service's name, from another pod"
    assert namespace.exec(DATABASE, "bash", "-c", ask % 5001, check=False).returncode != 0, "but not the admin listener"


def test_a_rotated_password(namespace, everything):
    values = {**SECRETS["titanic-api"], "database": "n" * 40}
    for kind, name in (("Deployment", "titanic-api"), ("StatefulSet", "titanic-postgres")):
        namespace.rotate(of(everything, kind)[name], "titanic-api", values)
    sql(namespace, f"alter role titanic password '{values['database']}'; select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and application_name = 'titanic-api'")
    wait_until(lambda: get(namespace, "/people?limit=1")[0] == 200, what="people by the new password, with no restart")


def test_a_database_that_goes_and_comes(namespace, everything):
    grace = template(of(everything, "StatefulSet")["titanic-postgres"])["spec"]["terminationGracePeriodSeconds"]
    namespace.engine.run("podman", "stop", "--time", grace, DATABASE)
    wait_until(lambda: get(namespace, "/health/ready")[0] == 503, what="no traffic")
    assert get(namespace, "/health/live")[0] == 200, "and no restart"
    namespace.engine.run("podman", "start", DATABASE)
    wait_until(lambda: get(namespace, "/health/ready")[0] == 200, 120, "readiness")


def test_it_ends_within_its_grace(namespace, everything):
    grace = template(of(everything, "Deployment")["titanic-api"])["spec"]["terminationGracePeriodSeconds"]
    began = time.monotonic()
    namespace.engine.run("podman", "stop", "--time", grace, HOST)
    assert time.monotonic() - began < grace
    assert namespace.engine.run("podman", "inspect", HOST, "--format", "{{.State.ExitCode}}").stdout.strip() == "0"
