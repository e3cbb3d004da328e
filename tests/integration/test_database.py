"""What the database plugin does when the database is not there, goes away, or is shared."""

import concurrent.futures
import json
import os
import pathlib
import signal
import threading
import time
import uuid

import pytest

from conftest import titanic_config
from support.servers import BUILD, PRESET, ROOT, Postgres, free_port, wait_until
from test_metrics import samples, value
from test_people import BRAUND, NEW


@pytest.fixture
def own_postgres():
    """A server of its own, for tests that stop it."""
    server = Postgres()
    yield server
    server.close()


def test_down_at_start_then_it_comes(hosts, own_postgres):
    url = own_postgres.create("late")
    own_postgres.stop()
    host = hosts(titanic_config(url))
    assert host.get("/health/live").status == 200
    ready = host.get("/health/ready")
    assert ready.status == 503 and ready.json["plugins"]["database"]["state"] in ("starting", "failed")
    wait_until(lambda: "refused" in host.why("database"), what="the reason in readiness")
    refused = host.get("/people")
    assert refused.status == 503 and refused.headers["retry-after"] == "1"
    own_postgres.start()
    host.wait_ready()
    assert len(host.get("/people").json) == 100


def test_ready_is_said_without_migrations_too(hosts, database, tmp_path):
    """Another plugin's migrations may come after the first connection, or not at all."""
    pooled = f', direct_url: "{database.direct}"' if getattr(database, "direct", "") else ""
    host = hosts(f"server: {{ listen: '127.0.0.1:{{port}}', admin: '127.0.0.1:{{admin}}' }}\nplugins:\n  - id: database\n    config: {{ url: '{database}'{pooled} }}\n  - id: health\n")
    host.wait_ready()
    wait_until(lambda: "database ready" in host.log(), what="a word of it")
    host.stop()
    assert host.log().count("database ready") == 1


def test_killed_under_load_loses_no_acknowledged_write(hosts, own_postgres):
    host = hosts(titanic_config(own_postgres.create("load"))).wait_ready()
    acknowledged, statuses, stop = [], set(), threading.Event()

    def write(worker):
        number = 0
        while not stop.is_set():
            number += 1
            started = time.monotonic()
            answer = host.request("POST", "/people", {**NEW, "name": f"{worker}-{number}"})
            assert time.monotonic() - started < 60, "no request hangs"
            statuses.add(answer.status)
            if answer.status == 201:
                acknowledged.append(answer.json["uuid"])
            elif answer.status == 503:
                assert answer.headers["retry-after"]

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 50, what="load")
    own_postgres.kill()
    wait_until(lambda: 503 in statuses, what="the first 503")
    assert host.get("/health/live").status == 200
    own_postgres.start()
    before = len(acknowledged)
    wait_until(lambda: len(acknowledged) > before + 50, what="recovery")
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses <= {201, 503}
    rows = set(own_postgres.sql("select uuid from people", "load").split())
    assert set(acknowledged) <= rows
    host.wait_ready()


def test_reads_survive_a_restart(hosts, own_postgres):
    host = hosts(titanic_config(own_postgres.create("restart"))).wait_ready()
    own_postgres.stop()
    own_postgres.start()
    # Every session finds its connection broken; the read is tried again on a new one.
    for _ in range(30):
        assert host.get(f"/people/{BRAUND['uuid']}").status in (200, 503)
    wait_until(lambda: all(host.get(f"/people/{BRAUND['uuid']}").status == 200 for _ in range(20)), what="all sessions to heal")


