"""The cache over several hosts: the second level in Redis, how hosts hear of each other's writes, and what becomes of it when Redis or
PostgreSQL does not play along."""

import os
import pathlib
import random
import socket
import statistics
import threading
import time
import uuid

import pytest

from conftest import titanic_config
from support.servers import Raw, Redis, wait_until
from test_cache import cached, reads, status_of
from test_people import BRAUND


@pytest.fixture(scope="module")
def redis():
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def own_redis():
    """For tests that stop it."""
    server = Redis()
    yield server
    server.close()


def shared(hosts, url, count=2, more=""):
    """Hosts that share one Redis under a name of their own."""
    config = cached(more=f", redis: '{url}', redis_timeout_ms: 1000, service: s{uuid.uuid4().hex[:8]}{more}")
    started = [hosts(config) for _ in range(count)]
    for host in started:
        coherent(host)
    return started


SAME = {"host": "titanic.example"}  # as behind a load balancer


def coherent(host):
    def hears():
        before = host.get("/metricsink/sums").json.get("cache_requests_total,bypass", 0)
        host.get("/tagged/probe")
        return host.get("/metricsink/sums").json.get("cache_requests_total,bypass", 0) == before

    wait_until(hears, what="the bus")


def kept(host, path, **how):
    """Asked until it comes from the cache: word of a write, of the start's own too, may drop what was just stored."""
    wait_until(lambda: "hit" in status_of(host.get(path, **how)), what="keeping")


def value(host, key="a"):
    return host.get(f"/tagged/{key}", headers=SAME).body.decode()


def test_a_second_host_finds_what_the_first_fetched(hosts, redis):
    first, second = shared(hosts, redis.url)
    ask = lambda host: host.get("/tagged/a?etag=%22x%22&link=%3Cy%3E", headers=SAME)
    made = ask(first)
    wait_until(lambda: len(redis.command("KEYS", "s*:cache:*").split()) >= 2, what="it to be stored")
    found = ask(second)
    assert found.body == made.body and found.headers["etag"] == '"x"' and found.headers["link"] == "<y>"
    assert found.headers["cache-control"] == "no-cache" and found.headers["content-type"] == made.headers["content-type"]
    assert second.get("/metricsink/sums").json["cache_requests_total,shared"] == 1


def test_a_write_on_one_host_reaches_the_others(hosts, redis):
    """`tagged` keeps its values per host, so what is shown here is whose read it was."""
    first, second = shared(hosts, redis.url)
    for host in (first, second):
        host.request("PUT", "/tagged/a?quietly", "old")
    assert value(first) == "old" and value(second) == "old"
    for host in (first, second):
        host.request("PUT", "/tagged/a?quietly", "new")
    assert value(first) == "old" and value(second) == "old", "nobody said so"
    first.request("PUT", "/tagged/a", "new")
    assert value(first) == "new"
    wait_until(lambda: value(second) == "new", what="the message")
    counts = second.get("/metricsink/counts").json
    assert counts["cache_invalidation_lag_seconds"] >= 1, "of the tag, and of the URIs that were written to"


def test_reads_and_writes_over_two_hosts_by_redis(hosts, redis, postgres):
    linearizable_on_each_host(*people_hosts(hosts, postgres, f"redis: '{redis.url}', service: s{uuid.uuid4().hex[:8]}, "))


def test_reads_and_writes_over_two_hosts_by_notify(hosts, postgres):
    linearizable_on_each_host(*people_hosts(hosts, postgres))


def people_hosts(hosts, postgres, more=""):
    url = postgres.create(f"shared{uuid.uuid4().hex[:8]}")
    config = titanic_config(url, f"  - id: cache\n    config: {{ {more}routes: [{{ route: '/people*' }}] }}")
    both = [hosts(config).wait_ready() for _ in range(2)]
    for host in both:
        wait_until(lambda: host.get("/health/ready").json["status"] == "ready", what="the bus")
    return both


