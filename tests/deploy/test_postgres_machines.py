"""deploy/postgres and deploy/postgres/cluster followed to the letter, on Debian machines where PostgreSQL is not installed yet."""

import concurrent.futures
import ctypes
import json
import os
import re
import subprocess
import sys
import time

import pytest

from conftest import titanic_config
from support.certificates import Authority
from support.machine import Machine, Network
from support.pages import run_by
from support.servers import PRESET, ROOT, wait_until
from support.skips import OTHER_BUILD

pytestmark = [pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD), pytest.mark.slow]
MOVE_MOUNT, OPEN_TREE, CLONE, HERE, EMPTY_PATH = 429, 428, 1, -100, 4
PACKAGES = ("postgresql-15", "postgresql-common", "ssl-cert", "pgbackrest")


def follow(machine, block, before=""):
    """A block of a page, in a copy of the repository."""
    return machine.run(f"cd {ROOT}\n{before}\n{block}", timeout=300)


def sql(machine, text, database="titanic"):
    return machine.run(f"sudo -u postgres psql -h /var/run/postgresql -d {database} -v ON_ERROR_STOP=1 -Atqc \"{text}\"").stdout.strip()


def backups(machine):
    listed = json.loads(machine.run("sudo -u postgres pgbackrest --stanza=titanic --output=json info").stdout)
    return sum(len(stanza.get("backup", [])) for stanza in listed)


def made_by_the_timer(machine):
    """How many one night makes. What the timer starts is started; that it does, and when, is systemd's word."""
    assert machine.run("systemctl is-active titanic-backup.timer && systemctl show -P Unit titanic-backup.timer").stdout == "active\ntitanic-backup.service\n"
    assert re.search(r" 02:(1[5-9]|2\d|30):", machine.run("systemctl show -P NextElapseUSecRealtime titanic-backup.timer").stdout)
    before = backups(machine)
    machine.run("systemctl start titanic-backup")
    return backups(machine) - before


def test_one_server_and_a_replica(started):
    install, nightly, restore, primary_side, replica_side, promote = run_by("test_postgres_machines.py", "deploy/postgres/README.md")
    network = started(Network, primary="10.10.20.11", replica="10.20.20.11")
    primary, replica = [started(Machine, name, network, without=PACKAGES) for name in network.addresses]
    for name in ("password", "replicator"):
        for each in (primary, replica):
            each.run(f"cat >{ROOT}/{name}", input=f"the {name} of it")
    follow(primary, install)
    follow(primary, nightly)
    assert made_by_the_timer(primary) == 1
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
    assert failed.returncode == 1 and "moving the old data back" in failed.stderr and sql(primary, "select string_agg(one, '') from letters") == "a"

    follow(primary, primary_side)
    follow(replica, replica_side)
    follow(replica, nightly)
    assert made_by_the_timer(replica) == 0
    sql(primary, "insert into letters values ('b')")
    wait_until(lambda: sql(replica, "select string_agg(one, '' order by one) from letters") == "ab", what="the replica to follow")
    assert sql(primary, "select ssl from pg_stat_ssl join pg_stat_replication using (pid)") == "t"
    refused = replica.run(f"cd {ROOT}\n{promote}", check=False)
    assert refused.returncode == 1 and "Stop it first" in refused.stderr
    primary.run("systemctl stop postgresql@15-main")
    assert "takes writes" in follow(replica, promote).stdout
    sql(replica, "insert into letters values ('c')")
    replica.run("sudo -u postgres pgbackrest --stanza=titanic stanza-create")
    assert made_by_the_timer(replica) == 1
    replica.run("systemctl stop postgresql@15-main")
    failed = replica.run("systemctl start titanic-backup", check=False)
    assert failed.returncode == 1 and replica.run("systemctl is-failed titanic-backup").stdout == "failed\n", "not skipped: a server that is away"
    replica.run("systemctl start postgresql@15-main")
    url = "postgresql://titanic@10.10.20.11,10.20.20.11/titanic?target_session_attrs=read-write&sslmode=require"
    assert primary.run(f"PGPASSWORD='the password of it' psql -Atqc 'select 1' '{url}'").stdout == "1\n", "the hosts' URL"


