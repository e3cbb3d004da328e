"""The cache in one host: what is kept, for whom, until when. Its second level and its bus are in test_cache_shared.py."""

import concurrent.futures
import contextlib
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import pytest

from conftest import titanic_config
from support.http import contract_config
from support.servers import PRESET, Raw, wait_until
from test_people import BRAUND, NEW


def cached(routes="[{ route: '/tagged*' }]", more="", plugins=("tagged", "metricsink")):
    return contract_config(*plugins, server="  scopes: ignore", extra=f"  - id: cache\n    config: {{ routes: {routes}{more} }}\n")


def status_of(answer):
    return answer.headers.get("cache-status", "")


def reads(host):
    return int(host.get("/tagged/count").body)


@pytest.fixture
def host(hosts):
    return hosts(cached())


def test_the_second_answer_is_kept_and_the_same(host):
    first, second = host.get("/tagged/a"), host.get("/tagged/a")
    assert status_of(first) == "bulkhead; fwd=miss; stored" and status_of(second) == "bulkhead; hit"
    assert first.body == second.body == b"0" and reads(host) == 1
    for answer in (first, second):
        assert answer.headers["etag"] == first.headers["etag"] and answer.headers["cache-control"] == "no-cache"
        assert "surrogate-key" not in answer.headers, "it is for the cache alone"


