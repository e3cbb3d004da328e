"""What an operator sees: readiness, reasons, logs for people and machines, the description, and fields of answers that depend on others."""

import http.client
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import titanic_config
from support.http import check, contract_config
from support.servers import BUILD, BULKHEAD, PRESET, ROOT, Raw, free_port, wait_until
from test_people import BRAUND

ONE = f"/people/{BRAUND['uuid']}"
NODE = ROOT / "tests/node"


# ------------------------------------------------------------------ readiness


def test_strangers_see_states_and_no_reasons(hosts):
    port = free_port()
    host = hosts(titanic_config(f"postgresql://secretrole@127.0.0.1:{port}/x"))
    wait_until(lambda: host.why("database").startswith("down: "), what="the reason on the admin listener")
    ready = host.get("/health/ready")
    assert ready.status == 503 and ready.json["status"] == "unavailable"
    assert ready.json["plugins"]["database"] == {"state": "failed"}
    for secret in ("secretrole", str(port), "refused"):
        assert secret not in ready.body.decode()
    logged = wait_until(lambda: [line for line in host.log_lines() if line["message"] == "plugin health" and line["plugin"] == "database"], what="the reason in the log")
    assert "refused" in logged[0]["why"] and logged[0]["state"] == "failed" and logged[0]["level"] == "warn"


def test_reasons_for_callers_who_administer(hosts, tmp_path):
    from test_auth import bearer, make_key, secured

    health = contract_config(("slowstart", "slowstart", "{}")).split("plugins:\n")[1]
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db") + health).wait_ready()
    admin, reader = bearer(make_key(host, "host:admin")), bearer(make_key(host, "people:read"))
    host.request("POST", "/slowstart/degraded")
    reason = lambda headers: host.get("/health/ready", headers=headers).json["plugins"]["slowstart"]
    assert reason({}) == reason(reader) == {"state": "degraded"}
    assert reason(admin) == {"state": "degraded", "why": "degraded"}


def test_a_plugin_that_starts_answers_503(hosts, tmp_path):
    """GET /people was 200 [] while the first records were being loaded."""
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db"), start=False).start()
    seen = set()
    while not host.ready():
        answer = host.get("/people?limit=1")
        assert answer.status == 503 or len(answer.json) == 1, answer.body
        if answer.status == 503:
            assert answer.headers["retry-after"] == "1"
        seen.add(answer.status)
    assert len(host.get("/people?limit=1").json) == 1


