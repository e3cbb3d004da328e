"""Databases as they are in use: tables that grow under prepared plans, poolers nobody told of, columns that change their type, callers who leave."""

import concurrent.futures
import socket
import struct
import subprocess
import time
import uuid

import pytest

from conftest import ROOT, titanic_config
from support.servers import BULKHEAD, Raw, wait_until
from test_people import BRAUND, NEW, create
from test_plans import FILL

ONE = f"/people/{BRAUND['uuid']}"


# ------------------------------------------------------------- plans that age


@pytest.fixture
def explained(postgres, hosts):
    """A host, and plans(): what the server logs while sixty lookups of different keys are answered, in a few queries."""
    name = f"ages{uuid.uuid4().hex[:8]}"
    url = postgres.create(name)
    for setting in ("session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0"):
        postgres.sql(f"alter database {name} set {setting}")
    host = hosts(titanic_config(url, seed=False, database=", pool: { min: 1, max: 1 }")).wait_ready()
    postgres.sql("alter table people set (autovacuum_enabled = off)", name)  # nobody comes to help
    log = postgres.folder / "log"
    keys = [uuid.uuid5(uuid.NAMESPACE_URL, f"urn:titanic:passenger:{n}") for n in range(1, 61)]

    def plans(count=60):
        begin = log.stat().st_size
        with Raw(host.port) as raw:
            raw.send("".join(f"GET /people/{key} HTTP/1.1\r\nHost: x\r\n\r\n" for key in keys[:count]))
            for _ in keys[:count]:
                assert raw.answer().status in (200, 404)
        wait_until(lambda: b"Query Text: select" in log.read_bytes()[begin:], what="a plan")
        return log.read_bytes()[begin:].decode(errors="replace")

    return host, plans, lambda sql: postgres.sql(sql, name)


def made_for_a_small_table(plans):
    """Past the fifth use the plan is one for all values, and the server keeps it."""
    for _ in range(20):
        plans()
    assert "Filter: (uuid = ANY ($1))" in plans(1), "no index of keys is worth it"


def fits(plans, count=60):
    text = plans(count)
    return "Index Cond: (uuid = ANY (" in text and "Filter: (uuid" not in text


def test_a_lookup_follows_what_its_own_host_writes(explained):
    host, plans, _ = explained
    made_for_a_small_table(plans)
    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        for answer in callers.map(lambda _: host.request("POST", "/people", NEW), range(2_000)):
            assert answer.status == 201
    assert fits(plans, 1), "as soon as it has grown"


def test_a_lookup_follows_what_others_do(explained):
    """Growth, a mass delete and a truncate by another program: seconds later the plan fits again."""
    _, plans, sql = explained
    made_for_a_small_table(plans)
    for change in (FILL, "delete from people where id > 2000", FILL, "truncate people", FILL):
        sql(change)
        if change == FILL:
            wait_until(lambda: fits(plans), what=f"an index after {change[:20]}")


def test_bulk_loads_are_analyzed(postgres, hosts, tmp_path):
    name = f"bulk{uuid.uuid4().hex[:8]}"
    url = postgres.create(name)
    host = hosts(titanic_config(url)).wait_ready()
    analyzed = lambda: postgres.sql("select reltuples::int from pg_class where relname = 'people'", name).strip()
    assert analyzed() == "891"
    subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", str(ROOT / "tests/data/titanic887.csv")], cwd=ROOT, check=True, capture_output=True)
    assert analyzed() == "1778"


# --------------------------------------------------------------- poolers, types


def test_a_pooler_nobody_told_of(hosts, postgres, pgbouncer):
    name = f"pooled{uuid.uuid4().hex[:8]}"
    postgres.create(name)
    host = hosts(titanic_config(pgbouncer.url(name))).wait_ready()
    ready = host.get("/health/ready")
    assert ready.status == 200 and ready.json["status"] == "degraded"
    assert "direct_url" in host.why("database") and "direct_url" in host.log()

    def work(n):
        made = host.request("POST", "/people", {**NEW, "name": f"P {n}"})
        assert made.status == 201, made.body
        path = made.headers["location"]
        statuses = [host.get(path).status, host.get(f"/people?name=P%20{n}").status, host.request("PATCH", path, '{"age": 1}', headers={"content-type": "application/merge-patch+json"}).status,
                    host.request("DELETE", path).status, host.request("POST", f"{path}/restore").status]
        return statuses

    with concurrent.futures.ThreadPoolExecutor(16) as callers:
        for statuses in callers.map(work, range(150)):
            assert statuses == [200, 200, 200, 204, 200]
    assert "query failed" not in host.log()


