"""Reads on streaming replicas: who may answer, who reads from the primary, and replicas that lag, die and come back."""

import threading
import time
import uuid

import pytest

from conftest import titanic_config
from support.servers import CONTRACT, Postgres, Replica, wait_until
from test_people import BRAUND, NEW

ONE = f"/people/{BRAUND['uuid']}"
LAG_MS = 500


@pytest.fixture(scope="module")
def cluster():
    """A primary and two replicas."""
    primary = Postgres()
    replicas = [Replica(primary) for _ in range(2)]
    yield primary, replicas
    for server in (*replicas, primary):
        server.close()


def replicated(hosts, cluster, extra="", lag=LAG_MS):
    primary, replicas = cluster
    name = f"r{uuid.uuid4().hex[:10]}"
    url = primary.create(name)
    urls = ", ".join(f'"{replica.url(name)}"' for replica in replicas)
    more = f", replicas: [{urls}], replica_lag_ms: {lag}, pool: {{ min: 2, max: 4 }}"
    extra += f"  - id: metricsink\n    library: {CONTRACT}/metricsink.so\n  - id: identity\n    library: {CONTRACT}/identity.so\n"
    host = hosts(titanic_config(url, extra=extra, database=more)).wait_ready()
    host.database = name
    wait_until(lambda: host.log().count("replica answers reads") >= len(replicas), what="both replicas")
    written = primary.sql("select pg_current_wal_lsn()")
    for replica in replicas:
        sessions_on(replica, name)
        wait_until(lambda: replica.sql(f"select pg_last_wal_replay_lsn() >= '{written}'") == "t", what="the records on a replica")
    return host


def sessions_on(replica, name):
    """Two sessions, and the one that watches."""
    wait_until(lambda: int(replica.sql(f"select count(*) from pg_stat_activity where datname = '{name}' and application_name = 'titanic-api'")) >= 3, what="sessions on the replica")


def mark(cluster, host):
    """Makes what is read tell where it was read: the replicas stop replaying, then the primary changes."""
    primary, replicas = cluster
    for replica in replicas:
        wait_until(lambda: replica.sql("select pg_last_wal_replay_lsn() >= '" + primary.sql("select pg_current_wal_lsn()") + "'") == "t")
        replica.sql("select pg_wal_replay_pause()")
        wait_until(lambda: replica.sql("select pg_get_wal_replay_pause_state()") == "paused")
    primary.sql(f"update people set name = 'on the primary' where uuid = '{BRAUND['uuid']}'", host.database)


def resume(cluster):
    for replica in cluster[1]:
        replica.sql("select pg_wal_replay_resume()")


def where(host, headers=None):
    return "primary" if host.get(ONE, headers=headers or {}).json["name"] == "on the primary" else "replica"


def test_reads_go_to_replicas_until_they_lag_too_much(hosts, cluster):
    host = replicated(hosts, cluster, lag=2000)
    mark(cluster, host)
    try:
        assert where(host) == "replica" and host.get("/people?limit=1").json[0]["name"] != "on the primary"
        wait_until(lambda: where(host) == "primary", what="the replicas to be left out")
        wait_until(lambda: host.log().count("replica left out") == 2, what="the log to say so")
        for _ in range(20):
            assert where(host) == "primary"
    finally:
        resume(cluster)
    wait_until(lambda: host.log().count("replica answers reads") >= 4, what="the replicas to be back")
    assert host.get("/metricsink/sums").status == 200


def test_who_has_written_reads_it(hosts, cluster):
    host = replicated(hosts, cluster, lag=5000)
    good, other = {"authorization": "Key good"}, {}
    mark(cluster, host)
    try:
        assert where(host, good) == where(host, other) == "replica"
        assert host.request("PATCH", ONE, {"age": 23}, headers=good).json["age"] == 23
        for _ in range(10):
            assert where(host, good) == "primary" and host.get(ONE, headers=good).json["age"] == 23
            assert where(host, other) == "replica"
        made = host.request("POST", "/people", NEW, headers=good)
        assert host.get(made.headers["location"], headers=good).status == 200
        assert host.get(made.headers["location"], headers=other).status == 404, "not replayed yet, and not theirs"
        # Callers nobody has identified count as one.
        assert host.request("PATCH", ONE, {"age": 24}).status == 200
        assert where(host, other) == "primary"
    finally:
        resume(cluster)


def test_a_dead_replica_is_left_out_and_comes_back(hosts, cluster):
    primary, replicas = cluster
    host = replicated(hosts, cluster)
    statuses, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            statuses.append(host.get(ONE).status)
            statuses.append(host.get("/people?limit=5").status)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for victim in replicas:
            time.sleep(0.3)
            left = host.log().count("replica left out")
            victim.kill()
            wait_until(lambda: host.log().count("replica left out") > left, what="the dead one to be left out")
        time.sleep(0.3)
        for victim in replicas:
            back = host.log().count("replica answers reads")
            victim.start()
            wait_until(lambda: host.log().count("replica answers reads") > back, what="it to be back")
        time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200} and len(statuses) > 100


