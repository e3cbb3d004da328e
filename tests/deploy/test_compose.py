"""deploy/compose: the files by docker-compose; what Debian has of compose.full.yml really runs, on podman; `watch` over a small project."""

import json
import os
import signal
import subprocess
import time

import pytest
import yaml

from support.containers import Engine, Isolated
from support.servers import PRESET, ROOT, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
FOLDER = ROOT / "deploy/compose"
FULL = yaml.safe_load((FOLDER / "compose.full.yml").read_text())
NOT_IN_DEBIAN = {"grafana", "loki", "promtail", "tempo", "otel-collector"}  # their files are checked by test_monitoring.py
OURS = {"host-one", "host-two", "migrate"}


def config(path, **more):
    return subprocess.run(["docker-compose", "-f", str(path), "config"], cwd=FOLDER, env={**os.environ, **more}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["compose.full.yml", "compose.dev.yml"])
def test_what_docker_compose_says_of_it(name):
    done = config(name)
    assert done.returncode == 0, done.stderr


def test_mistakes_are_found(tmp_path):
    for old, new, said in (("    ports:", "    portz:", "Unsupported config option"), ("condition: service_healthy", "condition: healthy", "condition")):
        (tmp_path / "compose.yml").write_text((FOLDER / "compose.full.yml").read_text().replace(old, new, 1))
        done = config(tmp_path / "compose.yml")
        assert done.returncode != 0 and said in done.stderr, done.stderr