class Readers:
    """Four who read for as long as the block lasts: what was not 200 is in `bad`."""

    def __init__(self, host):
        self.host, self.good, self.bad, self.over = host, [0] * 4, [], threading.Event()

    def read(self, number):
        while not self.over.is_set():
            answer = self.host.get("/people?limit=5")
            if answer.status == 200:
                self.good[number] += 1
            else:
                self.bad.append((answer.status, answer.body))

    def each_once_more(self):
        before = list(self.good)
        wait_until(lambda: all(now > then + 1 for now, then in zip(self.good, before)) or self.bad, what="an answer for each")

    def __enter__(self):
        self.threads = [threading.Thread(target=self.read, args=(number,)) for number in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def pool_size(host):
    return value(samples(host), "db_pool_size", service="titanic-api")


def test_reads_outlive_all_sessions_at_once(hosts, postgres):
    """Until an attempt to connect fails the database is not down: what waits is answered by the next session."""
    name = f"cut{uuid.uuid4().hex[:8]}"
    host = hosts(titanic_config(postgres.create(name), "  - id: metrics\n", database=", pool: { min: 4, max: 4 }")).wait_ready()
    sessions = lambda what: int(postgres.sql(f"select count({what}) from pg_stat_activity where datname = '{name}'"))
    with Readers(host) as readers:
        for _ in range(5):
            # One that was cut while idle counts as there until it is looked at.
            wait_until(lambda: pool_size(host) == 4 == sessions("*"), what="all sessions")
            assert sessions("pg_terminate_backend(pid)") == 4
            readers.each_once_more()
    assert not readers.bad, readers.bad[:3]
    assert "database down" not in host.log()


def test_a_read_whose_session_cannot_be_had_again(hosts, postgres):
    """The server takes no session in place of the one that was cut, so another one answers."""
    name = f"few{uuid.uuid4().hex[:8]}"
    postgres.create(name)
    postgres.sql(f"create role {name} login; alter database {name} owner to {name}")
    postgres.sql(f"grant all on schema public to {name}", name)
    host = hosts(titanic_config(f"postgresql://{name}@127.0.0.1:{postgres.port}/{name}", "  - id: metrics\n", database=", pool: { min: 4, max: 4 }")).wait_ready()
    wait_until(lambda: pool_size(host) == 4, what="all sessions")
    postgres.sql(f"alter role {name} connection limit 1")
    with Readers(host) as readers:
        for left in (3, 2, 1):
            readers.each_once_more()
            postgres.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}' order by backend_start limit 1")
            wait_until(lambda: pool_size(host) == left, what=f"{left} of four")
        readers.each_once_more()
    assert not readers.bad, readers.bad[:3]
    postgres.sql(f"alter role {name} connection limit -1")
    wait_until(lambda: pool_size(host) == 4, what="all sessions again")


def test_two_hosts_start_at_once(hosts, database):
    first = hosts(titanic_config(database), start=False)
    second = hosts(titanic_config(database), start=False)
    first.start(wait=False)
    second.start(wait=False)
    for host in (first, second):
        wait_until(host.answers)
        host.wait_ready()
        assert len(host.get("/people?limit=1000").json) == 891
    path = first.request("POST", "/people", NEW).headers["location"]
    assert second.get(path).status == 200


