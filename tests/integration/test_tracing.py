"""The tracing plugin behind a real host, exporting to a collector that decodes by the published protocol files."""

import re
import socket
import ssl
import subprocess
import threading
import time
import uuid
from types import SimpleNamespace

import pytest

from conftest import titanic_config
from integration.test_metrics import samples
from support.certificates import Authority
from support.http import contract_config, http_server, refused
from support.otlp import Collector, types
from support.servers import ROOT, Raw, Redis, free_port, wait_until

BRAUND = "/people/" + str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:titanic:passenger:1"))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
IN = f"00-{TRACE}-{PARENT}-01"
ON = "sampler: always_on, batch: { delay_ms: 100 }"


def plugin(url, config=ON):
    return f'  - id: tracing\n    config: {{ endpoint: "{url}", {config} }}\n'


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()
    assert made.wrong == []


def exported(collector, count=1):
    wait_until(lambda: len(collector.spans) >= count, what=f"{count} spans")
    return collector.spans


def test_a_request_is_a_server_span(hosts, collector):
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, ON + ", service_version: 1.2.3, instance: pod-1, resource: 'team=ship,zone=a%2Cb'")))
    answer = host.get("/hello/x?token=hunter2&page=3", headers={"user-agent": "probe/1", "x-request-id": "r-1"})
    (span,) = exported(collector)
    trace_id, span_id, flags = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", answer.headers["traceparent"]).groups()
    assert answer.headers["x-trace-id"] == trace_id == span.trace_id and span.span_id == span_id and flags == "03"
    assert (span.name, span.kind, span.parent_id, span.status, span.flags) == ("GET /hello/{name}", 2, "", 0, 0x103)
    expected = {"http.request.method": "GET", "url.path": "/hello/x", "url.query": "token=REDACTED&page=3", "url.scheme": "http", "http.route": "/hello/{name}",
                "http.response.status_code": 200, "server.address": "127.0.0.1", "server.port": host.port, "client.address": "127.0.0.1", "network.peer.address": "127.0.0.1",
                "network.protocol.version": "1.1", "user_agent.original": "probe/1", "bulkhead.request_id": "r-1", "bulkhead.author": "cpp_hello"}
    assert expected.items() <= span.attributes.items()
    assert "error.type" not in span.attributes
    assert {"service.name": "titanic-api", "service.version": "1.2.3", "service.instance.id": "pod-1", "team": "ship", "zone": "a,b", "telemetry.sdk.language": "cpp"}.items() <= span.resource.items()
    assert 0 < span.end - span.start < 60e9 and abs(span.end / 1e9 - time.time()) < 60
    path, headers, _ = collector.requests[0]
    assert path == "/v1/traces" and headers["Content-Type"] == "application/x-protobuf" and headers["Content-Encoding"] == "gzip"
    assert headers["User-Agent"].startswith("OTel-OTLP-Exporter-Bulkhead/")


@pytest.mark.parametrize("config", ["protocol: http/json", "compression: none", "protocol: http/json, compression: none"])
def test_other_encodings_say_the_same(hosts, collector, config):
    host = hosts(contract_config("cpp_hello", "async", extra=plugin(collector.url, f"{ON}, {config}, headers: 'api-key=a%20b'")))
    host.get("/hello/x", headers={"traceparent": IN, "tracestate": "a=1"})
    host.get("/async/dropped", headers={"traceparent": IN})
    good, bad = sorted(exported(collector, 2), key=lambda span: span.start)
    assert (good.trace_id, good.parent_id, good.trace_state, good.kind, good.status) == (TRACE, PARENT, "a=1", 2, 0)
    assert good.attributes["http.response.status_code"] == 200
    assert (bad.status, bad.attributes["error.type"]) == (2, "500")
    assert collector.requests[0][1]["api-key"] == "a b"


