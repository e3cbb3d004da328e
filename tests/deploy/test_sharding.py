"""deploy/postgres/sharding: the passengers spread over three servers under a host that goes on, and what it answers when one of them is gone."""

import csv
import subprocess
import threading
import uuid

import pytest

from conftest import titanic_config
from support.servers import BULKHEAD, PRESET, ROOT, Host, Postgres, wait_until
from support.skips import OTHER_BUILD
from support.writers import PASSENGER

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
SCRIPT = ROOT / "deploy/postgres/sharding/shard"
LISTS = ("/people?limit=100", "/people?limit=50&order=fare.desc", "/people?limit=20&survived=true&passengerClass=1&order=name", "/people?limit=7&sex=female&order=age.desc.nullslast,name")
PASSWORD = "it's: one"


@pytest.fixture(scope="module")
def servers():
    made = [Postgres() for _ in range(4)]
    for shard in made[1:]:
        shard.sql(f"create role shard login password '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
        shard.sql("create database titanic owner shard")
        hba = shard.data / "pg_hba.conf"
        hba.write_text("host all shard 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        shard.sql("select pg_reload_conf()")
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def host(servers, tmp_path_factory):
    """By a role that owns its tables and is no superuser, as the pages have it."""
    servers[0].sql("create role hosts login")
    servers[0].sql("create database titanic owner hosts")
    made = Host(titanic_config(servers[0].url("titanic").replace("titanic@", "hosts@")), tmp_path_factory.mktemp("host")).wait_ready()
    yield made
    made.stop()


def connection(server, user):
    return f"host=127.0.0.1 port={server.port} dbname=titanic user={user}"


def shard(servers, folder, *more):
    (folder / "password").write_text(PASSWORD)
    (folder / "pgpass").write_text("*:*:*:shard:" + PASSWORD.replace(":", "\\:") + "\n")
    (folder / "pgpass").chmod(0o600)
    words = [connection(servers[0], "titanic"), *(connection(each, "shard") for each in servers[1:])]
    return subprocess.run([str(SCRIPT), *words, *more], capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "PASSWORD_FILE": str(folder / "password"), "PGPASSFILE": str(folder / "pgpass")})


def test_spread_under_a_host_that_goes_on(servers, host, tmp_path):
    before = {path: host.get(path).json for path in LISTS}
    added, going = [], True

    def write():
        while going:
            answer = host.request("POST", "/people", {**PASSENGER, "name": "Meanwhile"})
            assert answer.status == 201, answer.body
            added.append(answer.json["uuid"])

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: len(added) > 5, what="writes")
    done = shard(servers, tmp_path)
    wait_until(lambda: len(added) > 50, what="writes behind it")
    going = False
    thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    counts = [int(each.sql("select count(*) from people", "titanic")) for each in servers[1:]]
    assert sum(counts) == 891 + len(added) and min(counts) > 250, counts
    assert all(host.get(f"/people/{each}").status == 200 for each in added), "no write was lost on the way"
    for each in added:
        assert host.request("DELETE", f"/people/{each}").status == 204
    assert {path: host.get(path).json for path in LISTS} == before, "the same answers, in the same order"


def test_every_operation(servers, host):
    made = host.request("POST", "/people", {**PASSENGER, "name": "Spread"})
    path = f"/people/{made.json['uuid']}"
    replaced = host.request("PUT", path, {**PASSENGER, "name": "Spread again"}, headers={"if-match": made.headers["etag"]})
    assert replaced.status == 200 and replaced.json["name"] == "Spread again", replaced.body
    assert host.request("PUT", path, PASSENGER | {"name": "Late"}, headers={"if-match": made.headers["etag"]}).status == 412
    assert host.request("PATCH", path, '{"age": 33}', headers={"content-type": "application/merge-patch+json"}).json["age"] == 33
    assert host.request("DELETE", path).status == 204 and host.get(path).status == 404


def test_an_import_adds_what_is_new(servers, host, tmp_path):
    with open(ROOT / "plugins/people/data/titanic891.csv", newline="") as file:
        rows = list(csv.reader(file))
    run = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", str(ROOT / "plugins/people/data/titanic891.csv")], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    again = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", str(ROOT / "plugins/people/data/titanic891.csv")], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0 and "0" in again.stdout, again.stdout
    assert len(rows) > 891


def test_a_key_is_asked_of_one_server_alone(servers, host):
    plan = servers[0].sql(f"explain select * from people where uuid = any(array['{uuid.uuid4()}'::uuid])", "titanic")
    assert plan.count("Foreign Scan") == 1 and "Append" not in plan, plan


def test_a_server_that_is_gone(servers, host):
    """Keys on the others are answered; with it the rest is."""
    people = host.get("/people?limit=100").json
    gone = set(servers[1].sql("select uuid from people", "titanic").split())
    there, away = ([each["uuid"] for each in people if (each["uuid"] in gone) == lost] for lost in (False, True))
    servers[1].kill()
    wait_until(lambda: host.get(f"/people/{away[0]}").status == 503, what="what cannot be answered to be said so")
    assert [host.get(f"/people/{each}").status for each in there[:20]] == [200] * 20
    assert host.get("/people?limit=1").status == 503, "a list is of all of them"
    servers[1].start()
    wait_until(lambda: host.get(f"/people/{away[0]}").status == 200, what="the server's rows")
    assert host.get("/people?limit=100").json == people


def test_what_it_refuses(servers, host, tmp_path):
    again = shard(servers, tmp_path)
    assert again.returncode == 1 and "no plain table people" in again.stderr
    one = subprocess.run([str(SCRIPT), "a", "b"], capture_output=True, text=True)
    assert one.returncode == 2 and "COORDINATOR" in one.stderr
