"""The scripts of the backup CronJobs on a real PostgreSQL: dump, check, restore, tell the push gateway; and what goes wrong."""

import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

import pytest

from support.servers import PRESET, ROOT, Postgres, free_port, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
SCRIPTS = ROOT / "deploy/k8s/components/backup"
BINARIES = "/usr/lib/postgresql/15/bin"


@pytest.fixture(scope="module")
def database():
    server = Postgres()
    url = server.create("titanic")
    server.sql("create table people (uuid text primary key, name text); insert into people select 'u' || i, 'Passenger ' || i from generate_series(1, 891) i; create table empty (x int)", "titanic")
    yield server, url
    server.close()


@pytest.fixture
def gateway(tmp_path):
    port = free_port()
    server = subprocess.Popen(["prometheus-pushgateway", "--persistence.file=", f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    wait_until(lambda: subprocess.run(["curl", "-fs", f"http://127.0.0.1:{port}/-/ready"], capture_output=True).returncode == 0, what="the push gateway")
    yield f"127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture
def run(database):
    """Runs a script as the container does: another user, the scripts copied beside each other."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-backup-"))  # where that user gets in
    shutil.copytree(SCRIPTS, folder / "scripts")
    for name in ("backups", "scratch"):
        (folder / name).mkdir()
    subprocess.run(["chown", "-R", "postgres", str(folder)], check=True)

    def start(script, **more):
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "BACKUP_FOLDER": f"{folder}/backups", "SCRATCH": f"{folder}/scratch", "PASSWORD_FILE": "/nowhere", "DATABASE_DIRECT_URL": database[1], "LC_ALL": "C", **more}
        return subprocess.run(["runuser", "-u", "postgres", "--", "env", "-i", *(f"{key}={value}" for key, value in environment.items()), "bash", str(folder / "scripts" / script)], capture_output=True, text=True, timeout=120)

    start.folder = folder
    yield start
    shutil.rmtree(folder)


def dumps(run):
    return sorted(path.name for path in (run.folder / "backups").iterdir())


def pushed(gateway):
    return urllib.request.urlopen(f"http://{gateway}/metrics", timeout=10).read().decode()


def test_a_dump_and_its_restoration(run, gateway):
    made = run("backup.sh", PUSHGATEWAY=gateway)
    assert made.returncode == 0 and "data of 2 tables" in made.stdout and made.stderr == "", made.stderr
    assert [name.rsplit("Z", 1)[1] for name in dumps(run)] == [".dump", ".dump.sha256"]
    assert 'titanic_backup_last_success_timestamp_seconds{database="titanic",instance="",job="titanic-backup"}' in pushed(gateway), "what the alerts BackupTooOld and BackupUnknown ask for"
    checked = run("restore-check.sh", PUSHGATEWAY=gateway, MINIMUM_ROWS="891")
    assert checked.returncode == 0 and "restored, 891 people" in checked.stdout, checked.stderr
    assert "titanic_restore_check_last_success_timestamp_seconds" in pushed(gateway) and "titanic_backup_last_success" in pushed(gateway), "one does not displace the other"
    assert list((run.folder / "scratch").iterdir()) == [run.folder / "scratch/log"], "nothing is left"


def test_old_dumps_go_once_a_new_one_is_there(run):
    backups = run.folder / "backups"
    for name, days in (("titanic-20200101T000000Z.dump", 40), ("titanic-20200110T000000Z.dump", 30), ("other-20200101T000000Z.dump", 40)):
        (backups / name).write_text("x")
        subprocess.run(["touch", "-d", f"{days} days ago", str(backups / name)], check=True)
    failed = run("backup.sh", DATABASE_DIRECT_URL="postgresql://titanic@127.0.0.1:1/titanic")
    assert failed.returncode != 0 and len(dumps(run)) == 3, "a failure drops nothing, and leaves no half a dump"
    assert run("backup.sh").returncode == 0
    assert "titanic-20200101T000000Z.dump" not in dumps(run) and {"titanic-20200110T000000Z.dump", "other-20200101T000000Z.dump"} <= set(dumps(run)) and len(dumps(run)) == 4


def test_a_gateway_that_is_away(run):
    made = run("backup.sh", PUSHGATEWAY="127.0.0.1:1")
    assert made.returncode == 0 and "warning: the push gateway" in made.stderr, "the backup is there all the same"


def test_a_damaged_dump_is_found(run, gateway):
    assert run("backup.sh").returncode == 0
    (dump,) = (run.folder / "backups").glob("*.dump")
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    checked = run("restore-check.sh", PUSHGATEWAY=gateway)
    assert checked.returncode != 0 and "restore_check" not in pushed(gateway)
    assert not (run.folder / "scratch/data").exists()


def test_too_few_rows_and_no_dump(run):
    assert run("restore-check.sh").returncode == 1
    assert run("backup.sh").returncode == 0
    checked = run("restore-check.sh", MINIMUM_ROWS="892")
    assert checked.returncode == 1 and "891 people came back, 892 were expected" in checked.stderr


def test_the_password_comes_from_its_file(run):
    (run.folder / "password").write_text("pass word")
    shutil.chown(run.folder / "password", "postgres")
    probe = run.folder / "scripts" / "pg_dump"
    probe.write_text('#!/bin/sh\n[ "$PGPASSWORD" = "pass word" ] && case "$*" in *"pass word"*) exit 4 ;; esac && exec %s/pg_dump "$@"\n' % BINARIES)
    probe.chmod(0o755)
    made = run("backup.sh", PASSWORD_FILE=f"{run.folder}/password", PATH=f"{run.folder}/scripts:{BINARIES}:/usr/bin:/bin")
    assert made.returncode == 0, made.stderr
    assert pathlib.Path(SCRIPTS / "backup.sh").read_text().count("PGPASSWORD") == 2
