"""The image: built twice, looked into, and run as deploy/container/README.md says, with every plugin on."""

import json
import pathlib
import re
import subprocess
import sys
import time
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

from support.containers import FOLDER, Engine, Isolated
from support.pages import run_by
from support.servers import CONTRACT, PRESET, ROOT, OpenIdProvider, Redis, free_port, wait_until
from support.skips import OTHER_BUILD
from test_auth import make_key  # noqa: E402
from test_owasp import production  # noqa: E402

pytestmark = [pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD), pytest.mark.slow]
IMAGE = "localhost/titanic-api:test"
SECCOMP = ROOT / "deploy/container/seccomp.json"
LOCKED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host", "--no-healthcheck")


@pytest.fixture(scope="module")
def engine():
    return Engine()


@pytest.fixture(scope="module")
def image(engine):
    engine.build(IMAGE)
    return engine.inspect(IMAGE)


@pytest.fixture
def containers(engine):
    started = []

    def start(*words):
        started.append(engine.start(*words))
        return started[-1]

    yield start
    for each in started:
        engine.remove(each)


def answers(port, path="/people?limit=1"):
    return subprocess.run(["curl", "-fs", "-m", "5", f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True)


def test_what_it_is(engine, image):
    config = image["Config"]
    assert config["User"] == "10001:10001" and config["Entrypoint"] == ["/usr/bin/bulkhead"] and config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0" and re.fullmatch(r"[0-9a-f]{40}", config["Labels"]["org.opencontainers.image.revision"])
    top = (image["Size"] - engine.inspect(engine.base())["Size"]) / 1e6
    print(f"{top:.1f} MB on top of the base image")
    assert top <= 60
    listing = engine.run("podman", "run", "--rm", "--network=none", "--user=0", "--entrypoint=find", IMAGE, "/", "-xdev", "(", "-perm", "-4000", "-o", "-perm", "-2000", "-o", "-name", "*.a", "-o", "-name", "g++*", ")", "-type", "f").stdout.split()
    assert not [path for path in listing if path.startswith(("/usr/bin/bulkhead", "/usr/lib/bulkhead")) or path.endswith(".a") or "g++" in path], listing


def test_the_page(image, tmp_path):
    """Its commands, in a network of their own: the port may be taken here."""
    [block] = run_by("test_container.py", "deploy/container/README.md")
    engine = Isolated(tmp_path)
    try:
        with open(tmp_path / "page.log", "wb") as log:
            process = engine.spawn("bash", "-euc", block, log=log, BASE=engine.base(), OPTIONS=engine.options)
        ask = lambda: process.poll() is not None or engine.run("curl", "-fs", "http://127.0.0.1:5000/people?limit=1", check=False).returncode == 0
        wait_until(ask, 900, "the first answer")
        assert process.poll() is None, (tmp_path / "page.log").read_text()
        engine.run("podman", "stop", "--latest")
        assert process.wait(60) == 0
    finally:
        engine.run("podman", "volume", "rm", "--force", "titanic", check=False)
        engine.close()


def test_its_bill_of_materials(image):
    bill = json.loads((FOLDER / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.5" and re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    references = [each["bom-ref"] for each in bill["components"]]
    assert len(set(references)) == len(references) and set(bill["dependencies"][0]["dependsOn"]) == set(references)
    names = {each["name"] for each in bill["components"]}
    assert {"bulkhead", "libpistache0", "libsoci-postgresql4.0", "libssl3", "libc6", "libcurl4"} <= names and "g++" not in names
    assert all(re.fullmatch(r"pkg:(deb/debian/[\w.~%-]+@[\w.~%:-]+\?arch=(amd64|all)&distro=debian-12(&upstream=[\w.~%-]+)?|generic/bulkhead@[\d.]+)", each["purl"]) for each in bill["components"])


def test_two_builds_are_one_image(engine):
    """Neither of a cache: a layer from there has the time of the commit that left it in its history."""
    names = ["localhost/titanic-api:once", "localhost/titanic-api:again"]
    for name in names:
        engine.build(name, "--no-cache")
    once, again = map(engine.inspect, names)
    assert once["RootFS"]["Layers"] == again["RootFS"]["Layers"] and once["Id"] == again["Id"]


def test_it_runs_locked_and_starts_at_once(engine, image, containers):
    port, volume = free_port(), f"titanic-{uuid.uuid4().hex[:8]}"
    begin = time.monotonic()
    container = containers(*LOCKED, f"--security-opt=seccomp={SECCOMP}", f"--volume={volume}:/var/lib/bulkhead", f"--env=LISTEN=127.0.0.1:{port}", f"--env=ADMIN_LISTEN=127.0.0.1:{free_port()}", "--memory=256m", "--pids-limit=200", IMAGE)
    wait_until(lambda: answers(port).returncode == 0, what="the first answer")
    took = time.monotonic() - begin
    print(f"{took:.2f} s from podman's start to the first passenger, 891 loaded")
    assert took < 10, "ten times what it may take"
    assert json.loads(answers(port).stdout)[0]["name"]
    status = engine.run("podman", "exec", container, "cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "Uid:\t10001" in status
    began = time.monotonic()
    engine.run("podman", "stop", "--time", "30", container)
    assert time.monotonic() - began < 25 and json.loads(engine.run("podman", "inspect", container).stdout)[0]["State"]["ExitCode"] == 0
    engine.remove(container)
    engine.run("podman", "volume", "rm", volume)


def test_every_plugin_under_its_profile(image, containers, postgres, tmp_path):
    """Where any call that is not in the profile would kill it."""
    profile = json.loads(SECCOMP.read_text())
    profile["defaultAction"] = "SCMP_ACT_KILL_PROCESS"
    (tmp_path / "kill.json").write_text(json.dumps(profile))
    provider, redis = OpenIdProvider("ES256"), Redis()
    url = postgres.create(f"p{uuid.uuid4().hex[:12]}")
    outside = production(tmp_path, url, provider.url, REDIS_URL=redis.url)
    outside.wait_ready()
    key = make_key(outside, "people:read,people:write", "--expires", "1d")
    outside.stop()
    text = outside.config.read_text().replace(f"{ROOT}/plugins/people/data/", "/usr/share/bulkhead/").replace(f"{tmp_path}/", "/run/secrets/")
    (tmp_path / "inside.yaml").write_text(text)
    subprocess.run(["chmod", "-R", "a+rX", str(tmp_path)], check=True)
    for each in tmp_path.parents[:3]:
        each.chmod(each.stat().st_mode | 0o055)
    environment = [f"--env={name}={outside.environment[name]}" for name in ("DATABASE_URL", "OIDC_ISSUER", "TRUSTED_PROXIES", "REDIS_URL")]
    container = containers(*LOCKED, f"--security-opt=seccomp={tmp_path}/kill.json", *environment, f"--volume={tmp_path}/inside.yaml:/etc/bulkhead/bulkhead.yaml:ro",
                           f"--volume={tmp_path}/database:/run/secrets/database:ro", f"--volume={tmp_path}/pepper:/run/secrets/pepper:ro", IMAGE)
    try:
        wait_until(lambda: answers(outside.port, "/health/ready").returncode == 0, what="readiness")
        for _ in range(20):
            for path in ("/people?limit=5", "/people?name=Braund", "/metrics", "/openapi.json"):
                run = subprocess.run(["curl", "-fs", "--compressed", "-H", f"x-api-key: {key}", f"http://127.0.0.1:{outside.port}{path}"], capture_output=True)
                assert run.returncode == 0, path
        token = subprocess.run(["curl", "-fs", "-H", f"authorization: Bearer {provider.token()}", f"http://127.0.0.1:{outside.port}/people?limit=1"], capture_output=True)
        assert token.returncode == 0
        running = subprocess.run(["podman", "inspect", "--format", "{{.State.Running}}", container], env=Engine().environment, capture_output=True, text=True)
        assert running.stdout.strip() == "true"
    finally:
        provider.stop()
        redis.close()


def test_plugins_of_others(engine, image, containers, tmp_path):
    """In a layer, and in a volume."""
    (tmp_path / "hello.so").write_bytes((CONTRACT / "cpp_hello.so").read_bytes())
    (tmp_path / "Containerfile").write_text(f"FROM {IMAGE}\nCOPY --chmod=0644 hello.so /usr/lib/bulkhead/hello.so\n")
    engine.run("buildah", "build", *engine.options.split(), "--tag", "localhost/titanic-api:hello", tmp_path)
    for each in (tmp_path, *list(tmp_path.parents)[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    for image_name, more, extra in (("localhost/titanic-api:hello", "", ()), (IMAGE, "plugin_path: [ /plugins ]\n", (f"--volume={tmp_path}:/plugins:ro",))):
        port = free_port()
        config = tmp_path / f"{port}.yaml"
        config.write_text(f"{more}server: {{ listen: 127.0.0.1:{port} }}\nplugins:\n  - {{ id: hello }}\n  - id: health\n")
        config.chmod(0o644)
        containers(*LOCKED, *extra, f"--volume={config}:/etc/bulkhead/bulkhead.yaml:ro", image_name)
        wait_until(lambda: answers(port, "/hello/you").returncode == 0, what="the plugin's answer")