# What goes in, and whether its trace goes on: https://www.w3.org/TR/trace-context-2/ and the cases of its test suite.
PARENTS = {
    "as it should be": ([IN], True),
    "not sampled": ([f"00-{TRACE}-{PARENT}-00"], True),
    "spaces around": ([f" \t{IN} \t"], True),
    "unknown flags": ([f"00-{TRACE}-{PARENT}-ff"], True),
    "a later version": ([f"cc-{TRACE}-{PARENT}-01"], True),
    "a later version with more": ([f"cc-{TRACE}-{PARENT}-01-what-the-future-holds"], True),
    "a later version with more after a dot": ([f"cc-{TRACE}-{PARENT}-01.what"], False),
    "two of them": ([IN, IN], False),
    "two in one": ([f"{IN},{IN}"], False),
    "version ff": ([f"ff-{TRACE}-{PARENT}-01"], False),
    "version of one digit": ([f"0-{TRACE}-{PARENT}-01"], False),
    "version in letters": ([f"xx-{TRACE}-{PARENT}-01"], False),
    "version 00 with more": ([f"{IN}-x"], False),
    "version 00 with a dash": ([f"{IN}-"], False),
    "capitals": ([IN.upper()], False),
    "no trace id": ([f"00-{'0' * 32}-{PARENT}-01"], False),
    "no parent id": ([f"00-{TRACE}-{'0' * 16}-01"], False),
    "a short trace id": ([f"00-{TRACE[:-1]}-{PARENT}-01"], False),
    "a long trace id": ([f"00-{TRACE}1-{PARENT}-01"], False),
    "a short parent id": ([f"00-{TRACE}-{PARENT[:-1]}-01"], False),
    "a wrong digit": ([f"00-{TRACE[:-1]}g-{PARENT}-01"], False),
    "a dot in an id": ([f"00-.{TRACE[1:]}-{PARENT}-01"], False),
    "short flags": ([f"00-{TRACE}-{PARENT}-1"], False),
    "wrong flags": ([f"00-{TRACE}-{PARENT}-.1"], False),
    "underscores": ([IN.replace("-", "_")], False),
    "empty": ([""], False),
}
# And what of tracestate goes on with it.
STATES = {
    "one": (["foo=1"], "foo=1"),
    "two headers": (["foo=1", "bar=2"], "foo=1,bar=2"),
    "empty ones between": (["", "foo=1", "", "bar=2"], "foo=1,bar=2"),
    "empty members": (["foo=1,,, bar=2 ,"], "foo=1,bar=2"),
    "tenant": (["fw529a3039@dt=FfffFF:aa"], "fw529a3039@dt=FfffFF:aa"),
    "every character of a key": (["a0_-*/@z=1"], "a0_-*/@z=1"),
    "a key that begins with a digit": (["0a=1"], "0a=1"),
    "every character of a value": (["a=" + "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in ",=")], None),
    "a space within a value": (["a=b c"], "a=b c"),
    "32 members": ([",".join(f"k{i}={i}" for i in range(32))], None),
    "33 members": ([",".join(f"k{i}={i}" for i in range(33))], ""),
    "a key twice": (["foo=1,foo=2"], "foo=1"),
    "no value": (["foo="], ""),
    "no equals": (["foo"], ""),
    "two equals": (["foo=bar=baz"], ""),
    "a capital in a key": (["Foo=1"], ""),
    "a space in a key": (["foo =1"], ""),
    "a key of 256": (["z" * 256 + "=1"], None),
    "a key of 257": (["z" * 257 + "=1"], ""),
    "a value of 256": (["a=" + "z" * 256], None),
    "a value of 257": (["a=" + "z" * 257], ""),
    "512 characters": ([",".join([f"k{i}=" + "x" * 60 for i in range(7)] + ["last=" + "x" * 58])], None),
    "long members give way": ([",".join(["a=" + "x" * 200, "b=1", "c=" + "x" * 200, "d=" + "x" * 200])], "b=1,".join(["a=" + "x" * 200 + ",", "c=" + "x" * 200])),
    "then those at the end": ([",".join(f"k{i:02}=" + "x" * 60 for i in range(9))], ",".join(f"k{i:02}=" + "x" * 60 for i in range(7))),
}
BAGGAGES = {
    "one": (["a=1"], "a=1"),
    "two headers": (["a=1", "b=2"], "a=1,b=2"),
    "properties and spaces": (["a = 1 ; p ; q = 2 , b=3"], "a = 1 ; p ; q = 2,b=3"),
    "percent-encoded": (["a=%20%C3%A9"], "a=%20%C3%A9"),
    "an empty value": (["a="], "a="),
    "equals in a value": (["a=b=c"], "a=b=c"),
    "no equals": (["a"], None),
    "a quote": (['a="b"'], None),
    "64 members": ([",".join(f"k{i}=1" for i in range(64))], ",".join(f"k{i}=1" for i in range(64))),
    "65 members": ([",".join(f"k{i}=1" for i in range(65))], ",".join(f"k{i}=1" for i in range(64))),
    "too long": (["a=1,b=" + "x" * 8190], "a=1"),
}


@pytest.fixture
def peer():
    """A server that is called by a plugin, and keeps what it was sent."""
    calls = []

    def answer(_, fields):
        calls.append(fields)
        return 200, b"", {}

    with http_server(answer) as url:
        yield SimpleNamespace(url=url, calls=calls)


def raw_get(host, path, fields):
    """Header fields as they stand, also those a client library would not send."""
    with Raw(host.port) as raw:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n").answer()


def test_trace_context_to_the_letter(hosts, collector, peer):
    """Each case goes in, through an outbound call, and out again."""
    host = hosts(contract_config(("outbound", "outbound", f'{{ url: "{peer.url}/" }}'), extra=plugin(collector.url, "sampler: parentbased_always_on")))

    def through(fields):
        answer = raw_get(host, "/outbound", fields)
        assert answer.status == 200
        return answer, peer.calls[-1]

    for name, (values, goes_on) in PARENTS.items():
        answer, call = through([("traceparent", value) for value in values] + [("tracestate", "foo=1")])
        trace_id, flags = answer.headers["x-trace-id"], answer.headers["traceparent"][-2:]
        assert (trace_id == TRACE) == goes_on, name
        assert call.get_all("traceparent")[0].startswith(f"00-{trace_id}-") and len(call.get_all("traceparent")) == 1, name
        assert call.get("tracestate") == ("foo=1" if goes_on else None), name
        assert PARENT not in call["traceparent"], "the caller's span is not the parent of what we call"
        assert re.fullmatch(r"[0-9a-f]{32}", trace_id) and trace_id != "0" * 32
        expected = {"unknown flags": "03", "not sampled": "00"}.get(name, "01" if goes_on else "03")
        assert flags == expected and call["traceparent"][-2:] == expected, (name, flags)
    for name, (values, expected) in STATES.items():
        _, call = through([("traceparent", IN)] + [("tracestate", value) for value in values])
        expected = ",".join(values) if expected is None else expected
        assert call.get("tracestate", "") == expected, name
        assert TRACE in call["traceparent"], "a bad tracestate spoils no traceparent"
    for name, (values, expected) in BAGGAGES.items():
        _, call = through([("baggage", value) for value in values])
        assert call.get("baggage") == expected, name


def test_context_goes_through_an_outbound_call(hosts, collector, peer):
    host = hosts(contract_config(("outbound", "outbound", f'{{ url: "{peer.url}/" }}'), extra=plugin(collector.url)))
    host.get("/outbound", headers={"traceparent": IN, "tracestate": "congo=t61", "baggage": "user=7"})
    spans = {span.kind: span for span in exported(collector, 2)}
    server, client = spans[2], spans[3]
    assert client.parent_id == server.span_id and server.parent_id == PARENT and server.trace_id == client.trace_id == TRACE
    (call,) = peer.calls
    assert call["traceparent"] == f"00-{TRACE}-{client.span_id}-01" and call["tracestate"] == "congo=t61" and call["baggage"] == "user=7"
    assert server.flags == 0x301 and client.flags == 0x101, "whose parent is another program's"
    assert client.attributes["bulkhead.plugin"] == "outbound" and server.start <= client.start <= client.end <= server.end


def test_queries_have_spans(hosts, database, collector):
    host = hosts(titanic_config(database, plugin(collector.url))).wait_ready()
    system = "sqlite" if str(database).startswith("sqlite") else "postgresql"
    assert host.get(BRAUND).status == 200
    assert host.get("/people?limit=2").status == 200
    assert host.request("PATCH", BRAUND, {"age": 23}).status == 200
    wait_until(lambda: collector.named("PATCH /people/{uuid}"), what="the requests")

    def below(name):
        (server,) = collector.named(name)
        return server, [span for span in collector.spans if span.parent_id == server.span_id]

    server, (query,) = below("GET /people/{uuid}")
    assert query.kind == 3 and query.name == "SELECT people" and query.trace_id == server.trace_id
    assert query.attributes["db.system.name"] == system and query.attributes["db.operation.name"] == "SELECT" and query.attributes["db.collection.name"] == "people"
    assert "where" in query.attributes["db.query.text"] and BRAUND[8:] not in query.attributes["db.query.text"], "no values"
    assert query.attributes["bulkhead.plugin"] == "database" and server.start <= query.start <= query.end <= server.end
    _, queries = below("GET /people")
    assert {span.name for span in queries} == {"SELECT people"}
    _, (transaction,) = below("PATCH /people/{uuid}")
    statements = [span for span in collector.spans if span.parent_id == transaction.span_id]
    assert transaction.name == "transaction" and {"SELECT people", "UPDATE people"} <= {span.name for span in statements}


def test_questions_to_redis_have_spans(hosts, collector, tmp_path):
    redis = Redis()
    cache = f"  - id: cache\n    config: {{ redis: '{redis.url}', routes: [ {{ route: '/people*' }} ] }}\n"
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/redis.db", cache + plugin(collector.url))).wait_ready()
    host.get(BRAUND)
    wait_until(lambda: collector.named("GET /people/{uuid}"), what="the request")
    (server,) = collector.named("GET /people/{uuid}")
    below = {span.name: span for span in collector.spans if span.parent_id == server.span_id}
    assert set(below) == {"GET", "SELECT people"} and below["GET"].end <= below["SELECT people"].start
    assert {"db.system.name": "redis", "db.response.returned_rows": 0, "bulkhead.plugin": "cache"}.items() <= below["GET"].attributes.items()
    redis.close()


def test_batched_queries_are_linked(hosts, postgres, collector):
    database = postgres.create("linked")
    host = hosts(titanic_config(database, plugin(collector.url), database=", pool: { min: 1, max: 1 }")).wait_ready()
    subprocess.run(["wrk", "-t2", "-c32", "-d1", "--timeout", "5", f"http://127.0.0.1:{host.port}{BRAUND}"], check=True, capture_output=True, timeout=60)
    batched = wait_until(lambda: [span for span in collector.spans if span.attributes.get("db.operation.batch.size", 0) > 1], what="a batch")
    linked = [span for span in batched if span.links]
    by_id = {span.span_id: span for span in collector.spans}
    assert linked and all(len(span.links) == 1 for span in linked)
    leaders = [by_id[link] for span in linked for _, link in span.links if link in by_id]
    assert leaders and all(leader.attributes["db.operation.batch.size"] > 1 and not leader.links for leader in leaders)


def test_a_failing_query_is_an_error(hosts, postgres, collector):
    host = hosts(titanic_config(postgres.create("failing"), plugin(collector.url, "sampler: always_off, batch: { delay_ms: 100 }"))).wait_ready()
    postgres.sql("alter table people rename to peoples", "failing")
    assert host.get(BRAUND).status == 500
    wait_until(lambda: collector.named("GET /people/{uuid}"), what="the request")
    (server,) = collector.named("GET /people/{uuid}")
    (query,) = [span for span in collector.spans if span.parent_id == server.span_id]
    assert (server.status, server.attributes["error.type"], server.attributes["bulkhead.author"]) == (2, "500", "people")
    assert (query.status, query.message) == (2, "internal")
    assert query.attributes["db.response.status_code"] == query.attributes["error.type"] == "42P01"
    line = next(line for line in host.log_lines() if line.get("trace_id") == server.trace_id)
    assert line["span_id"] == server.span_id, "the log says which trace"


def test_steps_when_asked_for(hosts, database, collector):
    host = hosts(titanic_config(database, plugin(collector.url, ON + ", steps: true"))).wait_ready()
    host.get(BRAUND)
    wait_until(lambda: collector.named("GET /people/{uuid}"), what="the request")
    (server,) = collector.named("GET /people/{uuid}")
    (step,) = [span for span in collector.named("people step") if span.trace_id == server.trace_id]
    (query,) = [span for span in collector.named("SELECT people") if span.trace_id == server.trace_id]
    assert step.parent_id == server.span_id and query.parent_id == step.span_id and step.kind == 1


def ask_many(host, path, count, together=50):
    """Good answers to so many requests on one connection."""
    good, request = 0, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", host.port), timeout=60) as link:
        for _ in range(count // together):
            link.sendall(request * together)
            seen, tail = 0, b""
            while seen < together:
                data = link.recv(65536)
                assert data
                seen += (tail + data).count(b"HTTP/1.1 200 OK")
                tail = data[-14:]
            good += seen
    return good


def test_head_sampling_and_what_is_kept_at_the_end(hosts, collector):
    """10,000 requests at 10 %: a tenth of the good ones, and every error and slow one."""
    host = hosts(contract_config("cpp_hello", "async", extra=plugin(collector.url, "sampler_arg: '0.1', slow_ms: 2000, batch: { delay_ms: 100, queue: 65536 }")))
    slow, failed = set(), set()

    def odd(path, ids):
        for _ in range(10):
            ids.add(host.get(path).headers["x-trace-id"])

    threads = [threading.Thread(target=odd, args=arguments) for arguments in [("/async/2100", slow), ("/async/dropped", failed)]]
    [thread.start() for thread in threads]
    assert ask_many(host, "/hello/x", 10_000) == 10_000
    [thread.join() for thread in threads]
    assert len(slow) == len(failed) == 10
    wait_until(lambda: slow | failed <= {span.trace_id for span in collector.spans}, what="every error and slow request")
    time.sleep(1)
    kept = [span for span in collector.spans if span.attributes.get("http.route") == "/hello/{name}" and span.end - span.start < 2e9]
    # Binomial(10000, 0.1): a deviation of 30; five of them happen once in two million runs.
    assert 850 <= len(kept) <= 1150, len(kept)
    assert len({span.trace_id for span in kept}) == len(kept)


def test_who_decides(hosts, collector):
    """The caller's flag, this host's share, or a rule of the route."""
    sampled, not_sampled = {"traceparent": IN}, {"traceparent": f"00-{TRACE}-{PARENT}-00"}

    def flags(host, path="/hello/x", **headers):
        return host.get(path, **headers).headers["traceparent"][-2:]

    host = hosts(contract_config("cpp_hello", "async", extra=plugin(collector.url, "sampler_arg: '0', rules: [ { route: '/hello/*', ratio: 1 }, { route: '', ratio: 1 } ]")))
    assert flags(host) == "03" and flags(host, "/async/1") == "02" and flags(host, "/nothing/here") == "03"
    assert flags(host, headers=not_sampled) == "00", "the caller's flag goes before a rule"
    assert flags(host, "/async/1", headers=sampled) == "01"
    assert flags(host, "/async/dropped") == "03", "an error is kept, and says so"
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, "sampler_arg: '0', trust_sampled: false")))
    assert flags(host, headers=sampled) == "00"
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, "sampler: always_on, trust_sampled: false")))
    assert flags(host, headers=not_sampled) == "01"