def test_one_that_hangs_is_left_out(hosts, cluster):
    import os
    import signal
    import subprocess

    primary, replicas = cluster
    host = replicated(hosts, cluster)
    pid = int((replicas[0].data / "postmaster.pid").read_text().splitlines()[0])
    family = [pid, *map(int, subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split())]
    for each in family:
        os.kill(each, signal.SIGSTOP)
    try:
        # What it was given before anybody knew is answered by the primary.
        begin = time.monotonic()
        while "replica left out" not in host.log():
            assert host.get(ONE).status == 200 and host.get("/people?limit=3").status == 200
            assert time.monotonic() - begin < 20
        begin = time.monotonic()
        for _ in range(50):
            assert host.get(ONE).status == 200
        assert time.monotonic() - begin < 10
    finally:
        for each in family:
            os.kill(each, signal.SIGCONT)
    wait_until(lambda: host.log().count("replica answers reads") >= 3, what="it to be back")


def test_the_primary_goes_and_comes_back(hosts, cluster):
    """Nobody can say what the replicas lack then: reads are refused once the bound has passed, like writes, and all heals by itself."""
    primary, replicas = cluster
    host = replicated(hosts, cluster, lag=4000)
    primary.kill()
    assert host.get(ONE).status == 200, "nothing is known to be missing yet"
    wait_until(lambda: host.get(ONE).status == 503, what="the end of the bound")
    assert host.request("POST", "/people", NEW).status == 503
    primary.start()
    host.wait_ready()
    wait_until(lambda: host.get(ONE).status == 200 and host.request("POST", "/people", NEW).status == 201, what="healing")
    wait_until(lambda: host.log().count("replica answers reads") >= 4, what="the replicas")


def test_a_recovery_conflict_is_read_again_on_the_primary(hosts, cluster):
    """A replica cancels queries that stand in the way of what it replays."""
    primary, replicas = cluster
    host = replicated(hosts, cluster, lag=5000)
    for replica in replicas:
        replica.sql("alter system set max_standby_streaming_delay = 0")
        replica.sql("select pg_reload_conf()")
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            for statement in ("update people set fare = fare", "vacuum (freeze) people", "begin; lock table people in access exclusive mode; commit"):
                primary.sql(statement, host.database)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(300):
            answer = host.get("/people?limit=1000&order=name")
            assert answer.status == 200 and len(answer.json) == 891
        conflicts = [int(replica.sql(f"select confl_lock + confl_snapshot + confl_bufferpin from pg_stat_database_conflicts where datname = '{host.database}'")) for replica in replicas]
        print("queries cancelled by recovery:", conflicts)
    finally:
        stop.set()
        thread.join()
        for replica in replicas:
            replica.sql("alter system reset max_standby_streaming_delay")
            replica.sql("select pg_reload_conf()")


def test_the_cache_keeps_nothing_that_a_replica_may_not_have_seen(hosts, cluster):
    host = replicated(hosts, cluster, extra="  - id: cache\n    config: { routes: [{ route: '/people*', per_identity: false, ttl_s: 1000 }] }\n", lag=3000)
    wait_until(lambda: "hit" in host.get(ONE).headers.get("cache-status", ""), what="keeping")
    good = {"authorization": "Key good"}
    mark(cluster, host)
    try:
        assert host.request("PATCH", ONE, {"age": 33}, headers=good).status == 200
        assert host.get(ONE, headers=good).json["age"] == 33
        assert host.get(ONE).json["age"] == 22, "another caller may read what the replica has"
    finally:
        resume(cluster)
    wait_until(lambda: host.get(ONE).json["age"] == 33, what="the replica")
    wait_until(lambda: "hit" in host.get(ONE).headers.get("cache-status", ""), what="keeping again")
    assert host.get(ONE).json["age"] == 33


@pytest.mark.parametrize("more, words", [
    ('replicas: ["sqlite:///x.db"]', "/direct_url and /replicas require PostgreSQL"), ('direct_url: "sqlite:///x.db"', "require PostgreSQL"),
    ('replicas: ["postgresql://h:x/n"]', "/replicas/0: the port"), ('replicas: ["nowhere"]', "/replicas/0: the database URL has no scheme"),
])
def test_wrong_configurations_say_where(hosts, tmp_path, more, words):
    import subprocess

    from support.servers import BULKHEAD, ROOT

    host = hosts(titanic_config("postgresql://titanic@127.0.0.1/x", database=", " + more), start=False)
    run = subprocess.run([str(BULKHEAD), "check", str(host.config)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1 and words in run.stderr + run.stdout, run.stderr