def linearizable_on_each_host(first, second):
    """A writer on one host, readers on both: its own host's readers never see less than what was answered before they asked,
    the other's only rise, and see the last write within moments."""
    one, floor, stop, wrong, lags = f"/people/{BRAUND['uuid']}", [0], time.monotonic() + 3, [], []

    def write():
        while time.monotonic() < stop:
            assert first.request("PATCH", one, {"siblingsOrSpousesAboard": (floor[0] + 1) % 100, "fare": floor[0] + 1}).status == 200
            floor[0] += 1

    def read(host, own):
        seen = 0
        while time.monotonic() < stop:
            least = floor[0] if own else 0
            answer = host.get(one)
            assert answer.status == 200, answer.body
            now = answer.json["fare"]
            if floor[0] and now < max(least, seen if seen != 7.25 else 0):
                wrong.append((own, least, seen, now))
            seen = now

    threads = [threading.Thread(target=write), *(threading.Thread(target=read, args=(host, host is first)) for host in (first, second) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and floor[0] > 20
    for fare in range(1, 31):
        assert first.request("PATCH", one, {"fare": fare}).status == 200
        begin = time.monotonic()
        wait_until(lambda: second.get(one).json["fare"] == fare, what="the other host")
        lags.append(time.monotonic() - begin)
    print(f"a write was seen on the other host after {statistics.median(lags) * 1000:.1f} ms (median of 30, one request included)")
    kept(second, one)


def test_redis_down_at_start_and_then_there(hosts, own_redis):
    own_redis.kill()
    host = hosts(cached(more=f", redis: '{own_redis.url}'"))
    for number in range(3):
        host.request("PUT", "/tagged/a", str(number))
        assert value(host) == str(number)
    assert "bypass" in status_of(host.get("/tagged/a")) and host.get("/tagged/a").headers["etag"]
    own_redis.start()
    coherent(host)
    assert value(host) == "2"


def test_redis_killed_and_back(hosts, own_redis):
    """What was written while it was away is not forgotten when it comes back."""
    first, second = shared(hosts, own_redis.url)
    for host in (first, second):
        host.request("PUT", "/tagged/a", "1")
    wait_until(lambda: value(first) == value(second) == "1")
    own_redis.kill()
    wait_until(lambda: "bypass" in status_of(first.get("/tagged/a")) and "bypass" in status_of(second.get("/tagged/a")), what="its loss to be known")
    for host in (first, second):
        assert host.request("PUT", "/tagged/a?quietly", "2").status == 204
    assert first.request("PUT", "/tagged/a", "2").status == 204
    assert value(first) == value(second) == "2"
    own_redis.start()
    coherent(first), coherent(second)
    assert value(first) == value(second) == "2"
    kept(first, "/tagged/a", headers=SAME)
    wait_until(lambda: "redis down" in first.log() and first.log().count("redis ready") == 2, what="both in the log")


def test_a_missed_change_is_made_good(hosts, own_redis):
    """One host alone loses Redis, writes, and finds it again: the other must drop what it kept."""
    first, second = shared(hosts, own_redis.url)
    for host in (first, second):
        host.request("PUT", "/tagged/a?quietly", "1")
    assert value(second) == "1"
    second.request("PUT", "/tagged/a?quietly", "2")
    # All connections of the first host are cut, and it may not come back for a while.
    clients = [dict(part.split("=", 1) for part in line.split()) for line in own_redis.command("CLIENT", "LIST").splitlines()]
    ports = ports_of(first)
    kills = [f"CLIENT KILL ID {client['id']}" for client in clients if int(client["addr"].rsplit(":", 1)[1]) in ports]
    own_redis.commands("CONFIG SET maxclients 3", *kills)  # on one connection: there is no other for us either
    wait_until(lambda: "bypass" in status_of(first.get("/tagged/a")), what="the loss")
    assert first.request("PUT", "/tagged/a", "2").status == 204
    assert value(second) == "1", "it could not be told"
    wait_until(lambda: own_redis.command("CONFIG", "SET", "maxclients", "10000") == "OK", what="room for us")
    wait_until(lambda: value(second) == "2", what="the second host to hear that it missed something")


def ports_of(host):
    """Local ports of the host's TCP connections."""
    inodes = set()
    for descriptor in pathlib.Path(f"/proc/{host.process.pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    lines = [line.split() for line in pathlib.Path(f"/proc/{host.process.pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(fields[1].split(":")[1], 16) for fields in lines if fields[9] in inodes}


def test_redis_slow(hosts, own_redis):
    """It hangs: requests wait for it for its timeout at most, then do without; after two seconds it is not asked any more."""
    host = hosts(cached(more=f", redis: '{own_redis.url}', redis_timeout_ms: 50"))
    coherent(host)
    own_redis.pause()
    begin = time.monotonic()
    assert value(host, "b") == "0"
    assert time.monotonic() - begin < 0.05 * 10
    wait_until(lambda: "bypass" in status_of(host.get("/tagged/c")), what="giving up")
    assert host.request("PUT", "/tagged/a", "1").status == 204 and value(host) == "1"
    own_redis.go_on()
    coherent(host)
    assert value(host) == "1"


def test_redis_dies_during_a_stampede(hosts, own_redis):
    """Those who wait are let go at once: nobody is told 504."""
    host = hosts(cached(more=f", redis: '{own_redis.url}'"))
    coherent(host)
    raws = [Raw(host.port) for _ in range(300)]
    for raw in raws:
        raw.send("GET /tagged/a?delay=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    own_redis.kill()
    begin = time.monotonic()
    assert {raw.answer().status for raw in raws} == {200}
    assert time.monotonic() - begin < 20
    for raw in raws:
        raw.socket.close()


def test_redis_full_or_read_only(hosts, own_redis):
    """It takes no writes: changes cannot be told, so nothing kept is used."""
    first, second = shared(hosts, own_redis.url)
    for host in (first, second):
        host.request("PUT", "/tagged/a?quietly", "1")
    assert value(first) == value(second) == "1"
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    for host in (first, second):
        host.request("PUT", "/tagged/a?quietly", "2")
    first.request("PUT", "/tagged/a", "2")
    assert value(first) == "2"
    for host in (first, second):
        wait_until(lambda: "bypass" in status_of(host.get("/tagged/a")), what="the loss")
        assert value(host) == "2"
    wait_until(lambda: "OOM" in first.log() and "OOM" in second.log(), what="the reason in the log")
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    wait_until(lambda: value(second) == "2", what="the second host")
    coherent(first)


def test_flushed_evicted_or_overwritten(hosts, own_redis):
    """Whatever becomes of the keys in Redis: answers are fetched again, never untrue, never an error."""
    first, second = shared(hosts, own_redis.url)
    generator = random.Random(7)
    for number in range(1, 60):
        for host in (first, second):
            host.request("PUT", "/tagged/a?quietly", str(number))
        writer = generator.choice((first, second))
        writer.request("PUT", "/tagged/a", str(number))
        kind = number % 6
        keys = own_redis.command("KEYS", "*").split()
        entries = [key for key in keys if not key.endswith(":clock")]
        clock = wait_until(lambda: [key for key in own_redis.command("KEYS", "*").split() if key.endswith(":clock")], what="the clock")[0]
        if kind == 0:
            own_redis.command("FLUSHALL")
        elif kind == 1:
            own_redis.command("DEL", clock)
        elif kind == 2 and entries:
            for key in entries:
                own_redis.command("SET", key, "garbage")
        elif kind == 3 and entries:
            for key in entries:
                own_redis.command("HSET", key, "data", "garbage", "slots", "x", "began", "99999999999999999")
        elif kind == 4 and entries:
            for key in entries:
                own_redis.command("HSET", key, "began", "garbage")
        elif kind == 5:
            own_redis.command("SCRIPT", "FLUSH")
        assert value(writer) == str(number)
        wait_until(lambda: value(first) == value(second) == str(number), what=f"both hosts at {number}")
    own_redis.command("SET", clock, "garbage")
    first.request("PUT", "/tagged/a", "x")
    assert value(first) == "x"
    own_redis.command("DEL", clock)
    coherent(first)


def test_redis_restarts_from_an_old_snapshot(hosts, tmp_path):
    """Answers and clock come back as they were before the last change was told."""
    server = Redis("--appendonly", "no")
    try:
        first, second = shared(hosts, server.url)
        for host in (first, second):
            host.request("PUT", "/tagged/a", "1")
        wait_until(lambda: value(first) == value(second) == "1")
        wait_until(lambda: len(server.command("KEYS", "*").split()) > 1)
        assert server.command("SAVE") == "OK"
        for host in (first, second):
            host.request("PUT", "/tagged/a?quietly", "2")
        first.request("PUT", "/tagged/a", "2")
        wait_until(lambda: value(second) == "2")
        server.kill()
        server.start()
        coherent(first), coherent(second)
        assert value(first) == value(second) == "2"
    finally:
        server.close()


def test_nonsense_on_the_channel_and_a_server_that_is_no_redis(hosts, own_redis):
    first, second = shared(hosts, own_redis.url)
    value(second)
    found = lambda: second.get("/metricsink/sums").json.get("cache_requests_total,shared", 0)
    before = found()
    name = [key for key in own_redis.command("KEYS", "*").split() if key.endswith(":clock")][0].removesuffix(":clock")
    own_redis.command("PUBLISH", f"{name}:changed", "what is this")
    wait_until(lambda: value(second) == "0" and found() > before, what="everything in memory to be dropped")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))
                    connection.close()
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        host = hosts(cached(more=f", redis: 'redis://127.0.0.1:{listener.getsockname()[1]}'"))
        wait_until(lambda: "redis down" in host.log(), what="the reason in the log")
        host.request("PUT", "/tagged/a", "5")
        assert value(host) == "5" and value(host) == "5"


def test_password_and_database(hosts):
    server = Redis("--requirepass", "p@ss word")
    try:
        url = f"redis://:p%40ss%20word@127.0.0.1:{server.port}/3"
        host = hosts(cached(more=f", redis: '{url}'"))
        coherent(host)
        value(host)
        keys = lambda database: server.command("-a", "p@ss word", "--no-auth-warning", "-n", str(database), "KEYS", "*").split()
        wait_until(lambda: len(keys(3)) >= 2, what="keys in the database")
        assert keys(0) == []
        wrong = hosts(cached(more=f", redis: 'redis://:p%40ss@127.0.0.1:{server.port}/3'"))
        wait_until(lambda: "redis down" in wrong.log(), what="the refusal")
        assert "WRONGPASS" in wrong.log() and "p@ss" not in wrong.log() + host.log() and "p%40ss" not in wrong.log() + host.log()
    finally:
        server.close()


def test_listening_is_lost_and_found(hosts, postgres):
    """The connection that listens is cut: nothing kept is used until it is there again."""
    first, second = people_hosts(hosts, postgres)
    one = f"/people/{BRAUND['uuid']}"
    kept(second, one)
    for _ in range(5):
        postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' or query = 'select 1'")
        assert first.request("PATCH", one, {"fare": 1}).status == 200
        assert first.get(one).json["fare"] == 1
        wait_until(lambda: second.get(one).json["fare"] == 1, what="the second host")
        assert first.request("PATCH", one, {"fare": 2}).status == 200
        wait_until(lambda: second.get(one).json["fare"] == 2, what="the second host")
    kept(second, one)
    wait_until(lambda: "not listening to the database" in second.log(), what="it in the log")


@pytest.mark.parametrize("bus", ["redis", "notify"])
def test_an_import_by_command_reaches_a_running_host(hosts, postgres, redis, bus):
    import subprocess

    from support.servers import BULKHEAD, ROOT

    host, _ = people_hosts(hosts, postgres, f"redis: '{redis.url}', service: s{uuid.uuid4().hex[:8]}, " if bus == "redis" else "")
    page = "/people?limit=1000"
    assert len(host.get(page).json) == 891
    kept(host, page)
    run = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", str(ROOT / "tests/data/titanic887.csv")], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    wait_until(lambda: len(host.get(page).json) == 1000, what="the imported ones")
