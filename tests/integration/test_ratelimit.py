"""How often whom may call what: in memory, and shared by two hosts through a real Redis."""

import ipaddress
import random
import re
import time

import pytest

from support.http import contract_config, refused
from support.servers import PRESET, Raw, Redis, wait_until

PROXIED = "  trusted_proxies: [ 127.0.0.1 ]"


def limited(limits, more="", server=PROXIED, plugins=("cpp_hello",), extra=""):
    return contract_config(*plugins, server=server, extra=f"  - id: ratelimit\n    config: {{ limits: [ {limits} ]{more} }}\n{extra}")


def ask(host, address="192.0.2.1", path="/hello/x", method="GET", **headers):
    return host.request(method, path, headers={"x-forwarded-for": address, **headers})


@pytest.fixture(scope="module")
def redis():
    server = Redis()
    yield server
    server.close()


@pytest.fixture(params=["memory", "redis"])
def store(request):
    """What a limit needs to be kept there."""
    if request.param == "memory":
        return ""
    return f", redis: '{request.getfixturevalue('redis').url}', redis_timeout_ms: 5000, service: s{random.getrandbits(32)}"


def shared(host):
    """Answers once Redis does, which takes the first request."""
    wait_until(lambda: ask(host, f"198.51.100.{random.randint(1, 254)}", "/hello/probe") and "limits are shared through Redis" in host.log(), what="Redis")


def start(hosts, store, limits, **more):
    host = hosts(limited(limits, store, **more))
    if store:
        shared(host)
    return host


