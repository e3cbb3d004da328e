"""Sizes, numbers and deadlines: at the limit it works, one past it the answer says so."""

import time

import pytest

from support.http import HELLO, contract_config, exchange
from support.servers import Host, PATIENCE, Raw, wait_until

LIMITS = """  limits: { connections: 40, pipelined: 8, request_line: 2KiB, header: 8KiB, header_fields: 20, body: 64KiB, bodies_in_memory: 256KiB, queued: 256KiB }
  timeouts: { header: 700ms, body: 900ms, idle: 1500ms, request: 5s, write: 2s, drain: 5s }
"""
POST = "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    host = Host(contract_config("cpp_hello", ("c", "chained", "{ name: c }"), "async", "noisy", "metricsink", server=LIMITS), tmp_path_factory.mktemp("limits"))
    yield host
    host.stop()


def test_the_request_line(server):
    line = "GET /hello/{} HTTP/1.1"
    longest = "a" * (2048 - len(line.format("")))
    assert exchange(server, line.format(longest) + "\r\nHost: x\r\n\r\n").status == 200
    assert exchange(server, line.format(longest + "a") + "\r\nHost: x\r\n\r\n").status == 414
    assert exchange(server, "a" * 5000).status == 414, "without a line end"


def test_header_bombs(server):
    field = "A: {}\r\n"
    block = "Host: x\r\n" + field.format("") + "\r\n"
    longest = "a" * (8192 - len(block))
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + field.format(longest) + "\r\n").status == 200
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + field.format(longest + "a") + "\r\n").status == 431
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 19 + "\r\n").status == 200
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 20 + "\r\n").status == 431
    for bomb in ("a" * 100_000, "a: b\r\n" * 20_000, "A: " + "a" * 100_000, "\t" * 10_000):
        with Raw(server.port) as raw:
            try:
                raw.send("GET /hello/x HTTP/1.1\r\nHost: x\r\n" + bomb)
            except OSError:
                pass  # closed in the middle of it
            answer = raw.answer()
            assert answer is None or answer.status in (400, 431)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_limit_and_one_byte_more(server, chunked):
    for size, status in ((65536, 200), (65537, 413)):
        if chunked:
            data = f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode() + b"x" * size + b"\r\n0\r\n\r\n"
        else:
            data = f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size
        answer = exchange(server, POST.encode() + data)
        assert answer.status == status
        assert status != 200 or len(answer.body) == size


def unread(server, raw):
    """Bytes of the connection that wait in the kernel, sent or received, before the host has read them."""
    mine, theirs = (f"0100007F:{port:04X}" for port in (raw.socket.getsockname()[1], server.port))
    queues = 0
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        _, local, remote, _, queue, *_ = line.split()
        if (local, remote) in ((mine, theirs), (theirs, mine)):
            queues += sum(int(part, 16) for part in queue.split(":"))
    return queues


def test_all_bodies_together(hosts):
    server = hosts(contract_config(("c", "chained", "{ name: c }"), server="  limits: { body: 64KiB, bodies_in_memory: 256KiB }\n"))
    whole = POST.encode() + b"Content-Length: 65536\r\n\r\n" + b"x" * 65536
    promised = [Raw(server.port).send(POST + "Content-Length: 65536\r\n\r\nx") for _ in range(20)]
    assert exchange(server, whole).status == 200, "a promise takes no room"
    held = [Raw(server.port).send(whole[:-50]) for _ in range(4)]
    wait_until(lambda: not any(unread(server, raw) for raw in held + promised), what="the host to read them")
    answer = exchange(server, whole)
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    chunked = exchange(server, POST.encode() + b"Transfer-Encoding: chunked\r\n\r\nf000\r\n" + b"x" * 0xF000)
    assert chunked.status == 503 and chunked.headers["connection"] == "close"
    for raw in held + promised:
        raw.socket.close()
    wait_until(lambda: exchange(server, whole).status == 200, what="room for bodies")