def test_data_survives_a_restart_of_the_host(hosts, database):
    host = hosts(titanic_config(database)).wait_ready()
    path = host.request("POST", "/people", NEW).headers["location"]
    host.request("DELETE", f"/people/{BRAUND['uuid']}")
    assert host.stop() == 0
    host.start()
    host.wait_ready()
    assert host.get(path).status == 200
    assert len(host.get("/people?limit=1000").json) == 891, "890 shipped ones and the new one: nothing is loaded twice"
    assert host.get(f"/people/{BRAUND['uuid']}").status == 404


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pgbouncer"])
def test_a_stuck_statement_is_cancelled(hosts, postgres, request, pooled):
    name = f"stuck{uuid.uuid4().hex[:8]}"
    url = postgres.create(name)
    more = ", statement_timeout_ms: 300"
    if pooled:
        more += f', direct_url: "{url}"'
        url = request.getfixturevalue("pgbouncer").url(name)
    host = hosts(titanic_config(url, database=more)).wait_ready()
    holder = threading.Thread(target=lambda: postgres.sql(f"begin; select 1 from people where uuid = '{BRAUND['uuid']}' for update; select pg_sleep(3); commit", name))
    holder.start()
    wait_until(lambda: postgres.sql(f"select count(*) from pg_stat_activity where datname = '{name}' and wait_event = 'PgSleep'") == "1", what="the lock: the holder sleeps")
    answer = host.request("PATCH", f"/people/{BRAUND['uuid']}", {"age": 1})
    assert answer.status == 504
    holder.join()
    assert host.request("PATCH", f"/people/{BRAUND['uuid']}", {"age": 1}).status == 200
    # A single statement too, outside of any transaction of ours.
    holder = threading.Thread(target=lambda: postgres.sql("begin; lock table people in access exclusive mode; select pg_sleep(3); commit", name))
    holder.start()
    wait_until(lambda: postgres.sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation is not null and granted", name) != "0")
    assert host.get(f"/people/{BRAUND['uuid']}").status == 504 and host.get("/people").status == 504
    assert host.request("POST", "/people", NEW).status == 504
    holder.join()
    assert host.request("POST", "/people", NEW).status == 201
    if pooled:
        assert postgres.sql("select count(*) from pg_prepared_statements", name) == "0"
        assert postgres.sql("show statement_timeout", name) == "0"


def test_pool_sizes(hosts, postgres):
    name = f"pool{uuid.uuid4().hex[:8]}"
    hosts(titanic_config(postgres.create(name))).wait_ready()
    count = lambda: int(postgres.sql(f"select count(*) from pg_stat_activity where datname = '{name}' and application_name = 'titanic-api'"))
    wait_until(lambda: count() == 10, what="the ten sessions of the default pool")


def test_a_password_with_every_odd_character(hosts, own_postgres):
    password = "p w'\\:=%$#@/?&é"
    own_postgres.sql(f"create role odd login superuser password '{password.replace(chr(39), chr(39) * 2)}'")
    own_postgres.create("secret")
    hba = own_postgres.data / "pg_hba.conf"
    hba.write_text("host all odd 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
    own_postgres.sql("select pg_reload_conf()")
    from urllib.parse import quote

    url = f"postgresql://odd:{quote(password, safe='')}@127.0.0.1:{own_postgres.port}/secret"
    host = hosts(titanic_config("${DATABASE_URL}"), environment={"DATABASE_URL": url}).wait_ready()
    assert host.get("/people?limit=1").status == 200
    wrong = hosts(titanic_config(url.replace("%C3%A9", "e")))
    wait_until(lambda: "password authentication failed" in wrong.why("database"))
    for text in (host.log(), wrong.log(), wrong.get("/health/ready").body.decode(), wrong.request("GET", "/_host/plugins", admin=True).body.decode()):
        assert quote(password, safe="") not in text and password not in text and "p%20w" not in text


def test_nobody_listens_there(hosts):
    host = hosts(titanic_config(f"postgresql://u@127.0.0.1:{free_port()}/x"))
    assert host.request("POST", "/people", NEW).status == 503
    assert host.get("/health/live").json == {"status": "alive", "service": "titanic-api"}


def test_a_schema_newer_than_the_program_is_left_alone(hosts, postgres):
    name = f"newer{uuid.uuid4().hex[:8]}"
    url = postgres.create(name)
    hosts(titanic_config(url)).wait_ready().stop()
    postgres.sql("insert into bulkhead_migrations (owner, version, name) values ('people', 99, 'future')", name)
    host = hosts(titanic_config(url))
    wait_until(lambda: "newer than this program" in host.why("database"), what="the reason")
    assert host.get("/health/ready").status == 503


def test_commands(hosts, database, tmp_path):
    import subprocess

    from support.servers import BULKHEAD

    host = hosts(titanic_config(database, seed=False), start=False)
    run = lambda *words: subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), *words], cwd=ROOT, capture_output=True, text=True)
    migrated = run("database", "migrate")
    assert migrated.returncode == 0 and "people 1 people: applied" in migrated.stdout, migrated.stderr
    imported = run("people", "import", str(ROOT / "plugins/people/data/titanic891.csv"))
    assert imported.returncode == 0 and "imported 891, 0 were there already" in imported.stdout, imported.stderr
    assert "imported 0, 891" in run("people", "import", str(ROOT / "plugins/people/data/titanic891.csv")).stdout
    assert "imported 887" in run("people", "import", str(ROOT / "tests/data/titanic887.csv")).stdout
    bad = tmp_path / "bad.csv"
    bad.write_text("Survived,Pclass,Name,Sex,Age,SibSp,Parch,Fare\n0,3,A,male,1,0,0,1\n0,9,B,male,1,0,0,1\n")
    refused = run("people", "import", str(bad))
    assert refused.returncode == 1 and "line 3: passengerClass" in refused.stderr
    unknown = run("people", "imprt")
    assert unknown.returncode == 2 and "did you mean 'import'" in unknown.stderr
    assert run("peple", "import").returncode == 2
    host.start()
    host.wait_ready()
    assert len(host.get("/people?limit=1000").json) == 1000