def test_a_column_changes_its_type_under_prepared_statements(hosts, postgres):
    name = f"types{uuid.uuid4().hex[:8]}"
    host = hosts(titanic_config(postgres.create(name), database=", pool: { min: 1, max: 1 }")).wait_ready()
    merge = {"content-type": "application/merge-patch+json"}

    def all_of_them():
        path = create(host).headers["location"]
        return [host.request("PATCH", path, '{"age": 1}', headers=merge).status, host.request("PUT", path, NEW).status, host.get(path).status, host.request("DELETE", path).status,
                host.request("POST", f"{path}/restore").status, host.get("/people?limit=2").status]

    good = [200, 200, 200, 204, 200, 200]
    for change in ("alter column passenger_class type bigint", "alter column age type numeric", "alter column passenger_class type smallint", "add column later text"):
        for _ in range(7):
            assert all_of_them() == good
        postgres.sql(f"alter table people {change}", name)
        for _ in range(2):
            assert all_of_them() == good, change
    assert "query failed" not in host.log()


# ------------------------------------------------------------- callers who left


def reset(raw):
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.socket.close()


def test_reads_of_callers_who_left_are_not_run(hosts, postgres):
    name = f"left{uuid.uuid4().hex[:8]}"
    host = hosts(titanic_config(postgres.create(name), database=", pool: { min: 2, max: 4 }")).wait_ready()
    blocker = subprocess.Popen(["psql", "-qAt", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "titanic", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    blocker.stdin.write("begin; lock table people in access exclusive mode; select 'locked';\n")
    blocker.stdin.flush()
    assert blocker.stdout.readline().strip() == "locked"
    waiting = lambda: int(postgres.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'select uuid%'", name))
    try:
        callers = [Raw(host.port) for _ in range(30)]
        for number, raw in enumerate(callers):
            raw.send(f"GET /people?limit={number + 1} HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: waiting() > 0, what="reads behind the lock")
        for raw in callers:
            reset(raw)
        wait_until(lambda: waiting() == 0, seconds=6, what="the reads to be cancelled, before the timeout of statements would")
        time.sleep(1.5)
        assert waiting() == 0, "nor are those run that had waited behind them"
        with Raw(host.port) as raw:
            raw.send("GET /people?limit=3 HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: waiting() == 1, what="a read of somebody who stays")
            blocker.stdin.write("rollback;\n")
            blocker.stdin.flush()
            assert len(raw.answer().json) == 3
    finally:
        blocker.stdin.close()
        blocker.wait(timeout=30)
    assert host.get("/people?limit=1").status == 200 and host.get("/health/ready").status == 200


# ------------------------------------------------------------ bytes from a file


@pytest.mark.parametrize("cell", [b"Br\xe9mond", b"\xc0\xaf", b"x\xed\xa0\x80", b"xx\xf4\x90\x80\x80", b"\xff\xfe"])
def test_a_csv_file_is_utf8(hosts, database, tmp_path, cell):
    csv = tmp_path / "latin.csv"
    csv.write_bytes(b"Survived,Pclass,Name,Sex,Age,SibSp,Parch,Fare\n0,3,Good,male,1,0,0,1\n0,3,\"A" + cell + b"\",male,1,0,0,1\n")
    host = hosts(titanic_config(database, seed=False)).wait_ready()
    run = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", str(csv)], cwd=ROOT, capture_output=True, text=True)
    text = csv.read_bytes()
    with pytest.raises(UnicodeDecodeError) as wrong:
        text.decode()
    at = wrong.value.start
    begin = text.rfind(b"\n", 0, at) + 1
    assert run.returncode == 1 and f"{csv}: line 3, column {at - begin + 1}: the byte 0x" in run.stderr, run.stderr
    assert host.get("/people").json == []
    seeded = hosts(titanic_config(database).replace(str(ROOT / "plugins/people/data/titanic891.csv"), str(csv)), start=False)
    check = subprocess.run([str(BULKHEAD), "check", str(seeded.config)], cwd=ROOT, capture_output=True, text=True)
    assert check.returncode == 1 and f"line 3, column" in check.stderr