def test_head_is_answered_from_what_get_brought(host):
    with Raw(host.port) as raw:
        head = raw.send("HEAD /tagged/a HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
        assert head.status == 200 and head.headers["content-length"] == "1"
        assert raw.send("GET /tagged/a HTTP/1.1\r\nHost: x\r\n\r\n").answer().body == b"0"
        again = raw.send("HEAD /tagged/a HTTP/1.1\r\nHost: x\r\n\r\n").answer(head=True)
        assert again.headers["etag"] == head.headers["etag"] and again.headers["content-length"] == "1"
        assert status_of(again) == "bulkhead; hit"
    assert reads(host) == 2, "a HEAD fills nothing: a step of its own might have made no body"


def test_304_without_a_read(host):
    tag = host.get("/tagged/a").headers["etag"]
    for known in (tag, f"W/{tag}", "*", f'"other", {tag}'):
        answer = host.get("/tagged/a", headers={"if-none-match": known})
        assert answer.status == 304 and answer.headers["etag"] == tag and answer.body == b""
        assert "content-type" not in answer.headers and answer.headers["cache-control"] == "no-cache"
    assert host.get("/tagged/a", headers={"if-none-match": '"other"'}).status == 200
    assert reads(host) == 1


def test_304_also_where_nothing_is_kept_yet(host):
    tag = host.get("/tagged/a").headers["etag"]
    host.request("PUT", "/tagged/a", "1")
    host.request("PUT", "/tagged/a", "0")
    answer = host.get("/tagged/a", headers={"if-none-match": tag})
    assert answer.status == 304 and answer.body == b"" and "content-type" not in answer.headers
    assert status_of(host.get("/tagged/a")) == "bulkhead; hit", "the whole answer was kept"


@pytest.mark.parametrize("query", ["status=404", "status=500", "tag=none", "vary=Accept-Language", "vary=*", "set-cookie=a", "cache-control=no-store", "cache-control=private", "cache-control=no-cache", "cache-control=max-age=0", "expires=0", "etag=W/%22a%22", "content-encoding=gzip", "vary=Authorization"])
def test_what_is_not_kept(host, query):
    with Raw(host.port) as raw:
        for _ in range(3):
            raw.send(f"GET /tagged/a?{query} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    assert reads(host) == 3


@pytest.mark.parametrize("query", ["vary=Accept", "vary=accept-encoding,Prefer", "cache-control=max-age=5", "cache-control=public", "etag=%22mine%22", "link=%3Cx%3E;rel=next"])
def test_what_is_kept_as_it_is(host, query):
    with Raw(host.port) as raw:
        first, second = (raw.send(f"GET /tagged/a?{query} HTTP/1.1\r\nHost: x\r\n\r\n").answer() for _ in range(2))
    name, value = urllib.parse.unquote(query).split("=", 1)
    assert first.headers[name] == second.headers[name] == value and reads(host) == 1


def test_other_conditions_are_the_steps_business(host):
    tag = host.get("/tagged/a").headers["etag"]
    for name in ("if-match", "if-modified-since", "if-unmodified-since"):
        assert "bypass" in status_of(host.get("/tagged/a", headers={name: "x"}))
    assert host.get("/tagged/a", headers={"if-none-match": tag, "if-modified-since": "x"}).status == 304, "RFC 9110 13.1.3"
    assert reads(host) == 4


def test_whatever_varies_the_answer_is_part_of_the_key(host):
    with Raw(host.port) as raw:
        for fields in ("", "Accept: text/csv\r\n", "Accept: text/html\r\n", "Prefer: count=exact\r\n", "Range: 0-1\r\n", "Accept: text/csv\r\nPrefer: count=exact\r\n"):
            assert "miss" in status_of(raw.send(f"GET /tagged/a HTTP/1.1\r\nHost: x\r\n{fields}\r\n").answer())
        assert "miss" in status_of(raw.send("GET /tagged/a HTTP/1.1\r\nHost: y\r\n\r\n").answer())
        for target in ("/tagged/a?", "/tagged/a?x=1", "/tagged/a?x=2", "/tagged/b", "/tagged/%61"):
            assert "miss" in status_of(raw.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer())
        assert "hit" in status_of(raw.send("GET /tagged/a HTTP/1.1\r\nHost: x\r\nUser-Agent: other\r\n\r\n").answer())


@pytest.mark.parametrize("per_identity", [True, False])
def test_identity(hosts, per_identity):
    host = hosts(cached(f"[{{ route: '/tagged*', per_identity: {str(per_identity).lower()} }}]", plugins=("tagged", "identity")))
    ask = lambda key: status_of(host.get("/tagged/a", headers={"authorization": key} if key else {}))
    assert "miss" in ask("") and "hit" in ask("")
    assert ("miss" if per_identity else "hit") in ask("Key good")
    assert "hit" in ask("Key good")
    assert ("miss" if per_identity else "hit") in ask("Key other"), "the same subject with other scopes"
    assert "hit" in ask("")
    private = lambda: host.get("/tagged/a?cache-control=private", headers={"authorization": "Key good"})
    private()
    assert ("hit" in status_of(private())) == per_identity


def test_a_write_is_seen_at_once(host):
    for number in range(200):
        assert host.get("/tagged/a").body == str(number).encode()
        assert host.get("/tagged/a").body == str(number).encode()
        assert host.request("PUT", "/tagged/a", str(number + 1)).status == 204
    assert reads(host) == 200


def test_what_was_added_for_one_caller_is_not_kept(host):
    assert host.get("/tagged/a", headers={"x-caller": "me"}).headers["x-caller"] == "me"
    assert "x-caller" not in host.get("/tagged/a").headers
    assert host.get("/tagged/a", headers={"x-caller": "you"}).headers["x-caller"] == "you"
    assert reads(host) == 1


def test_other_tags_stay(host):
    for key in "abc":
        host.get(f"/tagged/{key}")
    host.request("PUT", "/tagged/b", "1")
    assert [status_of(host.get(f"/tagged/{key}")).split("; ")[1] for key in "abc"] == ["hit", "fwd=miss", "hit"]
    host.request("PUT", "/tagged/all", "1")
    assert all("miss" in status_of(host.get(f"/tagged/{key}")) for key in "abc")


def test_time_to_live(hosts):
    host = hosts(cached("[{ route: '/tagged*', ttl_s: 0.2 }]"))
    host.get("/tagged/a")
    host.request("PUT", "/tagged/a?quietly", "1")  # nobody says so
    wait_until(lambda: host.get("/tagged/a").body == b"1", what="the end of its time")


def test_only_its_routes_and_the_first_pattern_counts(hosts):
    host = hosts(cached("[{ route: '/tagged/{key}', cache_control: 'max-age=1' }, { route: '/tag*', cache_control: 'max-age=2' }]"))
    assert host.get("/tagged/a").headers["cache-control"] == "max-age=1"
    assert host.get("/tagged/a").headers["cache-control"] == "max-age=1"
    assert "cache-control" not in host.get("/tagged/count").headers, "it carries no Surrogate-Key"
    assert "cache-status" not in host.get("/metricsink/sums").headers


def test_a_stampede_makes_one_read(hosts):
    """1,000 equal requests at once."""
    host = hosts(cached())
    raws = [Raw(host.port) for _ in range(1000)]
    delay = 1_000 if PRESET == "release" else 10_000  # all have to come before it ends
    for raw in raws:
        raw.send(f"GET /tagged/a?delay={delay} HTTP/1.1\r\nHost: x\r\n\r\n")
    answers = [raw.answer() for raw in raws]
    assert {answer.body for answer in answers} == {b"0"} and {answer.status for answer in answers} == {200}
    assert reads(host) == 1
    for raw in raws:
        raw.socket.close()
    assert host.get("/metricsink/sums").json["cache_requests_total,joined"] == 999


def test_a_stampede_on_the_database_makes_one_query(hosts, postgres):
    import uuid

    name = f"stampede{uuid.uuid4().hex[:8]}"
    url = postgres.create(name)
    host = hosts(titanic_config(url, "  - id: cache\n    config: { routes: [{ route: '/people*' }] }")).wait_ready()
    wait_until(lambda: host.get("/health/ready").json["status"] == "ready", what="the bus")

    def hold():
        with contextlib.suppress(subprocess.CalledProcessError):  # cancelled
            postgres.sql("begin; lock table people in access exclusive mode; select pg_sleep(60)", name)

    blocker = threading.Thread(target=hold)
    blocker.start()
    wait_until(lambda: postgres.sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation is not null and granted", name) != "0")
    raws = [Raw(host.port) for _ in range(1000)]
    for raw in raws:
        raw.send("GET /people?limit=7 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: int(postgres.sql(f"select count(*) from pg_stat_activity where datname = '{name}' and wait_event_type = 'Lock'")) > 0)
    time.sleep(0.3)
    waiting = int(postgres.sql(f"select count(*) from pg_stat_activity where datname = '{name}' and wait_event_type = 'Lock'"))
    postgres.sql(f"select pg_cancel_backend(pid) from pg_stat_activity where datname = '{name}' and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()")
    answers = [raw.answer() for raw in raws]
    blocker.join()
    assert waiting == 1 and len({answer.body for answer in answers}) == 1 and answers[0].status == 200


def test_who_joins_after_a_write_is_not_told_what_was_before(host):
    """A read begins, a write ends, then another reader comes while the first read is still under way."""
    with Raw(host.port) as early, Raw(host.port) as late:
        early.send("GET /tagged/a?delay=500 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: reads(host) == 1)
        assert host.request("PUT", "/tagged/a", "1").status == 204
        late.send("GET /tagged/a?delay=500 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert early.answer().body == b"0", "its read began before"
        assert late.answer().body == b"1"
    assert host.get("/tagged/a?delay=500").body == b"1", "what was read before the write is not kept"


def test_the_leader_leaves_and_the_next_one_leads(host):
    leader, followers = Raw(host.port), [Raw(host.port) for _ in range(5)]
    leader.send("GET /tagged/a?delay=700 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: reads(host) == 1)
    for raw in followers:
        raw.send("GET /tagged/a?delay=700 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.1)
    leader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    leader.socket.close()  # with a reset: after a mere FIN it could still be waiting for its answer
    assert [raw.answer().body for raw in followers] == [b"0"] * 5
    assert reads(host) == 2
    for raw in followers:
        raw.socket.close()


def test_a_follower_who_left_first_is_let_go(host):
    """Its exchange ends with it: a host that is told to stop has nothing to wait for."""
    leader, follower = Raw(host.port), Raw(host.port)
    leader.send("GET /tagged/a?delay=700&status=503 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: reads(host) == 1)
    follower.send("GET /tagged/a?delay=700&status=503 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.1)
    follower.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    follower.socket.close()
    assert leader.answer().status == 503
    leader.socket.close()
    host.stop()
    assert "the drain deadline passed" not in host.log()


def test_writes_faster_than_reads_do_not_starve_readers(host):
    """Every fetch is overtaken by a write: after the second one nobody waits for another's."""
    stop = threading.Event()

    def write():
        with Raw(host.port) as raw:
            while not stop.is_set():
                raw.send("PUT /tagged/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1").answer()

    thread = threading.Thread(target=write)
    thread.start()
    begin = time.monotonic()
    raws = [Raw(host.port) for _ in range(100)]
    for raw in raws:
        raw.send("GET /tagged/a?delay=200 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {raw.answer().status for raw in raws} == {200}
    assert time.monotonic() - begin < 10, "one after another it would be 20 s"
    stop.set()
    thread.join()
    for raw in raws:
        raw.socket.close()


def test_failures_and_what_cannot_be_kept_reach_everybody(host):
    for query, expected in (("status=503&delay=50", 503), ("status=404&delay=100", 404), ("tag=none&delay=100", 200)):
        raws = [Raw(host.port) for _ in range(8)]
        for raw in raws:
            raw.send(f"GET /tagged/a?{query} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [raw.answer().status for raw in raws] == [expected] * 8
        for raw in raws:
            raw.socket.close()


def test_bounded_in_bytes_the_least_recently_used_go(hosts):
    host = hosts(cached(more=", memory_mb: 1"))
    host.get("/tagged/hot?size=2000")
    for number in range(2000):
        host.get(f"/tagged/a{number}?size=2000")
        if number % 20 == 0:
            assert "hit" in status_of(host.get("/tagged/hot?size=2000")), "it is used all the time"
    assert "miss" in status_of(host.get("/tagged/a0?size=2000")), "an old one went"
    sums = wait_until(lambda: (s := host.get("/metricsink/sums").json).get("cache_evictions_total", 0) > 500 and s, what="figures")
    assert host.get("/tagged/large?size=900000").status == 200
    assert "miss" in status_of(host.get("/tagged/large?size=900000")), "larger than its share"
    assert sums["cache_requests_total,hit"] >= 100


def test_readers_and_writers_at_once(hosts):
    """Each key has one writer that counts up; nobody is ever shown less than a write that had been answered before."""
    host = hosts(cached())
    floors, stop, wrong = {key: 0 for key in "abcd"}, time.monotonic() + 3, []

    def write(key):
        with Raw(host.port) as raw:
            for number in range(1, 100_000):
                body = str(number)
                raw.send(f"PUT /tagged/{key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}")
                assert raw.answer().status == 204
                floors[key] = number
                if time.monotonic() > stop:
                    return number

    def read(key):
        seen = 0
        with Raw(host.port) as raw:
            while time.monotonic() < stop:
                floor = max(floors[key], seen)
                seen = int(raw.send(f"GET /tagged/{key}?delay=1 HTTP/1.1\r\nHost: x\r\n\r\n").answer().body)
                if seen < floor:
                    wrong.append((key, seen, floor))

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        writers = [pool.submit(write, key) for key in "abcd"]
        readers = [pool.submit(read, key) for key in "abcd" * 4]
        assert all(writer.result() for writer in writers)
        for reader in readers:
            reader.result()
    assert not wrong


@pytest.fixture
def people(hosts, database):
    host = hosts(titanic_config(database, "  - id: cache\n    config: { routes: [{ route: '/people*' }] }")).wait_ready()
    wait_until(lambda: host.get("/health/ready").json["status"] == "ready", what="the bus")
    return host


def test_passengers_change(people):
    one, page = f"/people/{BRAUND['uuid']}", "/people?limit=5&order=age.desc.nullslast"
    assert "hit" not in status_of(people.get(one)) and "hit" in status_of(people.get(one))
    first = people.get(page)
    assert first.headers["etag"] and people.get(page).headers["link"] == first.headers["link"]
    assert people.get(page, headers={"if-none-match": first.headers["etag"]}).status == 304
    made = people.request("POST", "/people", {**NEW, "age": 149})
    assert people.get(page).json[0]["uuid"] == made.json["uuid"]
    own = f"/people/{made.json['uuid']}"
    assert people.get(own).json["age"] == 149 and "hit" in status_of(people.get(own))
    for method, body, check in (
        ("PATCH", {"age": 148}, lambda a: a.json["age"] == 148),
        ("PUT", {**NEW, "age": 147}, lambda a: a.json["age"] == 147),
        ("DELETE", None, lambda a: a.status == 404),
    ):
        assert people.request(method, own, body).status in (200, 204)
        assert check(people.get(own)), method
    assert people.get(page).json[0]["uuid"] != made.json["uuid"]
    assert people.request("POST", own + "/restore").status == 200
    assert people.get(own).json["age"] == 147 and people.get(page).json[0]["uuid"] == made.json["uuid"]
    assert "hit" in status_of(people.get(one)), "nobody changed this one"


def test_revalidation_alone_fills_the_cache_too(people):
    one = f"/people/{BRAUND['uuid']}"
    tag = people.get(one).headers["etag"]
    people.request("PATCH", one, {"age": 30})
    people.request("PATCH", one, {"age": 22})
    tag = f'"{int(tag.strip(chr(34))) + 2}"'
    first, second = (people.get(one, headers={"if-none-match": tag}) for _ in range(2))
    assert first.status == second.status == 304 and "hit" in status_of(second)
    assert people.get(one).status == 200, "who does not know it gets it"
    assert "hit" in status_of(people.get(one))


# ------------------------------------------------------ RFC 9111, by its sections


def test_age(host):
    """§5.1: how long ago it was made; a fresh answer has none."""
    assert "age" not in host.get("/tagged/a").headers
    assert host.get("/tagged/a").headers["age"] == "0"
    time.sleep(1.1)
    later = host.get("/tagged/a")
    assert status_of(later) == "bulkhead; hit" and 1 <= int(later.headers["age"]) < 30
    same = host.get("/tagged/a", headers={"if-none-match": later.headers["etag"]})
    assert same.status == 304 and int(same.headers["age"]) >= 1


def test_a_max_age_bounds_what_is_kept(host):
    for _ in range(2):
        host.get("/tagged/a?cache-control=max-age=1")
    assert reads(host) == 1
    time.sleep(1.1)
    host.get("/tagged/a?cache-control=max-age=1")
    assert reads(host) == 2


@pytest.mark.parametrize("control, kept", [("", False), ("max-age=60", False), ("public", True), ("s-maxage=60", True), ("must-revalidate", True), ("private", False)])
def test_what_is_made_for_an_authorization_is_nobody_elses(host, control, kept):
    """§3.5, where nobody knows whose it is."""
    path = f"/tagged/a?cache-control={control}" if control else "/tagged/a"
    host.get(path, headers={"authorization": "Bearer secret"})
    other = host.get(path)
    assert (status_of(other) == "bulkhead; hit") == kept and reads(host) == (1 if kept else 2)


def test_an_unsafe_request_makes_its_uri_untrue(host):
    """§4.4, also where its plugin says nothing."""
    read = lambda path="/tagged/a?quietly": status_of(host.get(path))
    for method, status in (("PUT", 204), ("DELETE", 405), ("POST", 405)):
        host.get("/tagged/a?quietly")
        assert read() == "bulkhead; hit"
        assert host.request(method, "/tagged/a?quietly", "1").status == status
        assert read() == ("bulkhead; fwd=miss; stored" if status < 400 else "bulkhead; hit"), method


def test_a_location_of_the_same_origin_is_untrue_too(hosts, tmp_path):
    """people says so by tags; without them it is the URI of the new record that counts."""
    routes = "[{ route: '/people*' }]"
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", extra=f"  - id: cache\n    config: {{ routes: {routes} }}\n")).wait_ready()
    made = host.request("POST", "/people", NEW)
    path = made.headers["location"]
    host.get(path)
    assert status_of(host.get(path)) == "bulkhead; hit"
    host.request("PATCH", path, '{"age": 5}', headers={"content-type": "application/merge-patch+json"})
    assert host.get(path).json["age"] == 5
