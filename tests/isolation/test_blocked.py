"""A step that sleeps on an I/O thread: what it costs others, and what the operator is told."""

import concurrent.futures
import select
import socket
import time

import pytest

from support.certificates import Authority
from support.http import contract_config
from support.servers import wait_until

SLEEP_MS = 5000
CALLERS = 40


def sleepy(io_threads=4, extra="", **server):
    plugin = ("faulty", "faulty", f"{{ where: step, fault: sleep, ms: {SLEEP_MS} }}")
    lines = "".join(f"  {name}: {value}\n" for name, value in server.items())
    return contract_config(plugin, server=f"  io_threads: {io_threads}\n{lines}", extra=extra)


class Caller:
    """One connection that is kept."""

    def __init__(self, host, context=None):
        self.socket = socket.create_connection(("127.0.0.1", host.port), timeout=30)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.file = self.socket.makefile("rb")

    def send(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

    def receive(self):
        status = int(self.file.readline().split()[1])
        length = 0
        while (line := self.file.readline().strip()) != b"":
            name, value = line.split(b":", 1)
            length = int(value) if name.lower() == b"content-length" else length
        self.file.read(length)
        return status

    def get(self, path):
        self.send(path)
        return self.receive()


def blocked_line(host):
    return next((line for line in host.log_lines() if "is blocked" in line["message"]), None)


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
def test_others_are_served_meanwhile(hosts, tmp_path, secure):
    config, context = sleepy(), None
    if secure:
        authority = Authority(tmp_path / "authority")
        certificate, key = authority.issue("localhost")
        config = config.replace("listen: 127.0.0.1:{port}", f"listen: [{{ address: 127.0.0.1:{{port}}, tls: {{ certificate: {certificate}, key: {key} }} }}]")
        context = authority.client()
    host = hosts(config)
    idle = [Caller(host, context) for _ in range(CALLERS)]
    assert {caller.get("/faulty/fine") for caller in idle} == {200}
    sleeper = idle.pop()
    sleeper.send("/faulty")
    wait_until(lambda: blocked_line(host), what="the watchdog")
    # Those that were there before, on its thread or another; those that come now; the operator.
    for caller in idle:
        caller.send("/faulty/fine")
    assert {caller.receive() for caller in idle} == {200}
    assert {Caller(host, context).get("/faulty/fine") for _ in range(CALLERS)} == {200}
    assert host.get("/_host/plugins", admin=True).status == 200
    sleeper.socket.settimeout(0.01)
    with pytest.raises(TimeoutError):
        sleeper.socket.recv(1)  # it sleeps still
    over = lambda: [line for line in host.log_lines() if "goes on" in line["message"]]
    wait_until(over, what="the end of it")
    assert int(over()[0]["connections_moved"]) == CALLERS // 4 - 1, "each of the four threads had as many"
    assert {caller.get("/faulty/fine") for caller in idle} == {200}


def test_the_operator_is_told_who(hosts):
    host = hosts(sleepy(extra="  - id: metrics\n"))
    with concurrent.futures.ThreadPoolExecutor() as callers:
        asleep = callers.submit(host.get, "/faulty")
        wait_until(lambda: blocked_line(host), what="the watchdog")
        line = blocked_line(host)
        assert (line["level"], line["plugin"], line["route"]) == ("warn", "faulty", "/faulty")
        assert "go_wrong" in line["stack"] and "faulty.so+0x" in line["stack"], line
        assert line["request_id"]
        wait_until(lambda: 'bulkhead_io_blocked_total{plugin="faulty"} 1' in host.get("/metrics").body.decode(), what="the metric")
        assert asleep.result().status == 200


def test_one_thread_alone_serves_the_operator_all_the_same(hosts):
    host = hosts(sleepy(io_threads=1))
    with concurrent.futures.ThreadPoolExecutor() as callers:
        asleep = callers.submit(host.get, "/faulty")
        wait_until(lambda: blocked_line(host), what="the watchdog")
        assert host.get("/_host/plugins", admin=True).status == 200
        waits = callers.submit(host.get, "/faulty/fine")
        assert not asleep.done()
        assert waits.result().status == 200 and asleep.result().status == 200


@pytest.mark.parametrize("where", ["complete", "on_end"])
def test_a_connection_that_is_to_close_closes_behind_what_blocks(hosts, where):
    """The one whose end is under way is not taken for one that waits for its next request."""
    host = hosts(contract_config(("faulty", "faulty", f"{{ where: {where}, fault: sleep, ms: 400 }}"), server="  io_threads: 2\n"))
    caller = Caller(host)
    caller.socket.settimeout(20)  # idle connections are kept for 60 s
    caller.socket.sendall(b"GET /faulty HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"fine" in caller.file.read()
    wait_until(lambda: blocked_line(host), what="the watchdog")
    assert blocked_line(host)["plugin"] == "faulty"


def test_a_silent_connection_is_moved_once(hosts):
    """Else every move would give it its whole time again."""
    host = hosts(sleepy(io_threads=2, timeouts="{ header: 3s }").replace(f"ms: {SLEEP_MS}", "ms: 300"))
    silent = [socket.create_connection(("127.0.0.1", host.port)) for _ in range(4)]
    closed = lambda: [each for each in silent if select.select([each], [], [], 0)[0]]
    began = time.monotonic()
    while len(closed()) < len(silent):
        assert time.monotonic() - began < 30, "they are moved for ever"
        host.get("/faulty")
    for each in silent:
        each.close()