def test_a_budget_holds(hosts, collector):
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, ON + ", max_spans_per_second: 50")) + "  - id: metrics\n")
    subprocess.run(["wrk", "-t1", "-c8", "-d4", f"http://127.0.0.1:{host.port}/hello/x"], check=True, capture_output=True, timeout=60)
    time.sleep(0.5)
    spans = len(collector.spans)
    assert 50 <= spans <= 50 * 6, "four seconds touch at most six"
    factor = samples(host)[("tracing_sampling_factor_ratio", frozenset())]
    assert factor < 0.5, "the share follows"


def test_a_collector_that_fails_costs_no_request(hosts, collector):
    """Down, refusing, slow: answers come as before, what is lost is counted, and what can be tried again is."""
    collector.answers = [(429, {"Retry-After": "1"}, b""), (503, {}, b""), (200, {}, None)]
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, "sampler: always_on, batch: { delay_ms: 50, queue: 64, size: 16 }") + "  - id: metrics\n"))
    began = time.monotonic()
    host.get("/hello/x")
    exported(collector, 1)
    assert collector.statuses[:3] == [429, 503, 200] and time.monotonic() - began >= 1.4, "Retry-After, then a pause of its own"
    assert len({body for _, _, body in collector.requests[:3]}) == 1, "the same batch"
    counted = lambda reason: samples(host).get(("otlp_dropped_total", frozenset({"signal": "traces", "reason": reason}.items())), 0)
    collector.answers = [(400, {}, b"")]
    host.get("/hello/x")
    wait_until(lambda: counted("refused") >= 1, what="what the collector refused")
    time.sleep(1.5)  # a second attempt would have come
    refused = next(body for (_, _, body), status in zip(collector.requests, collector.statuses) if status == 400)
    assert [body for _, _, body in collector.requests].count(refused) == 1, "it is not sent again"
    collector.delay = 30.0
    for _ in range(200):
        assert host.get("/hello/x").status == 200
    assert counted("queue_full") >= 100
    collector.delay = 0.0
    collector.release.set()
    assert any("exports do not reach the collector" in line["message"] for line in host.log_lines())


