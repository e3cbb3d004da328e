"""RFC 9112, HTTP/1.1 messages, over raw sockets. Each test names the section it is written from."""

import random
import socket
import time

import pytest

from support.http import HELLO, PLUGINS, contract_config, exchange, executed, seen
from support.servers import Host, Raw, wait_until

ECHO = "POST /mirror HTTP/1.1\r\nHost: x\r\n"
COUNTED = "GET /mirror HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    host = Host(contract_config(*PLUGINS), tmp_path_factory.mktemp("rfc9112"))
    yield host
    host.stop()


def refused(host, message, status):
    """An answer that says so, then the end: what comes behind is never executed."""
    message = message.encode("latin-1") if isinstance(message, str) else message
    before = executed(host)
    with Raw(host.port) as raw:
        answer = raw.send(message + COUNTED.encode() * 3).answer()
        assert answer is not None and answer.status in (status if isinstance(status, tuple) else (status,)), (message, answer and answer.status)
        assert answer.headers["connection"] == "close"
        assert answer.headers["content-type"] == "application/problem+json" and answer.json["status"] == answer.status
        assert raw.answer() is None and raw.ended()
    assert executed(host) == before, "something behind the error was executed"


# ------------------------------------------------------- 2. message, parsing

@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_s2_1_a_message_in_pieces(server, step):
    message = (ECHO + "Content-Length: 5\r\n\r\nhello" + ECHO + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n" + HELLO).encode()
    with Raw(server.port) as raw:
        for at in range(0, len(message), step):
            raw.send(message[at : at + step])
        assert [raw.answer().json["body"] for _ in range(2)] == ["hello", "abc"]
        assert raw.answer().body == b"hello x"


SPLIT = {
    "length": (ECHO + "Content-Length: 5\r\n\r\nhello" + HELLO, ["hello", None]),
    "chunked": (ECHO + "Transfer-Encoding: chunked\r\n\r\n5;a=\"b;c\"\r\nhello\r\n06\r\n world\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\n" + HELLO, ["hello world", None]),
    "expect": (ECHO + "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok\r\n" + HELLO, ["ok", None]),
}


@pytest.mark.parametrize("name", SPLIT)
def test_s2_1_every_split_of_a_message(server, name):
    message, bodies = SPLIT[name]
    connections = []
    for at in range(1, len(message)):
        raw = Raw(server.port)
        connections.append((at, raw.send(message[:at])))
    time.sleep(0.05)  # the first parts are read before the second ones come
    for at, raw in connections:
        raw.send(message[at:])
    for at, raw in connections:
        for body in bodies:
            answer = raw.answer()
            assert answer.status == 200 and (answer.body == b"hello x" if body is None else answer.json["body"] == body), at
        raw.socket.close()


@pytest.mark.parametrize("bad, status", [("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400), (ECHO + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX", 400), ("GET / HTTP/3.1\r\nHost: x\r\n\r\n", 505)])
def test_s2_1_every_split_of_a_bad_message(server, bad, status):
    before = executed(server)
    connections = []
    for at in range(1, len(bad)):
        connections.append((at, Raw(server.port).send(bad[:at])))
    time.sleep(0.05)
    for at, raw in connections:
        raw.send(bad[at:] + COUNTED)
    for at, raw in connections:
        assert raw.answer().status == status and raw.answer() is None, at
        raw.socket.close()
    assert executed(server) == before


def test_s2_2_empty_lines_before_a_request_line(server):
    with Raw(server.port) as raw:
        assert raw.send("\r\n" + HELLO + "\r\n\r\n\r\n").answer().status == 200
        time.sleep(0.05)
        assert raw.send(HELLO).answer().status == 200


def test_s2_2_lines_end_with_cr_lf(server):
    refused(server, "GET /mirror HTTP/1.1\nHost: x\n\n", 400)
    refused(server, "GET /mirror HTTP/1.1\r\nHost: x\n\r\n", 400)
    refused(server, "GET /mirror HTTP/1.1\r\nHost: x\r\nA: b\n\r\n", 400)
    refused(server, "GET /mirror HTTP/1.1\r\nHost: x\r\r\n\r\n", 400)
    refused(server, "GET /mirror HTTP/1.1\rHost: x\r\n\r\n", 400)
    refused(server, "GET /mirror HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400)


def test_s2_2_no_space_between_start_line_and_fields(server):
    refused(server, "GET /mirror HTTP/1.1\r\n Host: x\r\n\r\n", 400)
    refused(server, "GET /mirror HTTP/1.1\r\n\tA: b\r\nHost: x\r\n\r\n", 400)


def test_s2_3_versions(server):
    assert seen(server, "", version="HTTP/1.0")["http"] == 10
    assert seen(server)["http"] == 11
    assert seen(server, version="HTTP/1.7")["http"] == 11, "a higher minor is answered as the highest that is known"
    with Raw(server.port) as raw:
        raw.send("GET /hello/x HTTP/1.0\r\n\r\n")
        assert raw.socket.recv(9) == b"HTTP/1.1 ", "the server's own version"
    for version in ("HTTP/2.0", "HTTP/0.9", "HTTP/9.9"):
        refused(server, f"GET /mirror {version}\r\nHost: x\r\n\r\n", 505)
    for version in ("http/1.1", "HTTP/1", "HTTP/11", "HTTP/1.", "HTTP/1.12", "HTTP/A.B", "HTTP1.1", "HTTP/1,1", "XTTP/1.1"):
        refused(server, f"GET /mirror {version}\r\nHost: x\r\n\r\n", 400)


# ------------------------------------------------------------ 3. request line

@pytest.mark.parametrize("line", ["GET", "GET /mirror", "GET  /mirror HTTP/1.1", "GET /mirror  HTTP/1.1", "GET /mirror HTTP/1.1 ", " GET /mirror HTTP/1.1", "GET\t/mirror HTTP/1.1", "GET /mir ror HTTP/1.1",
                                  "GET /mirror\tHTTP/1.1", "G@T /mirror HTTP/1.1", "G\xc9T /mirror HTTP/1.1", "(GET) /mirror HTTP/1.1", "nonsense", "GET /mirror HTTP/1.1\x00", "\x16\x03\x01\x02\x00"])
def test_s3_request_line(server, line):
    refused(server, line + "\r\nHost: x\r\n\r\n", 400)


def test_s3_a_simple_request_of_http_0_9_is_refused(server):
    refused(server, "GET /mirror\r\n", 400)


def test_s3_1_methods_are_case_sensitive_tokens(server):
    for method in ("BREW", "get", "Get", "G", "A!#$%&'*+-.^_`|~9", "PROPFIND"):
        answer = exchange(server, f"{method} /mirror HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.status == 501, method


def test_s3_2_1_origin_form(server):
    reached = seen(server, target="/mirror/a%20b?c=d&e=%41")
    assert (reached["path"], reached["query"], reached["target"]) == ("/mirror/a b", "c=d&e=%41", "/mirror/a%20b?c=d&e=%41")
    assert seen(server, target="/mirror?")["query"] == "" and seen(server, target="/mirror?a?b/c")["query"] == "a?b/c"
    for target in ("mirror", "*mirror", "?a", "mailto:x@y", "/mirror#part", "/mirror?a#b", "//mirror#", "/mir\x7fror", "/mir\x01ror"):
        refused(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n", 400)


def test_s3_2_2_absolute_form_and_its_host(server):
    reached = seen(server, "Host: other\r\n", target="http://real:81/mirror?q")
    assert (reached["authority"], reached["path"], reached["query"], reached["scheme"]) == ("real:81", "/mirror", "q", "http")
    assert seen(server, target="HTTP://x/mirror")["path"] == "/mirror"
    assert seen(server, target="https://x/mirror")["scheme"] == "http", "the connection's, whatever the caller claims"
    assert exchange(server, "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n").status == 404, "an empty path is /"
    assert exchange(server, "OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n").status in (204, 404)
    for target in ("ftp://x/mirror", "http:///mirror", "http://:80/mirror", "http://u@x/mirror", "http:/mirror", "http://x/mirror#f", "http://a b/mirror", "http://x:port/mirror", "http://[::1/mirror", "http://x\\y/mirror"):
        refused(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n", 400)
    refused(server, "GET http://x/mirror HTTP/1.1\r\n\r\n", 400)  # Host is needed all the same (3.2)


def test_s3_2_3_authority_form(server):
    answer = exchange(server, "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
    assert answer.status == 501 and answer.headers["connection"] == "close", "what follows a CONNECT may be a tunnel's bytes"
    for target in ("x", "x:", ":80", "x:port", "http://x:80", "/mirror", "u@x:80", "x:80/"):
        refused(server, f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n", 400)
    refused(server, "GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400)


def test_s3_2_4_asterisk_form(server):
    answer = exchange(server, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 204 and "GET" in answer.headers["allow"]
    for method in ("GET", "POST", "BREW"):
        refused(server, f"{method} * HTTP/1.1\r\nHost: x\r\n\r\n", (400, 501))


def test_s3_2_host(server):
    for host in ("x", "x:80", "X.example", "127.0.0.1:5000", "[::1]", "[::1]:80", "a-b_c.d", "x%41", ""):
        assert seen(server, f"Host: {host}\r\n")["authority"] == host
    for fields in ("", "A: b\r\n", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n", "Host: a b\r\n", "Host: a, b\r\n", "Host: a/b\r\n", "Host: a?b\r\n", "Host: a#b\r\n", "Host: u@a\r\n", "Host: a:b\r\n",
                   "Host: http://a\r\n", "Host: a:80:80\r\n", "Host: [::1\r\n", "Host: ::1\r\n", "Host: [::1]a\r\n", "Host: a\x80\r\n"):
        refused(server, f"GET /mirror HTTP/1.1\r\n{fields}\r\n", 400)
    assert seen(server, "", version="HTTP/1.0")["authority"] == "", "1.0 had none"
    refused(server, "GET /mirror HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400)


# ------------------------------------------------------------------ 5. fields

def test_s5_field_syntax(server):
    headers = seen(server, "Host: x\r\nA:b\r\nB:  c \t\r\nEmpty:\r\nMiXeD: KeptCase\r\n!#$%&'*+-.^_`|~09: odd\r\nTab: a\tb\r\nObs: \xc3\xa9\r\n")["headers"]
    assert headers == [["host", "x"], ["a", "b"], ["b", "c"], ["empty", ""], ["mixed", "KeptCase"], ["!#$%&'*+-.^_`|~09", "odd"], ["tab", "a\tb"], ["obs", "é"]]


@pytest.mark.parametrize("line", ["A : b", " A: b", "A\t: b", ": b", "A", "A B: c", "A\x00: b", "A: b\x00c", "A: b\x01", "A: \x7f", "A(b): c", "A\xe9: b", "\"A\": b", "A: b\x0bc", "A[]: b", "A,B: c", "A@: b"])
def test_s5_1_bad_field_lines(server, line):
    refused(server, f"GET /mirror HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n", 400)
    refused(server, f"GET /mirror HTTP/1.1\r\n{line}\r\nHost: x\r\n\r\n", 400)


def test_s5_2_obsolete_folding_is_refused(server):
    for fold in ("Host: x\r\n folded\r\n", "Host: x\r\nA: b\r\n\tc\r\n", "Host: x\r\nA:\r\n b\r\n", "Host: x\r\nContent-Length:\r\n 5\r\n"):
        refused(server, f"GET /mirror HTTP/1.1\r\n{fold}\r\n", 400)


# --------------------------------------------------------- 6. body, framing

@pytest.mark.parametrize("value", ["5, 5", "5,6", "+5", "-5", "0x5", "5 5", "5;", "five", "", "5.0", "1e3", "5\t", "5 \t", "99999999999999999999", "18446744073709551617", "5\t6", "\xb2"])
def test_s6_2_bad_content_length(server, value):
    refused(server, ECHO + f"Content-Length: {value}\r\n\r\nhello", 400)


def test_s6_2_content_length(server):
    for value in ("5", "05", "000005", " 5 "):
        assert seen(server, f"Host: x\r\nContent-Length: {value}\r\n", b"hello", "POST")["body"] == "hello"
    refused(server, ECHO + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400)
    refused(server, ECHO + "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello", 400)
    refused(server, "POST /mirror HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400)


@pytest.mark.parametrize("fields", [
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, gzip\r\n", "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunkedx\r\n", "Transfer-Encoding: chu\r\n",
    "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: chunked;q=1\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked \t\r\n", "Transfer-Encoding:\r\n", "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding: chunked,\r\n", "Transfer-Encoding: \x0bchunked\r\n", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
    "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\r\n: chunked\r\n", "Transfer-Encoding: chunked\r\n , gzip\r\n",
])
def test_s6_1_bad_transfer_encoding(server, fields):
    refused(server, ECHO + fields + "\r\n5\r\nhello\r\n0\r\n\r\n", (400, 501))


def test_s6_1_chunked_in_http_1_0_is_faulty_framing(server):
    refused(server, "POST /mirror HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400)
    refused(server, "POST /mirror HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)


def test_s6_1_coding_names_are_case_insensitive(server):
    assert seen(server, "Host: x\r\nTRANSFER-encoding: CHUNKed\r\n", b"5\r\nhello\r\n0\r\n\r\n", "POST")["body"] == "hello"


def test_s6_3_without_either_there_is_no_body(server):
    with Raw(server.port) as raw:
        raw.send(ECHO + "\r\n" + HELLO)
        assert raw.answer().json["body"] == "" and raw.answer().body == b"hello x"


def test_s6_3_a_body_of_a_get_is_framed_as_any_other(server):
    with Raw(server.port) as raw:
        raw.send("GET /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + HELLO)
        assert raw.answer().json["body"] == "hello" and raw.answer().body == b"hello x"


# --------------------------------------------------------------- 7. chunked

@pytest.mark.parametrize("data, body", [
    ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("00005\r\nhello\r\n000\r\n\r\n", "hello"), ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"), ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("5;ext\r\nhello\r\n0\r\n\r\n", "hello"), ("5;a=b;c=d\r\nhello\r\n0;last\r\n\r\n", "hello"), ("5;a=\"quoted;\\\" \"\r\nhello\r\n0\r\n\r\n", "hello"), ("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n"),
    ("5\r\nhello\r\n0\r\nTrailer: value\r\nOther: x\r\n\r\n", "hello"), ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
])
def test_s7_1_chunked(server, data, body):
    with Raw(server.port) as raw:
        raw.send(ECHO + "Transfer-Encoding: chunked\r\n\r\n" + data + HELLO)
        assert raw.answer().json["body"] == body and raw.answer().body == b"hello x"


@pytest.mark.parametrize("data", [
    "x\r\n", "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", ";a\r\nhello\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "10000000000000000\r\nhello", "FFFFFFFFFFFFFFFF0\r\nhello",
    "5 ;a\r\nhello\r\n0\r\n\r\n", "5; a\r\nhello\r\n0\r\n\r\n", "5;a = b\r\nhello\r\n0\r\n\r\n", "5;a\x00\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\x00\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\r\"\r\nhello\r\n0\r\n\r\n", "0;a=\"\n\"\r\n\r\n", "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", "5\r\nhello\r\n0\r\nA : b\r\n\r\n", "5\r\nhello\r\n0\r\n folded\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\n\r\n", "5\r\nhello\r\n0\r\n\n", "0\r\n\rX",
])
def test_s7_1_bad_chunks(server, data):
    refused(server, ECHO + "Transfer-Encoding: chunked\r\n\r\n" + data, 400)


def test_s7_1_1_extensions_and_trailers_are_bounded(server):
    """RFC 9112 §7.1.1: a server ought to limit the total length of chunk extensions."""
    for flood in (b"5;" + b"a" * 200_000, b"1;a=b\r\nx\r\n" * 40_000, b"0\r\n" + b"A: b\r\n" * 40_000):
        with Raw(server.port) as raw:
            before = executed(server)
            try:
                raw.send(ECHO.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + flood + b"\r\n\r\n" + COUNTED.encode())
            except OSError:
                pass
            answer = raw.answer()
            assert answer is not None and answer.status in (400, 413, 431) and raw.answer() is None
            assert executed(server) == before


def test_s7_1_2_trailers_are_not_merged_into_the_header(server):
    headers = seen(server, "Host: x\r\nTransfer-Encoding: chunked\r\n", b"0\r\nAuthorization: me\r\nHost: evil\r\n\r\n", "POST")["headers"]
    assert headers == [["host", "x"], ["transfer-encoding", "chunked"]]
    for framing in ("Content-Length: 7", "Transfer-Encoding: gzip"):  # §6.5.1 of RFC 9110 forbids a sender these
        refused(server, ECHO + f"Transfer-Encoding: chunked\r\n\r\n0\r\n{framing}\r\n\r\n", 400)


# ------------------------------------------------------ 8. incomplete messages

@pytest.mark.parametrize("part", ["GET /mir", "GET /mirror HTTP/1.1\r\nHost: x\r\n", ECHO + "Content-Length: 5\r\n\r\nhel", ECHO + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", ECHO + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"])
def test_s8_an_incomplete_message_is_not_executed(server, part):
    before = executed(server)
    with Raw(server.port) as raw:
        raw.send(part).socket.shutdown(socket.SHUT_WR)
        answer = raw.answer()
        assert answer is None or answer.status == 400
        assert raw.ended()
    assert executed(server) == before


# ------------------------------------------------------- 9. connections

def test_s9_3_persistence(server):
    def alive(request):
        with Raw(server.port) as raw:
            answer = raw.send(request).answer()
            assert answer.status == 200
            says = answer.headers.get("connection")
            if says == "close":
                assert raw.ended(), request
                return False
            assert raw.send(HELLO).answer().status == 200
            assert says == ("keep-alive" if "HTTP/1.0" in request else None)
            return True

    line = "GET /hello/x HTTP/{}\r\nHost: x\r\n{}\r\n"
    for fields, in_1_0, in_1_1 in (("", False, True), ("Connection: close\r\n", False, False), ("Connection: keep-alive\r\n", True, True), ("Connection: Keep-Alive, x\r\n", True, True), ("Connection: x , CLOSE\r\n", False, False),
                                   ("Connection: keep-alive, close\r\n", False, False), ("Connection: keep-alive\r\nConnection: close\r\n", False, False), ("Connection: x\r\nConnection: keep-alive\r\n", True, True),
                                   ("Connection: closed\r\n", False, True), ("Connection:\r\n", False, True), ("Connection: ,,close\r\n", False, False), ("Proxy-Connection: keep-alive\r\n", False, True)):
        assert alive(line.format("1.1", fields)) is in_1_1, fields
        assert alive(line.format("1.0", fields)) is in_1_0, fields


def test_s9_3_2_pipelining(server):
    with Raw(server.port) as raw:
        raw.send("".join(f"GET /hello/{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(500)))
        assert [raw.answer().body for _ in range(500)] == [f"hello {n}".encode() for n in range(500)]


def test_s9_3_2_answers_leave_in_the_order_of_requests(server):
    """Fast, slow, on the executor, failing, unknown, with a body, without one."""
    kinds = [("GET /hello/a", b"hello a"), ("GET /async/40", b"/async/40"), ("GET /blocking/30", b"waited"), ("GET /nowhere", 404), ("GET /async/dropped", 500), ("GET /blocking/fails", 500), ("DELETE /hello/a", 405),
             ("BREW /x", 501), ("HEAD /hello/a", "head"), ("GET /mirror/status/204", 204), ("POST /c", None)]
    random.seed(7)
    for _ in range(5):
        order = [random.choice(kinds) for _ in range(40)]
        data = "".join("POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" if want is None else f"{line} HTTP/1.1\r\nHost: x\r\n\r\n" for line, want in order)
        with Raw(server.port) as raw:
            raw.send(data)
            for line, want in order:
                answer = raw.answer(head=want == "head")
                got = answer.body if isinstance(want, bytes) else "head" if want == "head" and answer.status == 200 else answer.status
                assert got == want or (want is None and answer.body == b"body"), line


def test_s9_3_2_an_unsafe_request_waits_for_those_before_it(server):
    with Raw(server.port) as raw:
        raw.send("GET /async/150 HTTP/1.1\r\nHost: x\r\n\r\n" + "POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na" + HELLO)
        assert [raw.answer().body for _ in range(3)] == [b"/async/150", b"a", b"hello x"]


def test_s9_3_2_nothing_behind_a_close_is_executed(server):
    before = executed(server)
    with Raw(server.port) as raw:
        raw.send("GET /hello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + COUNTED * 3)
        assert raw.answer().status == 200 and raw.answer() is None
    assert executed(server) == before


def test_s9_3_2_good_requests_before_a_bad_one_are_answered(server):
    with Raw(server.port) as raw:
        raw.send("GET /async/60 HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO + "nonsense\r\n\r\n" + COUNTED)
        assert [raw.answer().status for _ in range(3)] == [200, 200, 400] and raw.answer() is None


def test_s9_6_the_last_answer_is_read_whole_though_more_was_sent(server):
    """A reset while unread data waits would tear the answer from the client's buffer: close in two steps."""
    for _ in range(20):
        with Raw(server.port) as raw:
            raw.send("GET /mirror/bytes/300000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + "x" * 5000)
            time.sleep(0.01)
            try:
                raw.send("y" * 5000)
            except OSError:
                pass
            assert len(raw.answer().body) == 300000


# ------------------------------------------------------------- 11. security

def test_s11_1_response_splitting(server):
    answer = exchange(server, "GET /mirror/broken HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200 and answer.body == b"ok" and answer.headers["content-length"] == "2" and answer.headers["x-good"] == "yes"
    assert not {"x-injected", "x-split", "bad name", "transfer-encoding", "connection"} & set(answer.headers)
    wait_until(lambda: any("a header field was dropped" in line["message"] for line in server.log_lines()), what="the log's line")


@pytest.mark.parametrize("message", [
    # Families of request smuggling: one side of a pair of servers would end the message elsewhere.
    ECHO + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", ECHO + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5c\r\n", ECHO + "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n",
    ECHO + "Transfer-Encoding: xchunked\r\n\r\n", ECHO + "Transfer-Encoding\x00: chunked\r\n\r\n", ECHO + "X: x\nTransfer-Encoding: chunked\r\n\r\n", ECHO + "X: x\rContent-Length: 5\r\n\r\n", ECHO + "Content-Length\x0b: 5\r\n\r\n",
    ECHO + "Content-Length: 5\x0c\r\n\r\n", "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n", ECHO + "Content-Length: 5\r\nContent-Length:\r\n\r\n", "POST /mirror HTTP/1.1\r\nHost: x\r\n\rContent-Length: 5\r\n\r\n",
])
def test_s11_2_request_smuggling(server, message):
    refused(server, message, (400, 501))
