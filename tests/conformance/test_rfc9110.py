"""RFC 9110, HTTP semantics, as far as they are the host's; and RFC 3986 for paths. Each test names its section."""

import email.utils
import re
import time

import pytest

from support.http import HELLO, PLUGINS, contract_config, exchange, executed, seen
from support.servers import Host, Raw


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    host = Host(contract_config(*PLUGINS), tmp_path_factory.mktemp("rfc9110"))
    yield host
    host.stop()


# --------------------------------------------------------------------- fields

def test_s5_1_field_names_are_case_insensitive(server):
    answer = exchange(server, "POST /mirror HTTP/1.1\r\nhOST: x\r\ncONTENT-lENGTH: 2\r\nX-REQUEST-id: mine\r\ncONNECTION: cLOSE\r\n\r\nok")
    assert answer.json["body"] == "ok" and answer.headers["x-request-id"] == "mine" and answer.headers["connection"] == "close"


def test_s5_3_duplicate_fields_keep_their_number_and_order(server):
    assert seen(server, "A: 1\r\nHost: x\r\nB: 2\r\nA: 3\r\na: 1\r\n")["headers"] == [["a", "1"], ["host", "x"], ["b", "2"], ["a", "3"], ["a", "1"]]


@pytest.mark.parametrize("value, what", [("  a  ", "a"), ("\ta b\t", "a b"), ("", ""), ("a,b , c", "a,b , c"), ('"a, b"', '"a, b"')])
def test_s5_5_values_without_the_space_around_them(server, value, what):
    assert ["x-v", what] in seen(server, f"Host: x\r\nX-V:{value}\r\n")["headers"]


# ------------------------------------------------------------------- messages