def test_a_collector_that_says_at_once(hosts, collector):
    """Retry-After: 0, or a date that is over, is no reason to run in circles."""
    collector.answers = [(503, {"Retry-After": "0"}, b"")] * 1000
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url)))
    host.get("/hello/x")
    time.sleep(3)
    assert 2 <= len(collector.requests) <= 6


def test_a_host_stops_though_its_collector_hangs(hosts, collector):
    collector.delay = 60.0
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url, ON + ", logs: true")))
    host.get("/hello/x")
    wait_until(lambda: host.process and len(collector.waiting) >= 1, what="an export that hangs")
    began = time.monotonic()
    host.stop()
    assert time.monotonic() - began < 20, "five seconds for both signals together, and what stopping takes"
    collector.release.set()


def test_a_part_is_rejected(hosts, collector):
    response = types()["/v1/traces"][1]()
    response.partial_success.rejected_spans, response.partial_success.error_message = 1, "no room"
    collector.answers = [(200, {}, response.SerializeToString())]
    host = hosts(contract_config("cpp_hello", extra=plugin(collector.url) + "  - id: metrics\n"))
    host.get("/hello/x")
    wait_until(lambda: samples(host).get(("otlp_dropped_total", frozenset({"signal": "traces", "reason": "rejected"}.items()))) == 1, what="the rejected span")
    wait_until(lambda: any(line.get("error", "").endswith("no room") for line in host.log_lines()), what="its reason")
    time.sleep(1.5)
    assert [body for _, _, body in collector.requests].count(collector.requests[0][2]) == 1, "a part is not sent again"


