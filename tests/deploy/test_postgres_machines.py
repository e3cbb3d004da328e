"""deploy/postgres and deploy/postgres/cluster followed to the letter, on Debian machines where PostgreSQL is not installed yet."""

import time

import pytest

from support.machine import Machine, Network
from support.pages import run_by
from support.servers import PRESET, ROOT, wait_until
from support.skips import OTHER_BUILD

pytestmark = [pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD), pytest.mark.slow]
PACKAGES = ("postgresql-15", "postgresql-common", "ssl-cert", "pgbackrest")


@pytest.fixture
def started():
    """Machines and networks, all ended."""
    made = []

    def start(kind, *words, **more):
        made.append(kind(*words, **more))
        return made[-1]

    yield start
    for each in reversed(made):
        each.close()


def follow(machine, block, before=""):
    """A block of a page, in a copy of the repository."""
    return machine.run(f"cd {ROOT}\n{before}\n{block}", timeout=300)


def sql(machine, text, database="titanic"):
    return machine.run(f"sudo -u postgres psql -h /var/run/postgresql -d {database} -v ON_ERROR_STOP=1 -Atqc \"{text}\"").stdout.strip()


def test_one_server_and_a_replica(started):
    install, restore, primary_side, replica_side, promote = run_by("test_postgres_machines.py", "deploy/postgres/README.md")
    network = started(Network, primary="10.10.20.11", replica="10.20.20.11")
    primary, replica = [started(Machine, name, network, without=PACKAGES) for name in network.addresses]
    for name in ("password", "replicator"):
        for each in (primary, replica):
            each.run(f"cat >{ROOT}/{name}", input=f"the {name} of it")
    follow(primary, install)
    sql(primary, "create table letters (one text); insert into letters values ('a')")
    time.sleep(1.1)
    moment = sql(primary, "select clock_timestamp()")
    sql(primary, "delete from letters")
    restored = follow(primary, restore, f"moment='{moment}'").stdout
    assert sql(primary, "select string_agg(one, '') from letters") == "a"
    aside = restored.split("as they were: ")[1].split()[0]
    assert primary.run(f"ls {aside}/PG_VERSION").stdout and primary.run("systemctl is-active postgresql@15-main").stdout == "active\n"
    assert "recovery_target" not in primary.run("cat /var/lib/postgresql/15/main/postgresql.auto.conf").stdout
    failed = primary.run(f"cd {ROOT}; deploy/postgres/restore '2020-01-01 00:00:00Z'", check=False)
    assert failed.returncode == 1 and "as they were" in failed.stderr and sql(primary, "select string_agg(one, '') from letters") == "a"

    follow(primary, primary_side)
    follow(replica, replica_side)
    sql(primary, "insert into letters values ('b')")
    wait_until(lambda: sql(replica, "select string_agg(one, '' order by one) from letters") == "ab", what="the replica to follow")
    assert sql(primary, "select ssl from pg_stat_ssl join pg_stat_replication using (pid)") == "t"
    refused = replica.run(f"cd {ROOT}\n{promote}", check=False)
    assert refused.returncode == 1 and "Stop it first" in refused.stderr
    primary.run("systemctl stop postgresql@15-main")
    assert "Takes writes" in follow(replica, promote).stdout
    sql(replica, "insert into letters values ('c')")
    replica.run(f"cd {ROOT}; sudo -u postgres pgbackrest --stanza=titanic stanza-create && sudo -u postgres deploy/postgres/backup full")
    url = f"postgresql://titanic@10.10.20.11,10.20.20.11/titanic?target_session_attrs=read-write&sslmode=require"
    assert primary.run(f"PGPASSWORD='the password of it' psql -Atqc 'select 1' '{url}'").stdout == "1\n", "the hosts' URL"