@pytest.mark.parametrize("status", [204, 304])
def test_s6_4_1_statuses_without_a_body(server, status):
    with Raw(server.port) as raw:
        answer = raw.send(f"GET /mirror/status/{status} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
        assert answer.status == status and "content-length" not in answer.headers and "transfer-encoding" not in answer.headers
        assert raw.send(HELLO).answer().body == b"hello x", "no body came before it"


def test_s6_6_1_date(server):
    for message in (HELLO, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"):
        date = exchange(server, message).headers["date"]
        assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT", date)
        assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 30
    with Raw(server.port) as raw:
        first = raw.send(HELLO).answer().headers["date"]
        time.sleep(1.1)
        assert raw.send(HELLO).answer().headers["date"] != first, "it goes on"


def test_request_ids_are_echoed_where_they_are_sane(server):
    assert re.fullmatch(r"[0-9a-f]{32}", exchange(server, HELLO).headers["x-request-id"])
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: my-Id_1.2\r\n\r\n").headers["x-request-id"] == "my-Id_1.2"
    for insane in ("a b", "x" * 129, "<script>", ""):
        assert exchange(server, f"GET /hello/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: {insane}\r\n\r\n").headers["x-request-id"] != insane


def test_s7_6_1_connection_names_options_and_hides_nothing(server):
    assert ["x-hop", "1"] in seen(server, "Host: x\r\nConnection: x-hop\r\nX-Hop: 1\r\n")["headers"]


def test_s7_8_upgrade_is_ignored(server):
    for upgrade in ("h2c", "websocket", "TLS/1.2"):
        answer = exchange(server, f"GET /hello/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
        assert answer.status == 200 and answer.body == b"hello x" and "upgrade" not in answer.headers
    before = executed(server)
    preface = exchange(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    assert preface.status == 505 and executed(server) == before, "HTTP/2 is not claimed"


def test_s8_6_content_length(server):
    assert exchange(server, HELLO).headers["content-length"] == "7"
    assert exchange(server, "GET /mirror/bytes/0 HTTP/1.1\r\nHost: x\r\n\r\n").headers["content-length"] == "0"


# -------------------------------------------------------------------- methods

def test_s9_3_2_head_is_get_without_the_body(server):
    with Raw(server.port) as raw:
        got = raw.send("GET /mirror/bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n").answer()
        answer = raw.send("HEAD /mirror/bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
        ignored = {"date", "x-request-id"}
        assert answer.status == 200 and {n: v for n, v in answer.headers.items() if n not in ignored} == {n: v for n, v in got.headers.items() if n not in ignored}
        for path, status in (("/nowhere", 404), ("/mirror/status/500", 500), ("/async/5", 200), ("/blocking/5", 200), ("/async/dropped", 500)):
            answer = raw.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
            assert answer.status == status and int(answer.headers["content-length"]) > 0
        assert raw.send("HEAD /mirror/status/204 HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True).status == 204
        assert raw.send(HELLO).answer().body == b"hello x", "no body came before it"
    with Raw(server.port) as raw:
        assert raw.send("HEAD / HTTP/1.1\r\n\r\n").answer(head=True).status == 400 and raw.ended(), "of an error neither"


def test_s9_3_7_options(server):
    answer = exchange(server, "OPTIONS /hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 204 and answer.headers["allow"] == "GET, HEAD, OPTIONS" and "content-length" not in answer.headers
    assert exchange(server, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").status == 204
    assert exchange(server, "OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").status == 404
    with Raw(server.port) as raw:
        raw.send("OPTIONS /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + HELLO)
        assert raw.answer().status == 204 and raw.answer().body == b"hello x"


def test_s9_3_8_trace_is_allowed_nowhere(server):
    answer = exchange(server, "TRACE /hello/x HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n")
    assert answer.status == 405 and b"secret" not in answer.body


def test_s15_5_6_method_not_allowed(server):
    for method in ("DELETE", "POST", "PUT", "PATCH", "TRACE"):
        answer = exchange(server, f"{method} /hello/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS"
    with Raw(server.port) as raw:  # a refused request's body is no request
        raw.send("DELETE /hello/x HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\nGET /mirror HTTP/1.1\r\nHost: smuggled\r\n\r\n" + HELLO)
        assert raw.answer().status == 405 and raw.answer().body == b"hello x"


def test_s15_5_5_not_found(server):
    answer = exchange(server, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 404 and answer.json["instance"] == answer.headers["x-request-id"] and answer.headers.get("connection") != "close"


def test_s15_6_2_not_implemented(server):
    for method in ("BREW", "get", "PROPFIND", "CONNECTED"):
        with Raw(server.port) as raw:
            assert raw.send(f"{method} /hello/x HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO).answer().status == 501
            assert raw.answer().body == b"hello x", "well framed, so the connection goes on"


# --------------------------------------------------------------------- expect

def test_s10_1_1_expect(server):
    with Raw(server.port) as raw:
        raw.send("POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
        assert raw.answer().status == 100
        assert raw.send("hello").answer().json["body"] == "hello"
        raw.send("POST /mirror HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert raw.answer().status == 100
        assert raw.send("2\r\nok\r\n0\r\n\r\n").answer().json["body"] == "ok"


def test_s10_1_1_no_100_where_it_is_of_no_use(server):
    with Raw(server.port) as raw:  # the body is there already
        assert raw.send("POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello").answer().status == 200
    with Raw(server.port) as raw:  # there is none
        assert raw.send("GET /mirror HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n").answer().status == 200
    with Raw(server.port) as raw:  # 1.0 does not know it
        raw.send("POST /mirror HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(0.1)
        assert raw.send("hello").answer().status == 200


@pytest.mark.parametrize("target, fields, status", [("/nowhere", "", 404), ("/hello/x", "", 405), ("/chained/c/echo", "X-Stop: admit\r\n", 403)])
def test_s10_1_1_a_final_answer_instead_of_100(server, target, fields, status):
    with Raw(server.port) as raw:
        answer = raw.send(f"POST {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n").answer()
        assert answer.status == status and answer.headers["connection"] == "close" and raw.ended(), "the body is never asked for"


def test_s10_1_1_too_large_is_said_before_100(server):
    answer = exchange(server, "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
    assert answer.status == 413 and answer.headers["connection"] == "close"


def test_s15_5_18_other_expectations_fail(server):
    assert exchange(server, "GET /hello/x HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n").status == 417


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("first", ["/async/60", "/noisy/large"])
def test_s10_1_1_a_pipelined_100_waits_for_its_turn(server, method, first):
    with Raw(server.port) as raw:
        raw.send(f"GET {first} HTTP/1.1\r\nHost: x\r\n\r\n{method} /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(0.1)  # behind a large answer the socket is full when its turn comes
        assert len(raw.answer().body) in (9, 8 * 1024 * 1024)
        assert raw.answer().status == 100
        assert raw.send("ok").answer().json["body"] == "ok"


# ----------------------------------------------------------------- RFC 3986

@pytest.mark.parametrize("target, path", [
    ("/mirror/%41", "/mirror/A"), ("/mirror/a%2Fb", "/mirror/a/b"), ("/mirror/%C3%A9", "/mirror/é"), ("/mirror/%25", "/mirror/%"), ("/mirror/%2525", "/mirror/%25"), ("/mirror/a+b", "/mirror/a+b"), ("/%6Dirror", "/mirror"),
    ("/mirror/%3f", "/mirror/?"), ("/mirror/;a=b", "/mirror/;a=b"), ("/mirror/%7e", "/mirror/~"), ("/mirror/%20", "/mirror/ "),
])
def test_rfc3986_s2_1_percent_encoding(server, target, path):
    assert seen(server, target=target)["path"] == path


def test_rfc3986_s2_2_an_encoded_slash_stays_in_its_segment(server):
    assert seen(server, target="/mirror/a%2Fb")["params"] == {"a": "a/b"}
    assert seen(server, target="/mirror/a/b")["params"] == {"a": "a", "b": "b"}


@pytest.mark.parametrize("target", ["/mirror/%", "/mirror/%4", "/mirror/%zz", "/mirror/%4g", "/mirror/%00", "/mirror/%u0041", "/mirror?a=%", "/mirror?a=%x1", "/mirror?%00", "/mirror/%%41"])
def test_rfc3986_s2_1_bad_percent_encoding(server, target):
    assert exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").status == 400


@pytest.mark.parametrize("target, path", [
    ("/./mirror", "/mirror"), ("/a/../mirror", "/mirror"), ("/../../mirror", "/mirror"), ("/a/b/../../mirror", "/mirror"), ("/mirror/a/..", "/mirror/"), ("/mirror/./a", "/mirror/a"), ("/mirror/a/.", "/mirror/a/"),
    ("/%2e%2e/mirror", "/mirror"), ("/a/%2E./mirror", "/mirror"), ("/mirror/...", "/mirror/..."), ("/mirror/.a", "/mirror/.a"), ("/mirror/a..", "/mirror/a.."), ("/mirror/%2e%2e%2fetc", "/mirror/../etc"), ("/a/.//../mirror", "/a/mirror"),
])
def test_rfc3986_s5_2_4_dot_segments(server, target, path):
    answer = exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    if answer.status == 404:
        assert path in ("/mirror/", "/mirror/a/", "/a/mirror"), "no route has an empty last segment"
    else:
        assert answer.json["path"] == path
        assert path != "/mirror/../etc" or answer.json["params"] == {"a": "../etc"}, "decoded after the segments were made"


def test_rfc3986_s3_3_empty_segments_are_segments(server):
    for target in ("//mirror", "/mirror//", "/mirror/", "/hello/", "/hello//"):
        assert exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").status == 404