def test_the_collector_comes_late_and_the_rest_leaves_with_the_host(hosts):
    port = free_port()
    host = hosts(contract_config("cpp_hello", extra=plugin(f"http://127.0.0.1:{port}", "sampler: always_on, batch: { delay_ms: 60000 }")))
    host.get("/hello/x")
    late = Collector(port)
    host.stop()
    assert [span.name for span in late.spans] == ["GET /hello/{name}"], "what waited is sent before the host ends"
    late.close()


def test_tls_to_the_collector(hosts, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure = Collector(context=context)
    host = hosts(contract_config("cpp_hello", extra=plugin(secure.url, f"{ON}, certificate: {authority.file}")))
    host.get("/hello/x")
    exported(secure)
    secure.close()


@pytest.fixture
def shipped(hosts, tmp_path):
    """Starts hosts with the configuration that ships, and the variables of the original deployment."""
    def start(**environment):
        host = hosts("", start=False)
        host.config = ROOT / "configs/titanic.yaml"
        host.environment.update(LISTEN=f"127.0.0.1:{host.port}", ADMIN_LISTEN=f"127.0.0.1:{host.admin}", DATABASE_URL=f"sqlite:///{tmp_path}/titanic.db", **environment)
        return host.start().wait_ready()

    return start


def test_the_variables_of_opentelemetry(shipped, collector):
    host = shipped(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url + "/", OTEL_EXPORTER_OTLP_PROTOCOL="http/json", OTEL_EXPORTER_OTLP_HEADERS="x-key=a%3Db", OTEL_EXPORTER_OTLP_COMPRESSION="none", OTEL_EXPORTER_OTLP_TIMEOUT="5000",
                   OTEL_TRACES_SAMPLER="always_on", OTEL_TRACES_SAMPLER_ARG="0", OTEL_PROPAGATORS="none", OTEL_RESOURCE_ATTRIBUTES="region=eu", SERVICE_NAME="ship", SERVICE_VERSION="9", POD_NAME="pod-7", ENVIRONMENT="test")
    answer = host.get(BRAUND, headers={"traceparent": IN})
    assert answer.headers["x-trace-id"] != TRACE and "traceparent" not in answer.headers, "OTEL_PROPAGATORS=none"
    wait_until(lambda: collector.named("GET /people/{uuid}"), what="the span")
    (span,) = collector.named("GET /people/{uuid}")
    assert {"service.name": "ship", "service.version": "9", "service.instance.id": "pod-7", "deployment.environment.name": "test", "region": "eu"}.items() <= span.resource.items()
    path, headers, _ = collector.requests[0]
    assert path == "/v1/traces" and headers["x-key"] == "a=b" and headers["Content-Type"] == "application/json" and "Content-Encoding" not in headers
    assert all(probe.status == 2 for probe in collector.named("GET /health/ready")), "probes are left out, but for those that fail"
    host.stop()


def test_an_endpoint_of_its_own_and_nothing_at_all(shipped, collector):
    host = shipped(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.url + "/v1/traces", OTEL_TRACES_SAMPLER="always_on")
    host.get(BRAUND)
    wait_until(lambda: collector.named("GET /people/{uuid}"), what="the span")
    host.stop()
    collector.spans.clear()
    host = shipped(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_TRACES_SAMPLER="always_on", OTEL_SDK_DISABLED="true")
    assert host.get(BRAUND).headers["traceparent"][-2:] == "00"
    host.stop()
    assert not collector.spans, "OTEL_SDK_DISABLED"


def test_log_lines_are_exported(hosts, collector):
    host = hosts(contract_config("cpp_hello", "async", extra=plugin(collector.url, ON + ", logs: true")))
    answer = host.get("/async/dropped")
    wait_until(lambda: any(log.severity == 17 for log in collector.logs), what="the error")
    (error,) = [log for log in collector.logs if log.severity == 17]
    assert error.trace_id == answer.headers["x-trace-id"] and error.span_id == answer.headers["traceparent"][36:52]
    assert error.attributes["plugin"] == "async" and error.text == "ERROR" and error.resource["service.name"] == "titanic-api"
    assert "trace_id" not in error.attributes
    assert any(log.body == "serving" and log.severity == 9 and not log.trace_id for log in collector.logs)


@pytest.mark.parametrize("config", ["endpoint: ''", "endpoint: 'http://127.0.0.1:9', disabled: true"])
def test_ids_without_an_export(hosts, peer, config):
    host = hosts(contract_config(("outbound", "outbound", f'{{ url: "{peer.url}/" }}'), extra=f"  - id: tracing\n    config: {{ {config} }}\n"))
    answer = host.get("/outbound", headers={"traceparent": IN})
    assert answer.headers["x-trace-id"] == TRACE and answer.headers["traceparent"][-2:] == "01"
    assert host.get("/outbound").headers["traceparent"][-2:] == "00"


@pytest.mark.parametrize("config, message", [
    ("endpoint: 'localhost:4318'", "'localhost:4318' is not an http:// or https:// URL"),
    ("endpoint: '', sampler_arg: '10%'", "'10%' is not a share from 0 to 1"),
    ("endpoint: '', sampler: parentbased", "sampler"),
    ("endpoint: '', protocol: grpc", "protocol"),
    ("endpoint: '', propagators: tracecontex", "did you mean 'tracecontext'?"),
    ("endpoint: '', headers: 'a=b,hunter2'", "part 2 is not 'name=value'"),
    ("endpoint: '', batch: { size: 10, queue: 5 }", "larger than the queue"),
])
def test_bad_configuration(tmp_path, config, message):
    assert message in refused(tmp_path, contract_config("cpp_hello", extra=f"  - id: tracing\n    config: {{ {config} }}\n"))