def test_a_chunk_header_without_end_behind_a_late_answer(server):
    """Refused while the connection is pumped, not while it is read: the answer leaves all the same."""
    with Raw(server.port) as raw:
        raw.send("GET /async/200 HTTP/1.1\r\nHost: x\r\n\r\n" + POST + "Transfer-Encoding: chunked\r\n\r\n5;" + "a" * 9000)
        assert raw.answer().body == b"/async/200"
        assert raw.answer().status == 431 and raw.ended()


def test_the_write_deadline_ends_with_what_was_written(hosts):
    """It was armed for a 100 that a full socket did not take; the upload that follows may take longer."""
    deadline = 0.7 * PATIENCE / 30  # a sanitized build takes longer over eight megabytes
    server = hosts(contract_config("noisy", ("c", "chained", "{ name: c }"), server=f"  timeouts: {{ write: {deadline * 1000:.0f}ms }}\n"))
    with Raw(server.port) as raw:
        raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n" + POST + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(0.2)
        assert len(raw.answer().body) == 8 * 1024 * 1024 and raw.answer().status == 100
        time.sleep(deadline + 0.5)
        assert raw.send("ok").answer().body == b"ok"


def test_deadlines_of_head_body_and_idleness(server):
    with Raw(server.port) as raw:
        assert raw.send("GET /hello").answer().status == 408 and raw.ended()
    with Raw(server.port) as raw:
        answer = raw.send(POST + "Content-Length: 10\r\n\r\nabc").answer()
        assert answer.status == 408 and raw.ended()
    with Raw(server.port) as raw:
        assert raw.ended(), "a silent connection is closed without a word"
    with Raw(server.port) as raw:
        assert raw.send(HELLO).answer().status == 200
        assert raw.ended(), "as is an idle one"


def test_deadlines_hold_for_every_request_of_a_connection(server):
    for second, status in (("GET /hello", 408), (POST + "Content-Length: 10\r\n\r\nabc", 408)):
        with Raw(server.port) as raw:
            assert raw.send(HELLO).answer().status == 200
            assert raw.send(second).answer().status == status and raw.ended()


@pytest.mark.parametrize("head", ["GET /hello/x HTTP/1.1\r\nHost: x\r\nA: ", POST + "Content-Length: 100000\r\n\r\n", POST + "Transfer-Encoding: chunked\r\n\r\nfff\r\n"])
def test_a_byte_now_and_then_buys_no_time(server, head):
    with Raw(server.port) as raw:
        raw.send(head.replace("100000", "1000"))
        started = time.monotonic()
        raw.socket.settimeout(0.1)
        while time.monotonic() - started < 20:
            try:
                raw.send("x")
                if raw._more():
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - started < 9, "ten times the deadline"
        assert not raw.buffer or b" 408 " in raw.buffer


def test_a_request_outlives_the_header_timeout(server):
    with Raw(server.port) as raw:
        assert raw.send("GET /async/1500 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body == b"/async/1500"


def test_a_reader_that_stalls_for_ever_is_let_go(server):
    with Raw(server.port) as raw:
        raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.get("/metricsink/counts").json.get("bulkhead_refused_total,write_stall") == 1, what="the stall to be counted")
        with pytest.raises((AssertionError, ConnectionError)):
            raw.answer()  # cut off in the middle


def test_connections_past_the_limit(server):
    """The idle ones up to the limit are kept, the next is told so at once, and there is room again after."""
    def filled():
        held = [Raw(server.port) for _ in range(40)]
        answers = wait_until(lambda: [a for a in [exchange(server, "")] if a], what="a refusal")
        assert answers[0].status == 503 and answers[0].headers["retry-after"] == "1"
        assert server.get("/_host/plugins", admin=True).status == 200, "the operator has places of their own"
        return held

    held = filled()
    for raw in held:
        raw.socket.close()

    def served():
        try:
            answer = exchange(server, HELLO)
            return answer is not None and answer.status == 200
        except OSError:
            return False

    wait_until(served, what="a free connection")
    time.sleep(1)
    held = filled()
    wait_until(served, what="the silent ones to be let go by their deadline")
    for raw in held:
        raw.socket.close()