def test_who_comes_too_often(hosts, store):
    host = start(hosts, store, "{ name: calls, requests: 3, per_s: 60 }")
    answers = [ask(host) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert [re.fullmatch(r'"calls";r=(\d);t=(\d+)', answer.headers["ratelimit"])[1] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"calls";q=3;w=60'}
    refused = answers[-1]
    assert 1 <= int(refused.headers["retry-after"]) <= 20 and refused.headers["content-type"] == "application/problem+json"
    assert "3 requests in 60 s" in refused.json["detail"] and "retry-after" not in answers[0].headers
    assert ask(host, "192.0.2.2").status == 200, "somebody else"
    assert ask(host, "192.0.2.1", "/nothing").status == 429, "what matches nothing counts too"


def test_the_long_run(hosts, store):
    host = start(hosts, store, "{ name: calls, requests: 20, burst: 1 }")
    begin, good = time.monotonic(), 0
    while time.monotonic() < begin + 3:
        good += ask(host).status == 200
    passed = time.monotonic() - begin
    assert good <= 20 * passed + 2
    assert good >= 10 * passed, "a slow machine asks less often, but not that much less"


def test_what_is_counted_together(hosts, store):
    host = start(hosts, store, "{ name: calls, requests: 2, per_s: 600 }")
    sixes = [f"2001:db8:7:7:{random.getrandbits(16):x}::{i}" for i in range(1, 5)]
    assert [ask(host, address).status for address in sixes] == [200, 200, 429, 429], "a /64 is one caller"
    assert ask(host, "2001:db8:7:8::1").status == 200
    spellings = ["192.0.2.77", "::ffff:192.0.2.77", "64:ff9b::192.0.2.77", "64:ff9b::c000:24d", "2002:c000:24d::1", "2002:c000:24d:ffff::9"]
    assert [ask(host, address).status for address in spellings] == [200, 200, 429, 429, 429, 429], "NAT64 and 6to4 write one IPv4 address in many ways"


def test_limits_of_routes_and_methods(hosts, store):
    limits = "{ name: writes, requests: 1, per_s: 600, methods: [ POST ] }, { name: hello, requests: 2, per_s: 600, routes: '/hello/*' }, { name: each, requests: 3, per_s: 600, per_route: true }, { name: all, by: route, requests: 4, per_s: 600, routes: '/mirror*' }"
    host = start(hosts, store, limits, plugins=("cpp_hello", "mirror"))
    assert [ask(host).status for _ in range(3)] == [200, 200, 429]
    assert [ask(host, path="/mirror").status for _ in range(4)] == [200, 200, 200, 429], "a count of its own for each route"
    assert [ask(host, f"192.0.2.{i}", "/mirror").status for i in range(10, 13)] == [200, 429, 429], "all callers together"
    assert [ask(host, "192.0.2.20", "/nothing", "POST").status for _ in range(2)] == [404, 429]
    first = ask(host, "192.0.2.30")
    assert first.headers["ratelimit"].count(";r=") == 2 and '"hello";r=1' in first.headers["ratelimit"] and '"each";r=2' in first.headers["ratelimit"]


def test_nothing_is_taken_where_another_limit_refuses(hosts, store):
    host = start(hosts, store, "{ name: small, requests: 1, per_s: 600, routes: '/hello/*' }, { name: large, requests: 5, per_s: 600 }")
    assert [ask(host).status for _ in range(10)] == [200] + [429] * 9
    assert '"large";r=3' in ask(host, path="/nothing").headers["ratelimit"], "the nine refused took nothing"


def test_identities(hosts, store):
    """Who is known is counted by name wherever they call from; who is not, by address."""
    host = start(hosts, store, "{ name: mine, by: identity, requests: 2, per_s: 600 }", plugins=("cpp_hello", "identity"))
    assert [ask(host, f"192.0.2.{i}", authorization="Key good").status for i in range(1, 4)] == [200, 200, 429]
    assert [ask(host, "192.0.2.1").status for _ in range(3)] == [200, 200, 429] and ask(host, "192.0.2.2").status == 200


@pytest.mark.parametrize("sent, counted", [
    ("203.0.113.1", "203.0.113.1"), ("1.1.1.1, 203.0.113.1", "203.0.113.1"), ("1.1.1.1, 203.0.113.1, 10.0.0.7", "203.0.113.1"), ("203.0.113.1, unknown", "127.0.0.1"), ("203.0.113.1,", "127.0.0.1"), ("", "127.0.0.1"), ("203.0.113.1:4711", "203.0.113.1"),
    ("[2001:db8::1]:4711", "2001:db8::"), ("2001:db8::1", "2001:db8::"), ("' or 1=1", "127.0.0.1"), ("10.0.0.7, 10.0.0.8", "10.0.0.7"), ("x" * 300, "127.0.0.1"), ("1.1.1.1, ::ffff:203.0.113.1", "203.0.113.1"),
])
def test_whose_word_counts(hosts, sent, counted):
    """X-Forwarded-For is read from its end, as far as our own proxies wrote it. A limit of one shows who was counted."""
    host = hosts(limited("{ name: calls, requests: 1, per_s: 600 }", server="  trusted_proxies: [ 127.0.0.1, 10.0.0.0/8 ]"))
    assert ask(host, sent).status == 200
    assert ask(host, counted if counted != "2001:db8::" else "2001:db8::99").status == 429
    assert ask(host, "198.51.100.1").status == 200


def test_the_words_of_strangers(hosts):
    """Without a trusted proxy nobody's word counts; with one, only the field it writes."""
    alone = hosts(limited("{ name: calls, requests: 1, per_s: 600 }", server=""))
    assert [ask(alone, f"192.0.2.{i}").status for i in range(3)] == [200, 429, 429]
    other = hosts(limited("{ name: calls, requests: 1, per_s: 600 }", server="  trusted_proxies: [ 10.0.0.0/8 ]"))
    assert [ask(other, f"192.0.2.{i}").status for i in range(3)] == [200, 429, 429]
    standard = hosts(limited("{ name: calls, requests: 1, per_s: 600 }", server="  trusted_proxies: [ 127.0.0.1 ]\n  forwarded_header: forwarded"))
    said = lambda text, **more: standard.request("GET", "/hello/x", headers={"forwarded": text, **more}).status
    assert said('for="[2001:db8::1]:4711";proto=https, for=192.0.2.5;by="x,y"') == 200 and said("for=192.0.2.5") == 429
    assert said("for=192.0.2.6", **{"x-forwarded-for": "192.0.2.5"}) == 200, "the other field is the caller's own"
    assert said("FOR = 192.0.2.6") == 200 and said("proto=http") == 429, "no address: the proxy's own"


def test_two_hosts_share(hosts, redis):
    more = f", redis: '{redis.url}', redis_timeout_ms: 5000, service: two"
    first, second = hosts(limited("{ name: calls, requests: 4, per_s: 600 }", more)), hosts(limited("{ name: calls, requests: 4, per_s: 600 }", more))
    shared(first), shared(second)
    assert [ask(host).status for host in (first, second) * 3] == [200] * 4 + [429] * 2
    alone = hosts(limited("{ name: calls, requests: 4, per_s: 600 }", more.replace("two", "three")))
    shared(alone)
    assert ask(alone).status == 200, "another service"
    assert all(int(redis.command("PTTL", key)) > 0 for key in redis.command("KEYS", "two:*").split("\n")), "nothing stays for ever"


def test_redis_goes_and_comes_back(hosts):
    server = Redis()
    try:
        host = hosts(limited("{ name: calls, requests: 2, per_s: 600 }", f", redis: '{server.url}', redis_timeout_ms: 300"))
        shared(host)
        assert [ask(host).status for _ in range(3)] == [200, 200, 429]
        server.pause()
        begin = time.monotonic()
        statuses = [ask(host).status for _ in range(6)]
        assert statuses == [200, 200, 429, 429, 429, 429], "its own count, for now"
        assert time.monotonic() - begin < 20, "who waited once does not wait again"
        wait_until(lambda: "limits are this host's own" in host.log(), what="a word of it")
        told = lambda: host.log().count("limits are shared through Redis")
        before = told()
        server.go_on()
        wait_until(lambda: ask(host, "192.0.2.9", "/nothing").status and told() > before, what="recovery")
        assert ask(host).status == 429, "what Redis knows counts again"
        server.kill()
        assert ask(host, "192.0.2.50").status == 200
        before = told()
        server.start()
        wait_until(lambda: ask(host, "192.0.2.51", "/nothing").status and told() > before, what="recovery")
        before = told()
        server.command("SCRIPT", "FLUSH")
        wait_until(lambda: ask(host, "192.0.2.52", "/nothing").status in (404, 429) and told() > before, what="the script again")
    finally:
        server.close()


def test_many_addresses_take_no_more_memory(hosts):
    """A million callers in a table of 16 bytes each. Who was refused stays refused while there is room; past that somebody makes room, and new callers are counted all the same."""
    count = 1_000_000 if PRESET == "release" else 20_000
    host = hosts(limited("{ name: calls, requests: 1, per_s: 3600 }", f", entries: {count}"))
    rss = lambda: int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{host.process.pid}/status").read())[1]) / 1024

    def call(first, last, pipelined=500):
        with Raw(host.port) as raw:
            for begin in range(first, last, pipelined):
                addresses = [ipaddress.IPv4Address(0x0b000000 + number) for number in range(begin, min(begin + pipelined, last))]
                raw.send("".join(f"GET /nothing HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n" for address in addresses))
                answers = b""
                while answers.count(b"HTTP/1.1 404 ") < len(addresses):
                    answers += raw.socket.recv(1 << 20) or pytest.fail(f"closed behind {answers!r}")

    assert [ask(host).status for _ in range(2)] == [200, 429]
    begin = rss()
    room = count // 16  # half a caller in each set of eight: that one of them is full is one chance in ten million
    call(0, room)
    assert ask(host).status == 429, "not displaced"
    call(room, count)
    if PRESET == "release":  # a sanitizer keeps what was freed
        assert rss() - begin < 40, f"{rss() - begin:.0f} MiB more"
    assert [ask(host, "192.0.2.77").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("config, said", [
    ("limits: []", "/plugins/1/config/limits"),
    ("limits: [ { name: a, requests: 0 } ]", "/limits/0/requests"),
    ("limits: [ { name: a, requests: 1 }, { name: a, requests: 2 } ]", "/limits/1/name: 'a' is taken"),
    ("limits: [ { name: a, requests: 2000000 } ]", "more than a million a second"),
    ("limits: [ { name: a, requests: 1, per_s: 86400, burst: 200000 } ]", "more than ten years"),
    ("limits: [ { name: A b, requests: 1 } ]", "/limits/0/name"),
    ("limits: [ { name: a, requests: 1, by: adress } ]", "/limits/0/by"),
    ("limits: [ { name: a, requests: 1 } ], redis: 'http://x'", "redis://"),
])
def test_a_configuration_that_is_refused(tmp_path, config, said):
    assert said in refused(tmp_path, f"plugins:\n  - id: health\n  - id: ratelimit\n    config: {{ {config} }}\n")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "x", "10.0.0", "::1/129", "10.0.0.0/", "10.0.0.0/8x", ""])
def test_a_proxy_that_is_none(tmp_path, text):
    assert "/server/trusted_proxies/0" in refused(tmp_path, f"server: {{ trusted_proxies: [ '{text}' ] }}\nplugins:\n  - id: health\n")