def full_disk(flag, under):
    """An environment in which files under that folder cannot grow while the flag exists."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return {"LD_PRELOAD": str(BUILD / "lib/test/full_disk.so"), "FULL_DISK_FLAG": str(flag), "FULL_DISK_UNDER": str(under), "ASAN_OPTIONS": sanitizer}


def fills_up_and_empties(host, flag):
    """201 until the disk is full, then 507 and nothing of the record; reads go on; 201 again when there is room."""
    assert host.request("POST", "/people", NEW).status == 201
    flag.touch()
    statuses = set()
    for number in range(400):
        answer = host.request("POST", "/people", {**NEW, "name": f"Full {number}"})
        statuses.add(answer.status)
        if answer.status != 201:
            break
    assert answer.status == 507 and "no room" in answer.json["detail"], statuses
    assert host.get(f"/people?name=Full%20{number}").json == [] and host.get("/people?limit=5").status == 200
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = set(pool.map(lambda i: host.request("POST", "/people", {**NEW, "name": f"Together {i}"}).status, range(64)))
    assert together <= {201, 507} and 507 in together
    flag.unlink()
    wait_until(lambda: host.request("POST", "/people", NEW).status == 201, what="room")
    assert host.get("/health/ready").status == 200


def test_a_full_disk_on_postgresql(hosts, tmp_path):
    flag = tmp_path / "full"
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        if parent != pathlib.Path("/tmp"):
            parent.chmod(0o755)
    server = Postgres()
    try:
        server.stop()
        server.environment = full_disk(flag, server.data / "base")
        server.start()
        fills_up_and_empties(hosts(titanic_config(server.create("full"))).wait_ready(), flag)
    finally:
        server.close()


@pytest.mark.skipif(PRESET == "tsan", reason="ThreadSanitizer's runtime does not stand another library before it")
def test_a_full_disk_on_sqlite(hosts, tmp_path):
    flag, folder = tmp_path / "full", tmp_path / "data"
    folder.mkdir()
    host = hosts(titanic_config(f"sqlite:///{folder}/titanic.db"), environment=full_disk(flag, folder)).wait_ready()
    fills_up_and_empties(host, flag)


def test_two_hosts_write_the_same_record_with_if_match(hosts, postgres):
    """However often they try at the same moment: exactly one wins."""
    url = postgres.create(f"match{uuid.uuid4().hex[:8]}")
    both = [hosts(titanic_config(url)).wait_ready() for _ in range(2)]
    one = f"/people/{BRAUND['uuid']}"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number in range(1, 41):
            tag = both[0].get(one).headers["etag"]
            write = lambda i: both[i % 2].request("PATCH", one, {"fare": number + i / 16}, headers={"if-match": tag})
            answers = list(pool.map(write, range(8)))
            winners = [answer for answer in answers if answer.status == 200]
            assert len(winners) == 1 and {answer.status for answer in answers} == {200, 412}
            now = both[1].get(one)
            assert now.json == winners[0].json and now.headers["etag"] == winners[0].headers["etag"] != tag


def test_a_direct_url_that_leads_nowhere(hosts, postgres, pgbouncer):
    """Migrations cannot run: readiness says why, and the host stops all the same."""
    name = f"nowhere{uuid.uuid4().hex[:8]}"
    postgres.create(name)
    host = hosts(titanic_config(pgbouncer.url(name), database=f', direct_url: "postgresql://titanic@127.0.0.1:{free_port()}/{name}"'))
    wait_until(lambda: "refused" in host.why("database"), what="the reason in readiness")
    assert host.get("/people").status == 503


def test_a_server_that_takes_no_writes_any_more_is_left(hosts, own_postgres):
    """A session keeps what its server was when it connected: once writes are refused, another is made, which finds who takes them."""
    host = hosts(titanic_config(own_postgres.create("standby"))).wait_ready()
    own_postgres.sql("alter database standby set default_transaction_read_only = on")
    own_postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'standby'")
    refused = wait_until(lambda: (answer := host.request("POST", "/people", {**NEW, "name": "Nobody"})).status == 503 and answer, what="no writes")
    assert "retry-after" in refused.headers
    wait_until(lambda: host.get("/people?limit=1").status == 200, what="reads")
    own_postgres.sql("alter database standby reset default_transaction_read_only")
    wait_until(lambda: host.request("POST", "/people", {**NEW, "name": "Somebody"}).status == 201, what="writes, without a restart")


def test_a_server_that_hangs_is_left(hosts, own_postgres):
    """It cancels no statement at its timeout: the host gives the connection up by itself, and goes on when the server does."""
    host = hosts(titanic_config(own_postgres.create("hang"), database=", statement_timeout_ms: 1000")).wait_ready()
    own_postgres.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = host.request("POST", "/people", {**NEW, "name": "Nobody"})
        assert answer.status == 503 and time.monotonic() - began < 25, "well before the request's own 30 s"
        assert host.get("/health/live").status == 200
    finally:
        own_postgres.signal(signal.SIGCONT)
    wait_until(lambda: host.request("POST", "/people", {**NEW, "name": "Somebody"}).status == 201, what="writes")
