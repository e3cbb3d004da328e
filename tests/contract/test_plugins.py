"""The plugin contract, through real shared libraries in a real host."""

import http.client
import json
import signal
import subprocess
import threading
import time

import pytest

from support.http import contract_config
from support.servers import ABI, BUILD, BULKHEAD, CONTRACT, PRESET, ROOT, Host, Raw, free_port, wait_until


def run(*words, **more):
    return subprocess.run([str(BULKHEAD), *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60, **more)


def refused(tmp_path, config, at_start=False):
    """The messages of a host that must not start."""
    path = tmp_path / "refused.yaml"
    path.write_text(config.replace("{port}", str(free_port())).replace("{admin}", str(free_port())))
    served, checked = run("serve", path), run("check", path)
    assert served.returncode == 1, served.stderr
    assert checked.returncode == (0 if at_start else 1), "check looks at everything but start"
    return served.stderr


# ------------------------------------------------------------------- refusals

@pytest.mark.parametrize("library, words", [
    ("noplugin", "is not a Bulkhead plugin"), ("aborting", f"is built for plugin ABI 2.0, this host speaks {ABI}"), ("toonew", "newer than this host's"),
    ("absent", "No such file"), ("needy", "needs the service test.absent, which no enabled plugin offers"),
])
def test_a_plugin_that_cannot_be(tmp_path, library, words):
    message = refused(tmp_path, contract_config(library))
    assert words in message and f"plugin '{library}'" in message and "refused.yaml:" in message


def test_a_file_that_is_no_library(tmp_path):
    text = contract_config("cpp_hello").replace(f"{CONTRACT}/cpp_hello.so", str(ROOT / "README.md"))
    assert "is not a shared library (no ELF header)" in refused(tmp_path, text)


def test_a_name_that_is_not_there(tmp_path):
    message = refused(tmp_path, "server:\n  listen: 127.0.0.1:{port}\nplugins:\n  - id: databse\n")
    assert "no databse.so in" in message and "did you mean 'database'" in message


@pytest.mark.parametrize("where", ["create", "start"])
def test_a_plugin_that_throws(tmp_path, where):
    message = refused(tmp_path, contract_config("plain_c", ("throwing", "throwing", f"{{ where: {where} }}")), at_start=where == "start")
    assert f"no {where} today" in message and "throwing.so" in message


def test_a_configuration_the_schema_refuses(tmp_path):
    message = refused(tmp_path, contract_config(("throwing", "throwing", "{ wher: create }")))
    assert "/plugins/0/config/wher" in message and "did you mean 'where'" in message
    message = refused(tmp_path, contract_config(("throwing", "throwing", "{ where: nowhere }")))
    assert "expected one of" in message and "/plugins/0/config/where" in message


@pytest.mark.parametrize("attempt, words", [("route", "'route:/elsewhere' is not declared"), ("acquire", "'service:bh.sql' is not declared"), ("publish", "cannot publish bh.sql")])
def test_grants_are_enforced(tmp_path, attempt, words):
    assert words in refused(tmp_path, contract_config(("reserved", "reserved", f"{{ try: {attempt} }}")), at_start=attempt == "acquire")


def test_two_plugins_with_one_route(tmp_path):
    message = refused(tmp_path, contract_config(("a", "cpp_hello", "{}"), ("b", "cpp_hello", "{}")))
    assert "route GET /hello/{name}: a has it" in message


def test_an_order_that_contradicts_itself(tmp_path):
    config = contract_config("plain_c", "cpp_hello").replace("    config: {}\n", "    order: { after: [cpp_hello] }\n", 1)
    config = config[: config.rindex("    config: {}")] + "    order: { after: [plain_c] }\n"
    message = refused(tmp_path, config)
    assert "has a cycle" in message and "plain_c" in message and "cpp_hello" in message


def test_an_optional_plugin_is_left_out(hosts):
    extra = f"  - {{ id: gone, library: {CONTRACT}/gone.so, optional: true }}\n  - {{ id: needy, library: {CONTRACT}/needy.so, optional: true }}\n"
    extra += f"  - {{ id: throwing, library: {CONTRACT}/throwing.so, optional: true, config: {{ where: start }} }}\n"
    host = hosts(contract_config("cpp_hello", extra=extra))
    assert host.get("/hello/x").status == 200
    assert sum("optional plugin left out" in line["message"] for line in wait_until(host.log_lines)) == 3


def test_toggled_by_one_word(hosts):
    config = contract_config("plain_c", "cpp_hello")
    assert hosts(config).get("/hello/x").status == 200
    assert hosts(config + "    enabled: false\n").get("/hello/x").status == 404


def test_a_port_in_use(hosts, tmp_path):
    host = hosts(contract_config("cpp_hello"))
    path = tmp_path / "second.yaml"
    path.write_text(host.config.read_text())
    second = run("serve", path)
    assert second.returncode == 1 and "Address already in use" in second.stderr and "choose another one" in second.stderr


# -------------------------------------------------------------------- steps

def test_a_plugin_in_c(hosts):
    host = hosts(contract_config("plain_c"))
    assert host.request("POST", "/plain", "x" * 64).body == b"x" * 64
    assert host.request("POST", "/plain", "x" * 65).status == 413, "the route's own limit"


def test_breaking_the_rules_of_a_step(hosts):
    host = hosts(contract_config("forgetful"))
    for what, reason in (("next", "did not answer"), ("done", "BH_DONE without an answer"), ("pending", "let go of the exchange")):
        answer = host.get(f"/forgetful/{what}")
        assert answer.status == 500 and b"forget" not in answer.body
        line = wait_until(lambda: [line for line in host.log_lines() if line.get("request_id") == answer.headers["x-request-id"]], what="the log's line")[0]
        assert reason in line["message"] and line["plugin"] == "forgetful"
    assert host.get("/forgetful/status").json["detail"] == "refused as it should be"
    assert host.get("/forgetful/twice").body == b"first"
    split = host.get("/forgetful/header")
    assert split.status == 200 and "set-cookie" not in split.headers and "x-split" not in split.headers
    assert b"create and start only" in host.get("/forgetful/late-route").body


def test_what_a_step_throws(hosts):
    host = hosts(contract_config("throwing"))
    for path in ("/throwing/exception", "/throwing/other"):
        answer = host.get(path)
        assert answer.status == 500 and b"secret" not in answer.body
    wait_until(lambda: "secret reason" in host.log(), what="it in the log, which is written later")
    problem = host.get("/throwing/problem")
    assert problem.status == 422 and problem.json["errors"] == [{"pointer": "/a", "detail": "is wrong"}]


def test_what_is_thrown_over_the_c_abi(hosts):
    """Steps answer 500, on both kinds of threads; the host goes on, and the log names the plugin."""
    host = hosts(contract_config("lawless"))
    for path in ("step", "int", "blocking", "blocking-int"):
        answer = host.get(f"/lawless/{path}")
        assert answer.status == 500 and answer.json["status"] == 500 and b"raw reason" not in answer.body
    assert host.get("/lawless/elsewhere").body == b"answered"
    for words in ("threw: raw reason", "threw something that is no std::exception", "on_end threw: the end", "post threw: the task", "timer threw: the moment"):
        line = wait_until(lambda: next((line for line in host.log_lines() if words in line["message"]), None), what=words)
        assert line["plugin"] == "lawless" and line["level"] == "error"


@pytest.mark.skipif(PRESET != "release", reason="a sanitizer reports crashes itself")
@pytest.mark.parametrize("where", ["create", "on_end", "post", "timer"])
def test_a_crash_outside_of_steps_names_the_plugin(hosts, where):
    host = hosts(contract_config(("lawless", "lawless", f"{{ crash: {str(where == 'create').lower()} }}")), start=False)
    host.start(wait=where != "create")
    if where != "create":
        try:
            host.get(f"/lawless/crash/{where}")
        except (OSError, http.client.HTTPException):
            pass  # it died before the answer was out
    assert host.process.wait(timeout=30) == -signal.SIGSEGV
    host.stop(expect=-signal.SIGSEGV)
    assert f"bulkhead: SIGSEGV in plugin lawless, {where}" in host.log()


def test_a_body_is_edited_in_respond_only(hosts):
    host = hosts(contract_config("lawless"))
    answer = host.get("/lawless/edit")
    assert answer.status == 200 and int(answer.body) == -14, "BH_E_STATE"


def test_late_answers(hosts):
    host = hosts(contract_config("async"))
    assert host.get("/async/30").body == b"/async/30"
    assert host.get("/async/dropped").status == 500
    timed = host.get("/async/timed/600")
    assert timed.status == 504
    assert host.get("/async/timed/1").status == 200
    wait_until(lambda: host.get("/async/counts").json["gone"] == 1, what="the late answer to be refused")


def test_a_caller_who_leaves(hosts):
    host = hosts(contract_config("async"))
    with Raw(host.port) as raw:
        raw.send("GET /async/300 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.05)
        import socket
        import struct

        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A new connection that may get the same descriptor gets its own answer only.
    with Raw(host.port) as other:
        assert other.send("GET /async/400 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body == b"/async/400"
    wait_until(lambda: host.get("/async/counts").json == {"answered": 1, "gone": 1}, what="the counts")


def test_pipelined_late_answers_keep_their_order(hosts):
    host = hosts(contract_config("async"))
    with Raw(host.port) as raw:
        delays = [120, 10, 60, 0, 30]
        raw.send("".join(f"GET /async/{delay} HTTP/1.1\r\nHost: x\r\n\r\n" for delay in delays))
        started = time.monotonic()
        assert [raw.answer().body.decode() for _ in delays] == [f"/async/{delay}" for delay in delays]
        assert time.monotonic() - started < 10 * 0.22, "safe requests run side by side"


def test_the_executor(hosts):
    host = hosts(contract_config("blocking", "cpp_hello", server="  executor: { threads: 2, queue: 2 }\n"))
    answer = host.get("/blocking/1")
    assert answer.body == b"waited" and answer.headers["x-marked"] == "yes"
    assert host.get("/blocking/fails").status == 500
    assert host.get("/blocking/timed/600").status == 504
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(host.get("/blocking/500"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_until(lambda: any(answer.status == 503 for answer in statuses), what="a full queue")
    assert host.get("/hello/x").status == 200, "what does not block answers at once"
    for thread in threads:
        thread.join()
    busy = [answer for answer in statuses if answer.status == 503]
    assert busy and all(answer.headers["retry-after"] == "1" for answer in busy)
    assert {answer.status for answer in statuses} == {200, 503}


def test_hooks_in_phases(hosts):
    host = hosts(contract_config(("b-second", "chained", "{ name: b }"), ("a-first", "chained", "{ name: a }")).replace(
        "  - id: b-second", "  - id: b-second\n    order: { after: [a-first] }"))
    with Raw(host.port) as raw:
        raw.send("POST /chained/a/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        data = raw.socket.recv(65536).decode()
    assert data.count("x-trail: receive admitr authenticater authorizer preparebr \r\n") == 2
    orders = [line.split(": ")[1] for line in data.split("\r\n") if line.startswith("x-order")]
    assert orders == ["b-second", "a-first"], "RESPOND runs in reverse"
    assert "x-author: a-first" in data


def test_a_plugin_resumes_only_its_own_step(hosts):
    host = hosts(contract_config(("a", "chained", "{ name: a }"), ("b", "chained", "{ name: b }")))
    assert host.request("POST", "/chained/a/echo", "abc", {"x-stop": "twice"}).status == 403


def test_resumed_and_let_go_at_once(hosts):
    """While the step that waits for it returns: letting go after ex_resume is no 500."""
    host = hosts(contract_config(("c", "chained", "{ name: c, races: true }")))
    out = subprocess.run(["wrk", "-t1", "-c4", "-d2s", "-H", "X-Stop: race", f"http://127.0.0.1:{host.port}/chained/c/completed"],
                         capture_output=True, text=True, timeout=60).stdout
    assert int(host.get("/chained/c/completed").body) > 100 and "Non-2xx" not in out, out


def test_hooks_of_what_no_route_answers(hosts):
    host = hosts(contract_config(("c", "chained", "{ name: c }")))
    missing = host.get("/nowhere")
    assert missing.status == 404 and missing.headers["x-trail"] == "receive admit " and missing.headers["x-author"] == ""
    stopped = host.request("POST", "/chained/c/echo", "abc", {"x-stop": "admit"})
    assert stopped.status == 403 and stopped.headers["x-trail"].startswith("receive")
    waited = host.request("POST", "/chained/c/echo", "abc", {"x-stop": "wait"})
    assert waited.status == 200 and waited.body == b"abc"
    before = int(host.get("/chained/c/completed").body)
    host.get("/nowhere")
    wait_until(lambda: int(host.get("/chained/c/completed").body) >= before + 2, what="COMPLETE")


def test_scopes_and_identity(hosts):
    host = hosts(contract_config("identity"))
    assert host.get("/identity/secret").status == 401
    assert host.get("/identity/secret", headers={"authorization": "Key other"}).status == 403
    assert host.get("/identity/secret", headers={"authorization": "Key good"}).body == b"Key good"
    open_host = hosts(contract_config("identity", server="  scopes: ignore\n"))
    assert open_host.get("/identity/secret").status == 200
    assert any("scopes are ignored" in line["message"] for line in wait_until(open_host.log_lines))


def test_credentials_are_hidden_without_a_grant(hosts):
    host = hosts(contract_config("reserved"))
    secret = {"authorization": "Bearer s3cret", "cookie": "id=s3cret", "accept": "x"}
    assert host.get("/reserved/credentials", headers=secret).body == b"authorization= cookie= accept=x"
    assert host.get("/reserved/credentials", headers={"cookie": "id=s3cret", "accept": "y"}).body == b"authorization= cookie= accept=y"
    denied, foreign, own, tls = host.get("/reserved/identity").body.split()
    assert (int(denied), int(foreign), int(own), int(tls)) == (-3, -1, 0, -3)


def test_health_follows_the_plugins(hosts):
    health = f"  - {{ id: health, library: {BUILD}/lib/bulkhead/health.so }}\n"
    host = hosts(contract_config("slowstart", extra=health))
    starting = host.get("/health/ready")
    assert starting.status == 503 and starting.json["plugins"]["slowstart"] == {"state": "starting"}
    assert host.why("slowstart") == "warming up"
    early = host.request("POST", "/slowstart/failed")
    assert early.status == 503 and early.headers["retry-after"] == "1" and "'slowstart' is starting" in early.json["detail"]
    host.wait_ready()
    for state, status in (("ready", 200), ("degraded", 200), ("failed", 503), ("ready", 200)):
        assert host.request("POST", f"/slowstart/{state}").status == 204
        assert host.get("/health/ready").status == status
    assert host.get("/health/live").json == {"status": "alive", "service": "titanic-api"}


def test_posts_timers_and_a_flood_of_log_lines(hosts):
    host = hosts(contract_config("noisy"))
    wait_until(lambda: (lambda body: body["ticks"] > 2 and body["posts"] > 1)(host.get("/noisy/work").json), what="timer and posts")
    assert host.get("/noisy/log/20000").status == 204
    dropped = host.get("/_host/log", admin=True).json["dropped"]
    assert host.stop() == 0
    written = sum(line["message"] == "a line" for line in host.log_lines())
    assert written + dropped >= 19000, "every line is written or counted"


def test_metrics_reach_their_sink(hosts):
    # The sink is started last; what was registered before is replayed to it.
    host = hosts(contract_config("cpp_hello", "metricsink"))
    with Raw(host.port) as raw:
        raw.send("nonsense\r\n\r\n")
        assert raw.answer().status == 400
    wait_until(lambda: host.get("/metricsink/sums").json.get("bulkhead_refused_total,malformed") == 1, what="the count")


# ---------------------------------------------------------------- operations

def test_the_admin_listener(hosts):
    host = hosts(contract_config(("c", "chained", "{ name: c }"), "cpp_hello"))
    plugins = host.get("/_host/plugins", admin=True).json
    assert [plugin["id"] for plugin in plugins] == ["c", "cpp_hello"] and plugins[0]["health"] == "ready"
    routes = host.get("/_host/routes", admin=True).json
    assert {"method": "GET", "path": "/hello/{name}", "plugin": "cpp_hello", "scope": "", "blocking": False, "summary": "Greets."} in routes
    chain = host.get("/_host/chain?path=/hello/x", admin=True).json
    assert [entry["phase"] for entry in chain] == ["RECEIVE", "ADMIT", "AUTHENTICATE", "AUTHORIZE", "PREPARE", "step", "RESPOND", "COMPLETE"]
    assert all(entry["reason"] for entry in chain)
    assert host.get("/_host/chain?path=/nowhere", admin=True).status == 404
    assert host.get("/_host/plugins").status == 404, "not on the public listener"
    assert host.request("POST", "/_host/log", {"level": "debug"}, admin=True).json["level"] == "debug"
    assert host.request("POST", "/_host/log", {"level": "loud"}, admin=True).status == 400
    assert host.get("/_host/log", admin=True).json["level"] == "debug"


def test_sigusr1_reopens_the_log(hosts, tmp_path):
    import signal

    log = tmp_path / "host-own.log"
    host = hosts(contract_config("noisy").replace("plugins:", f"log: {{ file: {log} }}\nplugins:", 1))
    host.get("/noisy/log/1")
    wait_until(lambda: "a line" in log.read_text(), what="the first line")
    log.rename(tmp_path / "rotated.log")
    host.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: log.exists(), what="the new file")
    host.get("/noisy/log/1")
    wait_until(lambda: "a line" in log.read_text(), what="a line in the new file")


def test_sigterm_loses_no_request(hosts):
    host = hosts(contract_config("async"))
    with Raw(host.port) as slow, Raw(host.port) as idle:
        slow.send("GET /async/400 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.send("GET /async/0 HTTP/1.1\r\nHost: x\r\n\r\n").answer().status == 200
        time.sleep(0.1)
        host.terminate()
        answer = slow.answer()
        assert answer.body == b"/async/400" and answer.headers["connection"] == "close" and slow.ended()
        assert idle.ended()
    assert host.stop() == 0
    assert any(line["message"] == "stopped" for line in host.log_lines())


def test_sigterm_under_load_answers_everything(hosts):
    host = hosts(contract_config("cpp_hello"))
    problems, stop = [], threading.Event()

    def client():
        raw = Raw(host.port)
        while not stop.is_set():
            try:
                raw.send("GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
            except OSError:
                return  # closed after its last answer said so
            answer = raw.answer()
            if answer is None:
                problems.append("no answer")
                return
            if answer.headers.get("connection") == "close":
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert host.stop() == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_the_drain_has_a_deadline(hosts):
    host = hosts(contract_config("blocking", server="  timeouts: { drain: 300ms }\n"))
    with Raw(host.port) as raw:
        raw.send("GET /blocking/2000 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        assert host.stop() == 0
        assert raw.ended()
    assert "drain deadline passed" in host.log()


# --------------------------------------------------------------- command line

def test_commands_describe_what_would_run(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(contract_config(("c", "chained", "{ name: c }"), "cpp_hello").replace("{port}", "1").replace("{admin}", "2"))
    assert run("check", path).stdout.startswith(f"{path}: good, 2 plugins, 3 routes")
    assert json.loads(run("check", "--json", path).stdout)["ok"] is True
    assert [entry["id"] for entry in json.loads(run("plugins", "--json", path).stdout)] == ["c", "cpp_hello"]
    assert "GET     /hello/{name}" in run("routes", path).stdout
    assert "RECEIVE" in run("chain", "/hello/x", "-c", path).stdout
    assert run("chain", "/nowhere", "-c", path).returncode == 1
    assert run("run", "-c", path, "cpp_hello", "x").returncode == 2


def test_inspect():
    answer = run("inspect", "--json", BUILD / "lib/bulkhead/people.so")
    info = json.loads(answer.stdout)
    assert info["id"] == "people" and info["needs"] == [{"service": "bh.sql", "version": 1, "optional": False}, {"service": "bh.cache", "version": 1, "optional": True}] and "service:bh.sql" in info["grants"]
    assert "schema" in info and info["abi"] == ABI
    assert "bh.sql 1" in run("inspect", BUILD / "lib/bulkhead/database.so").stdout
    refused_file = run("inspect", CONTRACT / "aborting.so")
    assert refused_file.returncode == 1 and "plugin ABI 2.0" in refused_file.stderr


def test_usage():
    bare, wrong, version = run(), run("srve"), run("--version")
    assert bare.returncode == 0 and "Subcommands:" in bare.stdout
    assert wrong.returncode == 2 and "no command 'srve', did you mean 'serve'?" in wrong.stderr
    assert version.returncode == 0 and version.stdout == run("version").stdout
    named = run("check", "-c", ROOT / "configs/titanic.yaml")
    assert named.returncode == 0 and named.stdout == run("check", ROOT / "configs/titanic.yaml").stdout
    assert f"database: sqlite:///{ROOT}/var/titanic.db" in named.stdout, "three slashes are a relative path: the file is shown"
    assert run("serve", "/nowhere.yaml").returncode == 1
    assert json.loads(run("version", "--json").stdout)["abi"] == ABI
    for command in ("serve", "check", "plugins", "routes", "chain", "inspect", "run", "version"):
        answer = run(command, "--help")
        assert answer.returncode == 0 and "Example: bulkhead " + command in answer.stdout
    bad = run("check", ROOT / "CMakePresets.json")
    assert bad.returncode == 1 and "/configurePresets/0/binaryDir: the environment variable sourceDir is not set" in bad.stderr


def test_no_library_is_unmapped_at_the_end(hosts, tmp_path):
    """A thread nobody can join may be in it: one that waits for a name server, say."""
    loader = tmp_path / "loader"
    host = hosts(contract_config("cpp_hello"), environment={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(loader)})
    pid = host.process.pid
    assert host.stop() == 0
    lines = [line for line in (tmp_path / f"loader.{pid}").read_text().splitlines() if "cpp_hello.so" in line]
    assert any("calling init" in line for line in lines) and not any("destroying link map" in line for line in lines), lines


def test_every_first_party_plugin_describes_its_configuration():
    libraries = sorted((BUILD / "lib/bulkhead").glob("*.so"))
    assert {library.stem for library in libraries} >= {"database", "people", "health", "openapi"}

    def undescribed(schema, at):
        for name, part in schema.get("properties", {}).items():
            if not part.get("description"):
                yield f"{at}/{name}"
            yield from undescribed(part, f"{at}/{name}")

    for library in libraries:
        schema = json.loads(run("inspect", "--json", library).stdout)["schema"]
        assert list(undescribed(schema, library.stem)) == []
        exported = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True).stdout
        symbols = {line.split()[2] for line in exported.splitlines() if line.split()[1] != "A"}
        sanitizer = {symbol for symbol in symbols if symbol.startswith(("__asan", "__odr_asan", "__ubsan", "__tsan"))}
        assert symbols - sanitizer == {"bh_plugin_v1"}, library