def test_readiness_after_sigterm_on_a_kept_connection(hosts):
    health = f"  - id: health\n    library: {BUILD}/lib/bulkhead/health.so\n"
    host = hosts(contract_config("async", extra=health))
    ready = b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
    with Raw(host.port) as raw, Raw(host.port) as busy:
        assert raw.send(ready).answer().status == 200
        busy.send("GET /async/2000 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        host.terminate()
        while (answer := raw.send(ready).answer()).status == 200:
            pass
        assert answer.status == 503 and answer.json["status"] == "draining"
        assert busy.answer().status == 200, "what runs is answered"


def test_the_exit_does_not_wait_for_a_database_that_is_down(hosts):
    """What waits for it waits a second at most: the best of three ends is well below."""
    took = []
    for _ in range(3):
        host = hosts(titanic_config(f"postgresql://u@127.0.0.1:{free_port()}/x"))
        wait_until(lambda: "down: " in host.why("database"), what="word that it is down")
        begin = time.monotonic()
        host.stop()
        took.append(time.monotonic() - begin)
    assert min(took) < (0.9 if PRESET == "release" else 5), took


# ------------------------------------------------------------------------ logs


def on_terminal(*words, environment=None, until):
    """What a program writes to a terminal, until that is among it; then it is told to stop."""
    master, slave = pty.openpty()
    process = subprocess.Popen([str(word) for word in words], cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=slave, stderr=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    text, deadline = b"", time.monotonic() + 60
    try:
        while select.select([master], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                data = os.read(master, 65536)
            except OSError:  # the last one who had it open is gone
                break
            if until not in text and until in text + data:
                process.send_signal(signal.SIGTERM)
            text += data
        assert until in text and process.wait(timeout=30) is not None, text.decode()
    finally:
        process.kill() if process.poll() is None and process.wait(timeout=30) is None else None
        os.close(master)
    return text.decode()


def newcomer(tmp_path):
    return {"LISTEN": f"127.0.0.1:{free_port()}", "ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "DATABASE_URL": f"sqlite:///{tmp_path}/t.db"}


def test_a_terminal_gets_lines_in_colour(tmp_path):
    environment = {**newcomer(tmp_path), "NO_COLOR": ""}
    text = on_terminal(BULKHEAD, "serve", "configs/titanic.yaml", environment=environment, until=b"database ready")
    assert "\x1b[32minfo\x1b[0m" in text and "serving" in text and f"sqlite:///{tmp_path}/t.db" in text
    assert '{"timestamp"' not in text
    plain = on_terminal(BULKHEAD, "serve", "configs/titanic.yaml", environment={**newcomer(tmp_path), "NO_COLOR": "1"}, until=b"database ready")
    assert "\x1b[" not in plain and re.search(r"^\d{4}-\d\d-\d\dT[\d:.]+Z info  serving listen=", plain, re.M)


def test_a_file_gets_json_and_the_newcomers_requests_are_logged(tmp_path):
    environment = newcomer(tmp_path)
    log, requests = tmp_path / "log", tmp_path / "requests"
    with log.open("wb") as errors, requests.open("wb") as out:
        process = subprocess.Popen([str(BULKHEAD), "serve", "configs/titanic.yaml"], cwd=ROOT, env={**os.environ, **environment}, stdout=out, stderr=errors)
    try:
        host, port = environment["LISTEN"].split(":")

        def answers():
            try:
                connection = http.client.HTTPConnection(host, int(port), timeout=10)
                connection.request("GET", "/people?limit=1")
                return connection.getresponse().status == 200
            except OSError:
                return False

        wait_until(answers, what="an answer")
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert all(json.loads(line) for line in log.read_text().splitlines())
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    assert {"method": "GET", "path": "/people", "status": 200}.items() <= lines[-1]["http"].items()


def test_text_holds_no_control_characters(hosts):
    log = f"  - id: accesslog\n    library: {BUILD}/lib/bulkhead/accesslog.so\n    config: {{ format: text }}\n"
    host = hosts(contract_config("mirror", extra=log))
    host.get("/mirror/a%1b%5b31mb?x=%0a")
    with Raw(host.port) as raw:
        raw.send("GET /mirror HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    line = wait_until(lambda: re.search(r"^\d\d:\d\d:\d\d\.\d{3} GET /mirror/a%1b%5b31mb\?x=%0a 200 \d+\.\d{3} ms \d+ B 127\.0\.0\.1$", host.log(), re.M), what="the line")
    assert line and "\x1b" not in host.log()


def test_a_dry_run_says_that_nothing_has_started(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(titanic_config(f"sqlite:///{tmp_path}/t.db").replace("{port}", "5000").replace("{admin}", "5001"))
    listed = json.loads(subprocess.run([str(BULKHEAD), "plugins", "--json", "-c", str(config)], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert {each["health"] for each in listed} == {"not started"}


def test_what_a_plugin_throws_at_its_end_is_logged(hosts):
    host = hosts(contract_config(("throwing", "throwing", "{ where: stop }")))
    host.stop()
    assert any(line["message"] == "stop failed" and "no stop today" in line["reason"] and line["level"] == "error" for line in host.log_lines())


def test_a_problem_with_a_status_that_is_none(hosts):
    host = hosts(contract_config("throwing"))
    assert host.get("/throwing/nonsense").status == 500
    wait_until(lambda: "threw a Problem whose status 99 is not" in host.log(), what="the line")


# ------------------------------------------------------- check names both parties


@pytest.mark.parametrize("route, why", [
    ("GET /people", "GET /people: people has it"), ("get /odd", "'get' is no method, did you mean 'GET'"), ("G(T /odd", "'G(T' is no method"),
    ("GET /odd/{a}{b}", "enclose a whole segment"), ("GET /odd/{a:.*}", "'{a:.*}' is none"), ("GET /odd/..", "no request has the segment '..'"), ("GET /odd/{a}/{a}", "the parameter 'a' is named twice"),
    ("GET /odd/a\\nb", "control characters"), ("GET /people/{id}", "are those of /people/{uuid}, and people has it"),
])
def test_odd_routes_are_refused(tmp_path, route, why):
    method, pattern = route.split(" ")
    config = titanic_config(f"sqlite:///{tmp_path}/t.db", extra=f"  - id: odd\n    library: {BUILD}/lib/contract/odd.so\n    config: {{ method: \"{method}\", pattern: \"{pattern}\" }}\n")
    run = check(tmp_path, config)
    assert run.returncode == 1 and why in run.stderr, run.stderr


def test_hooks_and_operations_that_mean_nothing(tmp_path):
    odd = f"  - id: odd\n    library: {BUILD}/lib/contract/odd.so\n    config: {{ method: GET, pattern: /odd, HOW }}\n"
    config = lambda how: titanic_config(f"sqlite:///{tmp_path}/t.db", extra=odd.replace("HOW", how))
    idle = check(tmp_path, config("hook: '/poeple*'"))
    assert idle.returncode == 0 and "warning: plugin 'odd': its hooks for '/poeple*' match no route" in idle.stdout
    wrong = check(tmp_path, config("operation: '[]'"))
    assert wrong.returncode == 1 and "GET /odd: the operation is not a JSON object" in wrong.stderr


@pytest.mark.parametrize("url, why", [
    ("postgresql://u@h:99999/x", "no number from 1 to 65535"), ("postgresql://u@h:0/x", "no number from 1 to 65535"), ("postgresql://u@h/x?sslmode=bogus", "it takes disable, allow, prefer, require, verify-ca, verify-full"),
    ("postgresql://u@h/x?sslmode=requier", "did you mean 'require'"), ("postgresql://u@h/x?ssl_mode=require", "did you mean 'sslmode'"), ("postgresql://u@h/x?connect_timeout=soon", "whole number of at least 1"),
    ("postgresql://u@h/x?keepalives_idle=0", "whole number of at least 1"), ("postgresql://u@h/x?target_session_attrs=rw", "it takes any"), ("sqlite:///x.db?mode=ro", "takes no options"),
])
def test_a_database_url_is_what_the_driver_takes(tmp_path, url, why):
    run = check(tmp_path, titanic_config(url))
    assert run.returncode == 1 and why in run.stderr, run.stderr


@pytest.mark.parametrize("key, url, why", [
    ("endpoint", "http://c:4318/?key=s3cret", "must have no query"), ("endpoint", "http://c:99999", "no valid URL"), ("endpoint", "http://", "no valid URL"), ("traces_endpoint", "http://c/v1/traces#x", "has a '#'"),
])
def test_an_otlp_url_is_what_is_called(tmp_path, key, url, why):
    run = check(tmp_path, titanic_config(f"sqlite:///{tmp_path}/t.db", extra=f"  - id: tracing\n    config: {{ {key}: '{url}' }}\n"))
    assert run.returncode == 1 and why in run.stderr and "s3cret" not in run.stderr, run.stderr
    good = check(tmp_path, titanic_config(f"sqlite:///{tmp_path}/t.db", extra="  - id: tracing\n    config: { traces_endpoint: 'http://c:4318/v1/traces?key=x' }\n"))
    assert good.returncode == 0, good.stderr


def test_everything_exposed_and_credentials(tmp_path):
    cors = lambda how: titanic_config(f"sqlite:///{tmp_path}/t.db", extra=f"  - id: cors\n    config: {{ origins: ['https://a.example'], credentials: true{how} }}\n")
    assert check(tmp_path, cors("")).returncode == 0
    run = check(tmp_path, cors(", expose: ['*']"))
    assert run.returncode == 1 and "expose" in run.stderr


# ------------------------------------------------------- fields that go together


def test_a_304_varies_like_its_200(hosts, tmp_path):
    extra = "  - id: compression\n    config: { min_bytes: 1 }\n  - id: cors\n    config: { origins: ['https://a.example'] }\n  - id: cache\n    config: { routes: [{ route: '/people*' }, { route: '/openapi.json' }] }\n  - id: metrics\n"
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", extra=extra)).wait_ready()
    vary = lambda answer: sorted(part.strip() for name, value in answer.headers.items() if name == "vary" for part in value.split(","))
    for path in (ONE, "/people?limit=3"):
        for coding in ("gzip", "identity"):
            whole = host.get(path, headers={"accept-encoding": coding})
            same = host.get(path, headers={"accept-encoding": coding, "if-none-match": whole.headers["etag"]})
            assert whole.status == 200 and same.status == 304 and vary(whole) == vary(same) and "accept-encoding" in vary(whole), (path, whole.headers, same.headers)


def test_metrics_are_compressed(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", extra="  - id: compression\n  - id: metrics\n")).wait_ready()
    answer = host.get("/metrics", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and len(answer.body) < len(host.get("/metrics").body) / 3


def test_options_name_what_a_path_takes(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db")).wait_ready()
    record, collection = host.request("OPTIONS", ONE), host.request("OPTIONS", "/people")
    described = host.get("/openapi.json").json["paths"]
    takes = lambda path, method: sorted(described[path][method]["requestBody"]["content"])
    listed = lambda answer, field: sorted(answer.headers[field].split(", "))
    assert record.status == 204 and listed(record, "accept-patch") == takes("/people/{uuid}", "patch")
    assert listed(collection, "accept-post") == takes("/people", "post") and "accept-patch" not in collection.headers
    refused = host.request("PATCH", ONE, "x", headers={"content-type": "text/plain"})
    assert refused.status == 415 and sorted(refused.headers["accept-patch"].split(", ")) == takes("/people/{uuid}", "patch")


def test_headers_of_a_preflight_are_names(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", extra="  - id: cors\n    config: { origins: ['*'], headers: ['*'] }\n")).wait_ready()
    asked = {"origin": "https://a.example", "access-control-request-method": "PUT", "access-control-request-headers": 'x-a, b"c, <d>, ,x-e'}
    assert host.request("OPTIONS", ONE, headers=asked).headers["access-control-allow-headers"] == "x-a, x-e"


# ------------------------------------------------------------- the description


@pytest.mark.parametrize("config", ["titanic", "secured"])
def test_linters_find_no_error_in_the_description(hosts, tmp_path, config):
    """Redocly's recommended rules and Spectral's for OpenAPI."""
    from test_auth import secured

    url = f"sqlite:///{tmp_path}/t.db"
    host = hosts(titanic_config(url, extra="  - id: metrics\n") if config == "titanic" else secured(url)).wait_ready()
    file = tmp_path / "openapi.json"
    file.write_bytes(host.get("/openapi.json").body)
    document = json.loads(file.read_text())
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert document["servers"] and all("security" in operation for operation in operations)
    for operation in operations:
        guarded = config == "secured" and "x-scope" in operation
        assert bool(operation["security"]) == guarded
        assert not guarded or {"401", "403"} <= set(operation["responses"])
    redocly = subprocess.run([NODE / "node_modules/.bin/redocly", "lint", "--extends=recommended", "--format=json", file], capture_output=True, text=True, timeout=120, env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    assert redocly.returncode == 0, redocly.stdout + redocly.stderr
    rules = tmp_path / "spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    spectral = subprocess.run([NODE / "node_modules/.bin/spectral", "lint", "--fail-severity=error", "-r", rules, file], capture_output=True, text=True, timeout=120)
    assert spectral.returncode == 0, spectral.stdout + spectral.stderr