def share(folder, machine, place):
    """A folder of this machine there, as a network's file system would be."""
    tree = ctypes.CDLL(None, use_errno=True).syscall(OPEN_TREE, HERE, str(folder).encode(), CLONE)
    assert tree >= 0, os.strerror(ctypes.get_errno())
    attach = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall({MOVE_MOUNT}, {tree}, b'', {HERE}, b'{place}', {EMPTY_PATH}))"
    subprocess.run(["nsenter", f"--target={machine.pid}", "--mount", "--root", sys.executable, "-c", attach], pass_fds=[tree], check=True)
    os.close(tree)


def everywhere(machines, do):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(do, machines))


def members(machine):
    """By role."""
    listed = machine.run("sudo -u postgres patronictl -c /etc/patroni/config.yml list -f json", check=False).stdout
    return {each["Role"]: each["Member"] for each in json.loads(listed)} if listed.startswith("[") else {}


def test_three_servers_and_a_host(started, tmp_path):
    passwords, install, start, roles, before, nightly, restore = *run_by("test_postgres_machines.py", "deploy/postgres/cluster/README.md"), *run_by("test_postgres_machines.py", "deploy/postgres/README.md")[1:3]
    network = started(Network, host="10.10.20.10", one="10.10.20.11", two="10.10.20.12", three="10.10.20.13")
    host = started(Machine, "host", network, without=("haproxy", "pgbouncer"))
    nodes = {name: started(Machine, name, network, without=(*PACKAGES, "patroni", "etcd-server")) for name in ("one", "two", "three")}
    follow(host, passwords)
    authority, secrets = Authority(tmp_path / "authority"), host.run(f"cd {ROOT} && tar c superuser replication rewind database pgbouncer | base64").stdout
    repository = tmp_path / "repository"
    repository.mkdir()
    for name, node in nodes.items():
        node.run(f"cd {ROOT} && base64 -d | tar x", input=secrets)
        certificate, key = authority.issue(name, address=network.addresses[name])
        for file, source in (("node.pem", certificate), ("node.key", key), ("authority.pem", authority.file)):
            node.run(f"umask 077; cat >{ROOT}/{file}", input=source.read_text())
        follow(node, install, f"name={name} address={network.addresses[name]}")
        share(repository, node, "/var/lib/pgbackrest")
        node.run("chown postgres: /var/lib/pgbackrest")
    everywhere(nodes.values(), lambda node: follow(node, start))
    wait_until(lambda: {"Leader", "Sync Standby", "Replica"} <= set(members(nodes["one"])), 120, "three members")
    leader = nodes[members(nodes["one"])["Leader"]]
    follow(leader, roles)
    everywhere(nodes.values(), lambda node: follow(node, nightly))
    assert sum(made_by_the_timer(node) for node in nodes.values()) == 1, "the leader's"

    host.run(f"cat >{ROOT}/authority.pem", input=authority.file.read_text())
    follow(host, before)
    password = host.run(f"cat {ROOT}/database").stdout
    config = titanic_config("postgresql://titanic@127.0.0.1:6432/titanic", database=f', password: "{password}", direct_url: "postgresql://titanic@127.0.0.1:6543/titanic?sslmode=require"')
    host.run("cat >host.yaml", input=config.replace("{port}", "5000").replace("{admin}", "5001"))
    host.run(f"cd {ROOT} && systemd-run --unit=host --same-dir build/release/bin/bulkhead serve ~/host.yaml")

    def ask(path):
        return host.run(f"curl --fail --silent --retry 60 --retry-all-errors --retry-delay 1 'http://127.0.0.1:5000{path}'").stdout

    ask("/health/ready")
    assert len(json.loads(ask("/people?limit=891"))) == 891
    time.sleep(1.1)
    moment = sql(leader, "select clock_timestamp()")
    sql(leader, "delete from people")
    assert json.loads(ask("/people")) == []
    assert "takes writes" in follow(leader, restore, f"moment='{moment}'").stdout
    assert len(json.loads(ask("/people?limit=891"))) == 891
    wait_until(lambda: {"Leader", "Sync Standby", "Replica"} <= set(members(leader)), 120, "the others to follow again")
    assert all("recovery_target" not in node.run("cat /var/lib/postgresql/15/titanic/postgresql.auto.conf").stdout for node in nodes.values())
    leader.run("systemctl status patroni | grep 'postgres: titanic'")  # Patroni's own again, not one of the shell that restored