def test_it_fits_what_is_around_it():
    """The hosts' configuration is production's but for what a laptop lacks; every file that is mounted is there; nothing is reachable from outside."""
    text = (ROOT / "configs/production.yaml").read_text()
    ours = yaml.safe_load((FOLDER / "titanic.yaml").read_text())
    theirs = yaml.safe_load(text)
    plugins = {each["id"]: each.get("config", {}) for each in theirs["plugins"]}
    plugins["auth"].pop("issuers")
    plugins["auth"]["public_routes"] = ["GET /people*"]
    plugins["people"] = {"seed": "/usr/share/bulkhead/titanic891.csv"}
    assert {each["id"]: each.get("config", {}) for each in ours["plugins"]} == plugins
    assert {key: value for key, value in ours.items() if key != "plugins"} == {key: value for key, value in theirs.items() if key != "plugins"}
    for name, service in FULL["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (FOLDER / source).exists(), f"{name}: {source}"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "no-new-privileges" in service["security_opt"], name
    aliases = {alias for service in FULL["services"].values() if isinstance(service["networks"], dict) for network in service["networks"].values() for alias in (network or {}).get("aliases", [])}
    known = set(FULL["services"]) | aliases | {"localhost"}
    jobs = yaml.safe_load((ROOT / "deploy/monitoring/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    asked = {name for job in jobs for each in job.get("dns_sd_configs", []) for name in each["names"]} | {target.split(":")[0] for job in jobs for each in job.get("static_configs", []) for target in each["targets"] if "//" not in target}
    assert asked <= known, asked - known


class Podman(Isolated):
    """podman's socket for docker-compose."""

    SETTINGS = {"FRONT_NETWORK": "172.31.240", "HTTPS_PORT": "8443", "LOG_DRIVER": "k8s-file", "DISABLE_HC_SYSTEMD": "true",
                "SECCOMP": "unconfined"}  # docker-compose 1.29 sends the profile itself, which podman 4.3 takes for a path; test_container.py runs under it
    HEALTH = "while :; do for each in $(podman ps -q --filter health=starting 2>/dev/null); do podman healthcheck run $each >/dev/null 2>&1 || true; done; sleep 0.5; done"

    def __init__(self, work):
        super().__init__(work)
        self.environment |= self.SETTINGS | {"DOCKER_HOST": f"unix://{work}/podman.sock"}
        self.log = open(work / "podman.log", "wb")
        # The second is what systemd's timers do elsewhere.
        self.served = [self.spawn("podman", "system", "service", "--time=0", f"unix://{work}/podman.sock", log=self.log), self.spawn("bash", "-c", self.HEALTH, log=self.log)]
        wait_until((work / "podman.sock").exists, what="podman's socket")

    def compose(self, *words, timeout=570):
        return subprocess.run(["docker-compose", "-f", "compose.full.yml", "-p", "titanic", *words], cwd=FOLDER, env=self.environment, capture_output=True, text=True, timeout=timeout)

    def close(self):
        self.compose("down", "-v", "--timeout", "10")
        for each in self.served:
            os.killpg(each.pid, signal.SIGKILL)
            each.wait()
        super().close()


@pytest.mark.slow
def test_what_debian_has_runs(tmp_path):
    engine = Engine()
    engine.build("localhost/titanic-api:dev")
    images = ROOT / "tests/support/images"
    runnable = sorted(set(FULL["services"]) - NOT_IN_DEBIAN)
    for name in sorted(set(runnable) - OURS):
        engine.run("buildah", "build", *engine.options.split(), "--layers", "--build-arg", f"BASE={engine.base()}", "--target", name, "--tag", FULL["services"][name]["image"], "--file", images / "Containerfile", images, timeout=1200)
    subprocess.run([str(FOLDER / "make-secrets")], check=True, capture_output=True)
    podman = Podman(tmp_path)
    try:
        begin = time.monotonic()
        up = podman.compose("up", "-d", *(name for name in runnable if name != "migrate"))
        assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]

        def ask(path):
            return podman.run("curl", "-fsS", "-m", "5", "--cacert", FOLDER / "secrets/certificate", f"https://localhost:8443{path}", check=False)

        wait_until(lambda: ask("/people?limit=1").returncode == 0, 60, "a passenger through nginx")
        print(f"up and answered in {time.monotonic() - begin:.1f} s")
        assert len(json.loads(ask("/people?limit=3").stdout)) == 3
        assert ask("/metrics").returncode != 0, "for Prometheus alone"
        for number in range(20):
            ask(f"/people?limit=1&offset={number}")

        def prometheus(query):
            answer = podman.run("curl", "-fsS", "-m", "5", "-G", "--data-urlencode", f"query={query}", "http://127.0.0.1:9090/api/v1/query", check=False)
            return json.loads(answer.stdout)["data"]["result"] if answer.returncode == 0 else []

        wait_until(lambda: len(prometheus("up{job='titanic-api'} == 1")) == 2, 120, "both hosts in Prometheus")
        wait_until(lambda: len(prometheus("probe_success == 1")) == 2, 120, "the synthetic checks")
        wait_until(lambda: prometheus("pg_up == 1"), 120, "the database in Prometheus")
        wait_until(lambda: len(prometheus("sum by (instance) (api_requests_total{endpoint='/people'}) > 0")) == 2, 120, "requests that both hosts have counted")
        down = podman.compose("down", "-v", "--timeout", "20")
        assert down.returncode == 0, down.stderr[-2000:]
        assert podman.run("podman", "ps", "-aq").stdout == "" and "titanic_" not in podman.run("podman", "volume", "ls", "-q").stdout
    finally:
        podman.close()


TOY = {
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(toy C)\nset(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\nadd_executable(bulkhead src/main.c)\n",
    "CMakePresets.json": '{"version": 3, "configurePresets": [{"name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release"}]}',
    "src/main.c": '#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\nint main(int c, char** v) {\n  if (c > 1 && strcmp(v[1], "check") == 0) return 0;\n  FILE* f = fopen("served", "w");\n  fprintf(f, "VALUE 1 %d\\n", getpid());\n  fclose(f);\n  for (;;) pause();\n}\n',
    "configs/titanic.yaml": "a: b\n",
}


def test_a_saved_source_is_served(tmp_path):
    """Built and started anew; one that does not compile leaves what ran; nothing is left behind at the end."""
    for name, text in TOY.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "build").mkdir()
    log = open(tmp_path / "build/watch.log", "wb")
    watch = subprocess.Popen([str(FOLDER / "watch")], env={**os.environ, "ROOT": str(tmp_path)}, stdout=log, stderr=log)
    source, served = tmp_path / "src/main.c", tmp_path / "served"

    def said():
        words = served.read_text().split() if served.exists() else []
        return words if len(words) == 3 else ["", "0", "0"]

    try:
        wait_until(lambda: said()[1] == "1", 60, "the first build")
        time.sleep(1)
        source.write_text(source.read_text().replace("VALUE 1", "VALUE 2"))
        saved = time.monotonic()
        wait_until(lambda: said()[1] == "2", 60, "what was saved")
        print(f"saved, built and started anew in {time.monotonic() - saved:.1f} s")
        pid = int(said()[2])
        good = source.read_text()
        source.write_text(good + "no C\n")
        wait_until(lambda: b"the build failed" in (tmp_path / "build/watch.log").read_bytes(), 60, "the failure")
        os.kill(pid, 0)  # goes on
        (tmp_path / "src/new.c").write_text(good.replace("VALUE 2", "VALUE 3"))  # as editors do: beside, then renamed
        (tmp_path / "src/new.c").rename(source)
        wait_until(lambda: said()[1] == "3", 60, "the repaired one")
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the old one's end")
        pid = int(said()[2])
    finally:
        watch.terminate()
        assert watch.wait(timeout=60) == 0
    assert not os.path.exists(f"/proc/{pid}"), "the host ends with it"
