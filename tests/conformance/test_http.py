"""HTTP/1.1 over raw sockets. Section numbers: RFC 9112 unless 9110 is named."""

import os
import re
import socket
import time

import pytest

from conftest import contract_config
from support.servers import PRESET, Raw, wait_until

HELLO = "GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = """  limits: { connections: 40, pipelined: 8, request_line: 2KiB, header: 8KiB, header_fields: 20, body: 64KiB, bodies_in_memory: 256KiB, queued: 256KiB }
  timeouts: { header: 700ms, body: 900ms, idle: 1500ms, request: 5s, write: 2s, drain: 5s }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from support.servers import Host

    host = Host(contract_config("cpp_hello", ("c", "chained", "{ name: c }"), "async", "blocking", "noisy"), tmp_path_factory.mktemp("http"))
    yield host
    host.stop()


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    from support.servers import Host

    host = Host(contract_config("cpp_hello", ("c", "chained", "{ name: c }"), "async", "noisy", server=LIMITS), tmp_path_factory.mktemp("limits"))
    yield host
    host.stop()


def exchange(host, data, head=False):
    with Raw(host.port) as raw:
        return raw.send(data).answer(head)


# ------------------------------------------------------------------ messages

def test_s9_3_keep_alive_and_pipelining(server):
    with Raw(server.port) as raw:
        for _ in range(3):
            assert raw.send(HELLO).answer().body == b"hello x"
        raw.send("".join(f"GET /hello/{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(50)))
        assert [raw.answer().body for _ in range(50)] == [f"hello {n}".encode() for n in range(50)]


def test_every_split_of_a_message(server):
    body = "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    message = f"POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}" + HELLO
    for at in range(1, len(message)):
        with Raw(server.port) as raw:
            raw.send(message[:at])
            time.sleep(0.001)
            raw.send(message[at:])
            assert raw.answer().body == b"hello world", at
            assert raw.answer().body == b"hello x", at


def test_byte_by_byte(server):
    with Raw(server.port) as raw:
        for byte in "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + HELLO:
            raw.send(byte)
        assert raw.answer().body == b"hello" and raw.answer().body == b"hello x"


@pytest.mark.parametrize("request_, alive", [
    ("GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n", True), ("GET /hello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
    ("GET /hello/x HTTP/1.0\r\n\r\n", False), ("GET /hello/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
])
def test_s9_6_connection(server, request_, alive):
    with Raw(server.port) as raw:
        answer = raw.send(request_).answer()
        assert answer.status == 200
        assert (answer.headers.get("connection") == "close") is not alive
        if alive:
            assert raw.send(HELLO).answer().status == 200
        else:
            assert raw.ended()


def test_9110_s9_3_2_head(server):
    with Raw(server.port) as raw:
        answer = raw.send("HEAD /hello/x HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
        assert answer.status == 200 and answer.headers["content-length"] == "7"
        assert raw.send("HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True).status == 404
        assert raw.send(HELLO).answer().body == b"hello x", "no body came before it"


def test_9110_s9_3_7_options(server):
    answer = exchange(server, "OPTIONS /hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 204 and answer.headers["allow"] == "GET, HEAD, OPTIONS" and "content-length" not in answer.headers
    assert exchange(server, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").status == 204
    assert exchange(server, "OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


def test_9110_s15_5_6_and_s15_6_2_methods(server):
    answer = exchange(server, "DELETE /hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert exchange(server, "BREW /hello/x HTTP/1.1\r\nHost: x\r\n\r\n").status == 501
    assert exchange(server, "get /hello/x HTTP/1.1\r\nHost: x\r\n\r\n").status == 501, "methods are case-sensitive"


def test_9110_s10_1_1_expect(server):
    with Raw(server.port) as raw:
        raw.send("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert raw.answer().status == 100
        assert raw.send("hello").answer().body == b"hello"
    refused = exchange(server, "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nX-Stop: admit\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert refused.status == 403 and refused.headers["connection"] == "close", "the body is never asked for"
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n").status == 417


def test_9110_s6_6_1_date_and_ids(server):
    answer = exchange(server, HELLO)
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    echoed = exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: my-Id_1.2\r\n\r\n")
    assert echoed.headers["x-request-id"] == "my-Id_1.2"
    for insane in ("a b", "x" * 129, "<script>"):
        answer = exchange(server, f"GET /hello/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: {insane}\r\n\r\n")
        assert answer.headers["x-request-id"] != insane


@pytest.mark.parametrize("target, status, body", [
    ("/hello/a%2Fb", 200, b"hello a/b"), ("/hello/%C3%A9", 200, "hello é".encode()), ("/hello/../hello/y", 200, b"hello y"), ("/%2e%2e/hello/y", 200, b"hello y"),
    ("http://x/hello/y", 200, b"hello y"), ("/hello/y?a=b", 200, b"hello y"), ("/hello/%zz", 400, None), ("/hello/%00", 400, None), ("/hello/", 404, None),
    ("/hello//", 404, None), ("x:80", 400, None), ("/hello/y#z", 400, None),
])
def test_s3_2_targets(server, target, status, body):
    answer = exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == status and (body is None or answer.body == body)


@pytest.mark.parametrize("message, status", [
    ("GET /hello/x HTTP/1.1\r\n\r\n", 400), ("GET /hello/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), ("GET /hello/x HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ("GET /hello/x HTTP/1.1\r\nHost : x\r\n\r\n", 400), ("GET /hello/x HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400), ("GET /hello/x HTTP/1.1\nHost: x\n\n", 400),
    ("nonsense\r\n\r\n", 400), ("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400), ("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
])
def test_after_a_framing_error_nothing_is_executed(server, message, status):
    with Raw(server.port) as raw:
        answer = raw.send(message + HELLO).answer()
        assert answer.status == status and answer.headers["connection"] == "close"
        assert answer.headers["content-type"] == "application/problem+json" and answer.json["status"] == status
        assert raw.answer() is None and raw.ended()


def test_s2_2_empty_lines_between_requests(server):
    with Raw(server.port) as raw:
        assert raw.send(HELLO + "\r\n").answer().status == 200
        time.sleep(0.1)
        assert raw.send(HELLO).answer().status == 200


def test_an_unsafe_request_waits_for_those_before_it(server):
    with Raw(server.port) as raw:
        raw.send("GET /async/150 HTTP/1.1\r\nHost: x\r\n\r\n" + "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" + HELLO)
        assert [raw.answer().body for _ in range(3)] == [b"/async/150", b"a", b"hello x"]


def test_mixed_pipeline_of_good_slow_and_failing(server):
    with Raw(server.port) as raw:
        raw.send("GET /async/80 HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /async/dropped HTTP/1.1\r\nHost: x\r\n\r\nGET /blocking/40 HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO)
        assert [raw.answer().status for _ in range(5)] == [200, 404, 500, 200, 200]


def test_a_half_closed_connection_gets_its_answer(server):
    with Raw(server.port) as raw:
        raw.send("GET /async/100 HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.answer().body == b"/async/100" and raw.ended()


def test_a_request_outlives_the_header_timeout(limited):
    with Raw(limited.port) as raw:
        assert raw.send("GET /async/1500 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body == b"/async/1500"


# -------------------------------------------------------------------- limits

def test_sizes_of_the_head(limited):
    assert exchange(limited, f"GET /{'a' * 3000} HTTP/1.1\r\nHost: x\r\n\r\n").status == 414
    assert exchange(limited, f"GET / HTTP/1.1\r\nHost: x\r\nA: {'a' * 9000}\r\n\r\n").status == 431
    assert exchange(limited, "GET / HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 20 + "\r\n").status == 431
    assert exchange(limited, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 19 + "\r\n").status == 200
    assert exchange(limited, f"GET /hello/x HTTP/1.1\r\nHost: x\r\nA: {'a' * 7900}\r\n\r\n").status == 200
    assert exchange(limited, "a" * 5000).status == 414, "without a line end"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_limit_and_one_byte_more(limited, chunked):
    for size, status in ((65536, 200), (65537, 413)):
        if chunked:
            data = f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n"
        else:
            data = f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size
        answer = exchange(limited, b"POST /chained/c/echo HTTP/1.1\r\nHost: x\r\n" + data)
        assert answer.status == status
        assert status != 200 or len(answer.body) == size


def test_all_bodies_together(limited):
    held = []
    for _ in range(4):
        raw = Raw(limited.port)
        held.append(raw.send("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\nx"))
    time.sleep(0.1)
    answer = exchange(limited, "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\nx")
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    for raw in held:
        raw.socket.close()
    wait_until(lambda: exchange(limited, b"POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536).status == 200, what="room for bodies")


def test_slow_head_body_and_idle(limited):
    with Raw(limited.port) as raw:
        assert raw.send("GET /hello").answer().status == 408 and raw.ended()
    with Raw(limited.port) as raw:
        answer = raw.send("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").answer()
        assert answer.status == 408 and raw.ended()
    with Raw(limited.port) as raw:
        assert raw.ended(), "a silent connection is closed without a word"
    with Raw(limited.port) as raw:
        assert raw.send(HELLO).answer().status == 200
        assert raw.ended(), "as is an idle one"
    with Raw(limited.port) as raw:
        assert raw.send(HELLO).answer().status == 200
        assert raw.send("GET /hello").answer().status == 408, "the second request has its deadline too"


def test_connections_past_the_limit(limited):
    held = [Raw(limited.port) for _ in range(40)]
    answers = wait_until(lambda: [a for a in [exchange(limited, "")] if a], what="a refusal")
    assert answers[0].status == 503 and answers[0].headers["retry-after"] == "1"
    for raw in held:
        raw.socket.close()

    def served():
        try:
            answer = exchange(limited, HELLO)
            return answer is not None and answer.status == 200
        except OSError:
            return False

    wait_until(served, what="a free connection")


def cpu_seconds(host):
    fields = open(f"/proc/{host.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_slow_readers_cost_nothing_and_get_everything(server):
    slow = []
    for _ in range(20):
        raw = Raw(server.port)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.append(raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n"))
    time.sleep(0.5)
    before = cpu_seconds(server)
    time.sleep(1)
    assert cpu_seconds(server) - before < 0.3, "stalled readers do not spin a thread"
    assert exchange(server, HELLO).body == b"hello x"
    for raw in slow:
        answer = raw.answer()
        assert len(answer.body) == 8 * 1024 * 1024 and not answer.body.strip(b"x")
        raw.socket.close()


def test_a_reader_that_stalls_for_ever_is_let_go(limited):
    with Raw(limited.port) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n")
        connections = lambda: limited.resources()[0]
        before = connections()
        wait_until(lambda: connections() < before, what="the connection to be closed")


def test_pipelined_answers_to_a_slow_reader(server):
    with Raw(server.port) as raw:
        raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + HELLO)
        time.sleep(0.3)
        assert [len(raw.answer().body) for _ in range(4)] == [8 * 1024 * 1024] * 3 + [7]


def test_storms_and_resets_leave_nothing_behind(server):
    import random
    import struct

    def storm():
        for n in range(300):
            raw = Raw(server.port)
            data = (HELLO + "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")[: random.randint(0, 120)]
            raw.send(data)
            if n % 2:
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.socket.close()
        assert exchange(server, HELLO).body == b"hello x"

    storm()
    time.sleep(3)
    descriptors, threads, memory = server.resources()
    for _ in range(2):
        storm()

    def settled():
        now = server.resources()
        return now[0] <= descriptors + 2 and now[1] <= threads

    wait_until(settled, what="descriptors and threads to be given back")
    growth = server.resources()[2] - memory
    assert growth < 4096 * (1 if PRESET == "release" else 16), f"{growth} KiB more"


def test_descriptors_run_out_and_come_back(tmp_path):
    import resource

    from support.servers import Host

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    host = Host(contract_config("cpp_hello"), tmp_path, start=False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, limits[1]))
    try:
        import subprocess

        host.environment = dict(host.environment)
        real = subprocess.Popen
        subprocess.Popen = lambda *a, **k: real(*a, **{**k, "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))})
        host.start()
    finally:
        subprocess.Popen = real
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    held = [Raw(host.port) for _ in range(150)] + [Raw(host.admin) for _ in range(50)]
    time.sleep(0.3)
    before = cpu_seconds(host)
    time.sleep(1)
    assert cpu_seconds(host) - before < 0.3, "waiting for descriptors does not spin"
    for raw in held:
        raw.socket.close()
    wait_until(lambda: exchange(host, HELLO) is not None, what="healing")
    host.stop()
