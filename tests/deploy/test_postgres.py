"""deploy/postgres with real PostgreSQL and pgBackRest: backups, and back to the moment before a wrong DELETE, with a host that goes on."""

import datetime
import shutil
import subprocess
import time

import pytest

from conftest import titanic_config
from support.servers import PRESET, ROOT, Postgres, Replica, as_postgres, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
SCRIPTS = ROOT / "deploy/postgres"
DATABASE = "titanic"


class Archived(Postgres):
    """A private PostgreSQL with the shipped settings, and a repository of its own."""

    def __init__(self):
        super().__init__()
        self.stop()
        self.config = self.folder / "pgbackrest.conf"
        text = (SCRIPTS / "pgbackrest.conf").read_text()
        for old, new in (("/var/lib/pgbackrest", f"{self.folder}/repository"), ("/var/log/pgbackrest", f"{self.folder}/logs"), ("/var/lib/postgresql/15/main", str(self.data)), ("pg1-port=5432", f"pg1-port={self.port}"), ("/var/run/postgresql", str(self.folder))):
            assert old in text
            text = text.replace(old, new)
        self.config.write_text(text.replace("[global]\n", f"[global]\nlock-path={self.folder}/lock\n", 1) + "pg1-user=titanic\n")
        settings = (SCRIPTS / "postgresql.conf").read_text().replace("/etc/pgbackrest/pgbackrest.conf", str(self.config))
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(settings)
        for name in ("repository", "logs", "lock"):
            (self.folder / name).mkdir()
        subprocess.run(["chown", "-R", "postgres", str(self.folder)], check=True)
        self.start()

    def script(self, name, *words, check=True, **more):
        environment = {"CONFIG": str(self.config), "PGUSER": "titanic", **more}
        run = subprocess.run(as_postgres("env", *(f"{key}={value}" for key, value in environment.items()), str(SCRIPTS / name), *words), cwd="/tmp", capture_output=True, text=True, timeout=300)
        assert not check or run.returncode == 0, run.stdout + run.stderr
        return run

    def pgbackrest(self, *words):
        subprocess.run(as_postgres("pgbackrest", f"--config={self.config}", "--stanza=titanic", *words), cwd="/tmp", check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def server():
    made = Archived()
    made.pgbackrest("stanza-create")
    assert "full backup" in made.script("backup", "full").stdout
    yield made
    made.close()


def now():
    """A moment that neither a backup's end nor a commit before or after it shares."""
    time.sleep(1.1)
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    time.sleep(0.1)
    return moment


def test_back_to_before_a_wrong_delete(server, hosts):
    url = server.create(DATABASE)
    host = hosts(titanic_config(url)).wait_ready()
    written = []

    def write(name):
        answer = host.request("POST", "/people", {"survived": False, "passengerClass": 3, "name": name, "sex": "male", "age": 20, "siblingsOrSpousesAboard": 0, "parentsOrChildrenAboard": 0, "fare": 1})
        assert answer.status == 201, answer.body
        written.append(answer.json["uuid"])

    for number in range(5):
        write(f"Before {number}")
    moment = now()
    write("After")
    assert server.sql("delete from people where name like 'B%'; select count(*) from people where name like 'Before%'", DATABASE) == "0"
    lost = int(server.sql("select count(*) from people", DATABASE))
    begin = time.monotonic()
    done = server.script("restore", moment)
    restored = time.monotonic() - begin
    wait_until(lambda: host.get(f"/people/{written[0]}").status == 200, what="the row, through the host that was there all the time")
    print(f"restored in {restored:.1f} s, served again {time.monotonic() - begin:.1f} s after the start")
    assert [host.get(f"/people/{each}").status for each in written[:5]] == [200] * 5
    assert int(server.sql("select count(*) from people", DATABASE)) > lost + 5
    assert host.get(f"/people/{written[5]}").status == 404, "what came after that moment is not there"
    (aside,) = [path for path in server.folder.iterdir() if ".before-restore-" in path.name]
    assert str(aside) in done.stdout and (aside / "PG_VERSION").exists(), "but it is not lost"
    wait_until(lambda: host.request("POST", "/people", {"survived": True, "passengerClass": 1, "name": "Again", "sex": "female", "age": 30, "siblingsOrSpousesAboard": 0, "parentsOrChildrenAboard": 0, "fare": 1}).status == 201, what="writes")
    replica = Replica(server)
    try:
        server.sql("create table later ()", DATABASE)
        wait_until(lambda: replica.sql("select to_regclass('later')", DATABASE) == "later", what="a replica that follows, and has not inherited the moment")
    finally:
        replica.close()
    assert "diff backup" in server.script("backup", "diff").stdout or "full backup" in server.script("backup", "full").stdout, "and backups go on, on the new timeline"


@pytest.fixture
def letters(server):
    """A table with a, then b, then c, and the moments between them."""
    server.sql("drop table if exists letters; create table letters (one text)")
    moments = []
    for letter in "abc":
        server.sql(f"insert into letters values ('{letter}')")
        moments.append(now())
    return moments


def content(server):
    return server.sql("select string_agg(one, '' order by one) from letters")


def test_too_early_and_then_later(server, letters):
    """What the first restore went past is on the timeline it left. By default that is not looked at, which is said."""
    first, second, _ = letters
    before = int(server.sql("select timeline_id from pg_control_checkpoint()"))
    server.script("restore", first)
    assert content(server) == "a"
    again = server.script("restore", second)
    assert content(server) == "a" and f"set TIMELINE={before}." in again.stdout
    server.script("restore", second, TIMELINE=str(before))
    assert content(server) == "ab"


def test_a_moment_after_the_last_commit(server, letters):
    server.script("restore", letters[2])
    assert content(server) == "abc"


def test_a_moment_that_a_timeline_does_not_reach(server, letters):
    """Said, not waited for; and the server goes on as it was."""
    before = server.sql("select timeline_id from pg_control_checkpoint()")
    server.script("restore", letters[0])
    server.sql("insert into letters values ('z')")
    run = server.script("restore", now(), check=False, TIMELINE=before)
    assert run.returncode == 1 and "recovery ended before configured recovery target was reached" in run.stderr and "moving the old data back" in run.stderr
    assert content(server) == "az"


def test_tablespaces_are_left_alone(server):
    """Their files would not move aside."""
    place = server.folder / "tablespace"
    place.mkdir()
    shutil.chown(place, "postgres")
    server.sql(f"create tablespace other location '{place}'")
    try:
        run = server.script("restore", now(), check=False)
        assert run.returncode == 1 and "tablespaces" in run.stderr and server.sql("select 1") == "1"
    finally:
        server.sql("drop tablespace other")


@pytest.mark.parametrize("word, said", [("2126-12-01 10:00:00Z", "in the future"), ("yesterday evening or so", "is no time"), ("2026-12-01 10:00:00", "has no zone"), ("", "TIME")])
def test_times_that_are_none(server, word, said):
    run = server.script("restore", *([word] if word else []), check=False)
    assert run.returncode == 2 and said in run.stdout + run.stderr
    assert server.sql("select 1") == "1", "nothing was touched"


def test_a_time_before_the_first_backup(server):
    """Refused by pgBackRest, once the server has been stopped: it goes on as it was."""
    server.sql("create table untouched ()")
    run = server.script("restore", "2020-01-01 00:00:00+00", check=False)
    assert run.returncode == 1 and "unable to find backup set" in run.stderr and "moving the old data back" in run.stderr
    assert server.sql("select to_regclass('untouched')") == "untouched"
