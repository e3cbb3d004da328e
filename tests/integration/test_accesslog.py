"""The accesslog plugin behind a real host: what is written, where, and what never waits for it."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from integration.test_database import full_disk
from integration.test_metrics import samples
from support.http import HELLO, contract_config, refused
from support.otlp import Collector
from support.servers import BULKHEAD, Raw, wait_until


def plugin(config=""):
    return f"  - id: accesslog\n    config: {{ {config} }}\n"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def counted(host, name, **labels):
    return samples(host).get((name, frozenset(labels.items())), 0)


def test_one_line_a_request(hosts, tmp_path):
    file = tmp_path / "access.log"
    host = hosts(contract_config("cpp_hello", "async", extra="  - { id: tracing, config: { endpoint: '' } }\n" + plugin(f"file: {file}, redact_query: [ mine ]")))
    answer = host.get("/hello/x?token=hunter2&mine=1&page=3", headers={"user-agent": "probe/1", "x-request-id": "r-1"})
    host.get("/nothing/here")
    host.get("/async/dropped")
    with Raw(host.port) as raw:
        raw.send("GARBAGE\r\n\r\n").answer()
    with Raw(host.port) as raw:
        raw.send("GET /async/3000 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
    wait_until(lambda: len(lines_of(file)) == 4, what="four lines: what is no request has none")
    by_path = {line["http"]["path"]: line for line in lines_of(file)}
    good, missing, failed, left = (by_path[path] for path in ("/hello/x", "/nothing/here", "/async/dropped", "/async/3000"))
    assert {"level": "info", "service": "titanic-api", "request_id": "r-1", "plugin": "cpp_hello", "message": "GET /hello/x"}.items() <= good.items()
    assert good["trace_id"] == answer.headers["x-trace-id"] and good["span_id"] == answer.headers["traceparent"][36:52]
    http = dict(good["http"])
    assert 0 < http.pop("duration_ms") < 60_000 and http.pop("bytes") > len(answer.body)
    assert http == {"method": "GET", "path": "/hello/x", "query": "token=REDACTED&mine=REDACTED&page=3", "route": "/hello/{name}", "status": 200, "protocol": "HTTP/1.1", "peer": "127.0.0.1", "user_agent": "probe/1"}
    assert missing["http"]["status"] == 404 and "route" not in missing["http"] and missing["plugin"] == "host"
    assert failed["http"]["status"] == 500 and failed["level"] == "error"
    assert left["http"]["status"] == 499
    assert "hunter2" not in file.read_text()


def test_whatever_callers_send_stays_a_line(hosts, tmp_path):
    file = tmp_path / "access.log"
    host = hosts(contract_config("cpp_hello", extra=plugin(f"file: {file}")))
    with Raw(host.port) as raw:
        raw.send(b'GET /hello/%22%0a?q=%22%ff HTTP/1.1\r\nHost: x\r\nUser-Agent: "quoted\\" \xe2\x82\xac \xff\r\n\r\n').answer()
    wait_until(lambda: file.read_text(), what="its line")
    (line,) = lines_of(file)
    assert line["http"]["path"] == "/hello/%22%0a" and line["http"]["query"] == "q=%22%ff", "as sent"
    assert line["http"]["user_agent"] == '"quoted\\" € \ufffd'


def test_rules(hosts, tmp_path):
    file = tmp_path / "access.log"
    rules = "rules: [ { status: 5xx }, { slower_than_ms: 2000 }, { route: '/hello/*', sample: 0.25 }, { sample: 0 } ]"
    host = hosts(contract_config("cpp_hello", "async", extra=plugin(f"file: {file}, {rules}")))
    with Raw(host.port) as raw:
        for _ in range(1000):
            raw.send(HELLO).answer()
    for path in ("/async/1", "/async/dropped", "/async/2100", "/nothing"):
        host.get(path)
    wait_until(lambda: any(line["http"]["path"] == "/async/2100" for line in lines_of(file)), what="the slow one")
    paths = [line["http"]["path"] for line in lines_of(file)]
    # Binomial(1000, 1/4): a deviation of 14.
    assert 170 <= paths.count("/hello/x") <= 330
    assert sorted(set(paths)) == ["/async/2100", "/async/dropped", "/hello/x"]


def test_a_rotation_loses_nothing(hosts, tmp_path):
    file, total = tmp_path / "access.log", 0
    host = hosts(contract_config("cpp_hello", extra=plugin(f"file: {file}")))
    stop = threading.Event()

    def ask():
        nonlocal total
        with Raw(host.port) as raw:
            while not stop.is_set():
                raw.send(HELLO).answer()
                total += 1

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(3):
        time.sleep(0.3)
        file.rename(tmp_path / f"access.log.{number}")
        host.process.send_signal(signal.SIGUSR1)
        wait_until(file.exists, what="the new file")
    stop.set()
    thread.join()
    host.stop()
    parts = [lines_of(path) for path in tmp_path.glob("access.log*")]
    assert sum(map(len, parts)) == total > 100 and len(parts) == 4


def test_standard_output_that_nobody_reads(hosts, tmp_path):
    """A full pipe costs no request anything; what does not fit is counted, and the host stops all the same."""
    read, write = os.pipe()
    host = hosts(contract_config("cpp_hello", extra=plugin("buffer_kib: 64") + "  - id: metrics\n"), start=False)
    host.log_file = open(host.log_path, "ab")
    host.process = subprocess.Popen([str(BULKHEAD), "serve", str(host.config)], stdout=write, stderr=host.log_file)
    os.close(write)
    wait_until(host.answers, what="the host")
    with Raw(host.port) as raw:
        for _ in range(3000):
            assert raw.send(HELLO).answer().status == 200
    wait_until(lambda: counted(host, "accesslog_dropped_total", reason="buffer_full") > 0, what="lines that are lost")
    os.set_blocking(read, False)
    found = b""
    end = time.monotonic() + 30
    while time.monotonic() < end and b'"message":"GET /hello/last"' not in found:
        host.get("/hello/last")
        try:
            found += os.read(read, 1 << 20)
        except BlockingIOError:
            time.sleep(0.05)
    assert b'"message":"GET /hello/last"' in found, "once somebody reads, lines come again"
    for line in found.split(b"\n")[:-1]:
        assert line == b"" or line.startswith(b'{"timestamp"') or not line.endswith(b"}"), line
    with Raw(host.port) as raw:
        for _ in range(1000):  # and full again
            raw.send(HELLO).answer()
    began = time.monotonic()
    host.stop()
    assert time.monotonic() - began < 20, "a second for the pipe, and what stopping takes"
    os.close(read)


def test_a_full_disk(hosts, tmp_path):
    flag, folder = tmp_path / "full", tmp_path / "logs"
    folder.mkdir()
    file = folder / "access.log"
    host = hosts(contract_config("cpp_hello", extra=plugin(f"file: {file}") + "  - id: metrics\n"), environment=full_disk(flag, folder))
    host.get("/hello/before")
    wait_until(lambda: lines_of(file), what="a line")
    flag.touch()
    assert host.get("/hello/during").status == 200
    wait_until(lambda: counted(host, "accesslog_dropped_total", reason="write_failed") > 0, what="the loss")
    wait_until(lambda: any("the access log loses lines" in line["message"] and "space" in line["error"] for line in host.log_lines()), what="the reason")
    flag.unlink()
    host.get("/hello/after")
    wait_until(lambda: [line for line in lines_of(file) if line["http"]["path"] == "/hello/after"], what="lines again")


def test_exported_lines(hosts, tmp_path):
    collector = Collector()
    tracing = f"  - id: tracing\n    config: {{ endpoint: '{collector.url}', logs: true, batch: {{ delay_ms: 100 }} }}\n"
    host = hosts(contract_config("cpp_hello", extra=tracing + plugin(f"file: {tmp_path}/access.log, otlp: true")))
    answer = host.get("/hello/x?token=a")
    wait_until(lambda: any(log.body == "GET /hello/x" for log in collector.logs), what="the line")
    (log,) = [log for log in collector.logs if log.body == "GET /hello/x"]
    assert log.trace_id == answer.headers["x-trace-id"]
    assert {"http.request.method": "GET", "http.route": "/hello/{name}", "http.response.status_code": 200, "url.query": "token=REDACTED"}.items() <= log.attributes.items()
    host.stop()
    collector.close()
    assert collector.wrong == []


@pytest.mark.parametrize("config, message", [
    ("file: /nowhere/access.log", "/nowhere/access.log: No such file or directory"),
    ("rules: [ { status: 6xx } ]", "/rules/0/status: '6xx' is not a status: write 404, 5xx or 400-499"),
    ("rules: [ { rout: x } ]", "did you mean 'route'?"),
])
def test_bad_configuration(tmp_path, config, message):
    assert message in refused(tmp_path, contract_config("cpp_hello", extra=plugin(config)))


def test_otlp_needs_the_tracing_plugin(hosts, tmp_path):
    host = hosts(contract_config("cpp_hello", extra="  - { id: tracing, config: { logs: true, disabled: true } }\n" + plugin(f"file: {tmp_path}/b, otlp: true")))
    assert host.get("/hello/x").status == 200, "OTEL_SDK_DISABLED stops no host"
    host = hosts(contract_config("cpp_hello", extra=plugin(f"file: {tmp_path}/a, otlp: true")), start=False)
    found = subprocess.run([BULKHEAD, "serve", host.config], capture_output=True, text=True, timeout=60)
    assert found.returncode == 1 and "'logs: true'" in found.stderr
