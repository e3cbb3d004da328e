"""deploy/postgres/cluster under load: a leader that is killed, one that hangs, one that hands over. Nothing acknowledged is lost."""

import os
import signal
import subprocess
import time

import pytest

from conftest import titanic_config
from support.cluster import DATABASE_PASSWORD, Cluster, as_postgres
from support.servers import PRESET, wait_until
from support.skips import OTHER_BUILD
from support.writers import PASSENGER, Writers

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    try:
        leader = made.wait_whole()
        made.make_roles()
        made.start_before()
        subprocess.run(as_postgres("pgbackrest", f"--config={leader.pgbackrest}", "--stanza=titanic", "stanza-create"), cwd="/tmp", check=True, capture_output=True, timeout=120)
        yield made
    finally:
        made.close()


@pytest.fixture
def ways(cluster, hosts):
    """A host behind PgBouncer and HAProxy, and one whose driver looks for the leader itself."""
    cluster.wait_whole()
    network, roots = cluster.network, f"sslrootcert={cluster.authority.file}"
    several = f"postgresql://titanic@{network}.11,{network}.12,{network}.13/titanic?target_session_attrs=read-write&sslmode=verify-full&{roots}"
    password = f', password: "{DATABASE_PASSWORD}"'
    pooled = f', direct_url: "{cluster.url(6543)}?sslmode=verify-ca&{roots}"'
    return {
        "PgBouncer and HAProxy": hosts(titanic_config(cluster.url(6432), database=password + pooled)).wait_ready(),
        "a URL with three hosts": hosts(titanic_config(several, database=password)).wait_ready(),
    }


def under_load(cluster, ways, event, what):
    """Does `event` to the leader while both hosts take writes; all that was acknowledged is there afterwards."""
    before = cluster.leader()
    writers = {name: Writers(host, name) for name, host in ways.items()}
    try:
        wait_until(lambda: all(len(each.acknowledged) > 20 for each in writers.values()), what="writes")
        time.sleep(1)
        moment = time.monotonic()
        event(before)
        wait_until(lambda: cluster.leader() not in (None, before), 200, "another leader")
        led = time.monotonic() - moment
        after = cluster.leader()
        # What was under way may still have been acknowledged by the old leader: a second later nobody asks it any more.
        for name, each in writers.items():
            wait_until(lambda: each.since(moment + max(led, 1)), 200, f"writes by {name}")
            each.resumed = each.since(moment + max(led, 1)) - moment
        time.sleep(1)
    finally:
        for each in writers.values():
            each.end()
    kept = set(after.sql("select uuid from people", "titanic").split())
    for name, each in writers.items():
        lost = each.lost(kept)
        print(f"{what}, {name}: another leader after {led:.1f} s, writes after {each.resumed:.1f} s; {len(each.acknowledged)} acknowledged, {len(lost)} of them lost, {each.refused} refused, the longest answer took {each.longest:.1f} s")
        assert not lost
        assert each.longest < 30, "nobody waits without an end"
    return before, after


def backup(node):
    run = subprocess.run(as_postgres("pgbackrest", f"--config={node.pgbackrest}", "--stanza=titanic", "--type=full", "backup"), cwd="/tmp", capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, f"a backup of the leader: {run.stdout}{run.stderr}"


def hand_over(cluster, node):
    run = cluster.patronictl(node, "switchover", "--master", node.name, "--force")
    assert run.returncode == 0 and "Successfully switched over" in run.stdout, run.stdout + run.stderr


def test_the_leader_is_killed_under_load(cluster, ways):
    """PostgreSQL, Patroni and etcd of one machine, at once."""
    before, after = under_load(cluster, ways, lambda node: node.kill(), "killed")
    assert after.role()["role"] == "master"
    before.start()
    began = time.monotonic()
    cluster.wait_whole()
    print(f"whole again {time.monotonic() - began:.1f} s after the machine came back")
    assert before.role()["role"] == "replica" and before.sql("select pg_is_in_recovery()") == "t"
    for host in ways.values():
        assert host.get("/people?limit=1").status == 200
    backup(after)


def test_the_leader_hands_over_under_load(cluster, ways):
    """Planned: patronictl switchover."""
    under_load(cluster, ways, lambda node: hand_over(cluster, node), "handed over")


@pytest.mark.slow
def test_back_to_before_a_wrong_delete_under_load(cluster, ways):
    """One command on the leader; the others are rewound, by the archive where their own log is too short. Afterwards the cluster hands over as before."""
    leader = cluster.leader()
    backup(leader)
    time.sleep(1.1)  # of a backup's end pgBackRest knows the second
    writers = {name: Writers(host, f"restored {name}") for name, host in ways.items()}
    try:
        wait_until(lambda: all(len(each.acknowledged) > 20 for each in writers.values()), what="writes")
        before = time.monotonic()
        moment = leader.sql("select clock_timestamp()")
        time.sleep(1)
        leader.sql("delete from people", "titanic")
        for _ in range(10):  # more of the log than the standbys keep (wal_keep_size)
            leader.sql("create table filler (); drop table filler")
            leader.sql("select pg_switch_wal()")
        for node in sorted(cluster.nodes, key=lambda each: each is not leader):
            time.sleep(1)
            node.sql("checkpoint")
        began = time.monotonic()
        run = cluster.restore(leader, moment)
        said = "".join(run.communicate(timeout=300))
        assert run.returncode == 0, said
        done = time.monotonic()
        assert cluster.wait_whole() is leader
        whole = time.monotonic() - began
        for name, each in writers.items():
            wait_until(lambda: each.since(done), 60, f"writes by {name}")
        time.sleep(1)
    finally:
        for each in writers.values():
            each.end()
    kept = set(leader.sql("select uuid from people", "titanic").split())
    for name, each in writers.items():
        resumed = min(told for asked, told, one in each.acknowledged if asked > began and one in kept)
        lost = each.lost(kept)
        print(f"restored, {name}: writes after {resumed - began:.1f} s, whole after {whole:.1f} s; {len(each.acknowledged)} acknowledged, {sum(told < before for told in lost)} of those before the moment lost, {len(lost)} of those after it set aside")
        assert lost and all(before < told < resumed for told in lost), "what was acknowledged between the moment and the restore, and no more"
    for node in cluster.nodes:
        assert node.sql("show recovery_target_time") == "", f"{node} would stop there"
        assert node is leader or "pg_rewind exit code=0" in (node.folder / "patroni.log").read_text(), f"{node} was copied as a whole"
    backup(leader)
    under_load(cluster, ways, lambda node: hand_over(cluster, node), "handed over after a restore")


@pytest.mark.slow
def test_the_leader_hangs_under_load(cluster, ways):
    """Patroni and PostgreSQL stop, their connections stay: nobody is told. The machine is started anew, as a watchdog does it."""

    def hang(node):
        node.signal(signal.SIGSTOP, names=("patroni",))

    before, after = under_load(cluster, ways, hang, "hung")
    before.kill()
    before.start()
    assert cluster.wait_whole() is after


@pytest.mark.slow
def test_two_of_three_machines_are_gone(cluster, ways):
    """Nothing is acknowledged that one machine alone has; reads go on; with the second machine writes do."""
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    host = ways["PgBouncer and HAProxy"]
    for node in others:
        node.kill()
    answer = host.request("POST", "/people", {**PASSENGER, "name": "Alone"})
    assert answer.status in (503, 504), answer.body
    for node in others:
        node.start()
    wait_until(lambda: host.request("POST", "/people", {**PASSENGER, "name": "Again"}).status == 201, 200, "writes")
    cluster.wait_whole()


@pytest.mark.slow
def test_a_restore_that_is_refused(cluster, ways):
    """On a standby, and while another one may be under way. Nothing stops for it."""
    leader = cluster.leader()
    standby = next(node for node in cluster.nodes if node is not leader)
    started = leader.sql("select pg_postmaster_start_time()")
    run = cluster.restore(standby, "2026-01-01 10:00:00+00")
    assert f"restore on the one that does (titanic {leader})" in run.communicate(timeout=120)[1] and run.returncode == 1
    assert "paused" in cluster.patronictl(leader, "pause", "--wait").stdout
    run = cluster.restore(leader, "2026-01-01 10:00:00+00")
    assert "already paused" in run.communicate(timeout=120)[1] and run.returncode == 1
    assert "resumed" in cluster.patronictl(leader, "resume", "--wait").stdout
    assert cluster.wait_whole() is leader and leader.sql("select pg_postmaster_start_time()") == started


@pytest.mark.slow
def test_a_restore_that_fails(cluster, ways):
    """The leader goes on with its data as they were."""
    leader, host = cluster.leader(), ways["PgBouncer and HAProxy"]
    rows = int(leader.sql("select count(*) from people", "titanic"))
    run = cluster.restore(leader, "2020-01-01 00:00:00+00")
    assert "moving the old data back" in run.communicate(timeout=300)[1] and run.returncode == 1
    wait_until(lambda: host.request("POST", "/people", {**PASSENGER, "name": "Goes on"}).status == 201, 60, "writes")
    assert cluster.wait_whole() is leader and int(leader.sql("select count(*) from people", "titanic")) == rows + 1


@pytest.mark.slow
def test_a_restore_that_is_killed(cluster, ways):
    """It leaves the cluster paused, without a leader. Resumed, a standby leads with the data as they were; the member is made anew."""
    leader, host = cluster.leader(), ways["PgBouncer and HAProxy"]
    rows = leader.sql("select count(*) from people", "titanic")
    asides = set(leader.folder.glob("data.before-restore-*"))
    run = cluster.restore(leader, leader.sql("select clock_timestamp()"))
    wait_until(lambda: set(leader.folder.glob("data.before-restore-*")) > asides, 60, "the data to move aside")
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert host.request("POST", "/people", {**PASSENGER, "name": "Paused"}).status in (503, 504)
    assert "resumed" in cluster.patronictl(leader, "resume", "--wait").stdout
    wait_until(lambda: cluster.leader() not in (None, leader), 120, "another leader")
    reinitialized = cluster.patronictl(leader, "reinit", "--force", "titanic", leader.name)
    assert "Success" in reinitialized.stdout, reinitialized.stdout + reinitialized.stderr
    assert cluster.wait_whole().sql("select count(*) from people", "titanic") == rows
    wait_until(lambda: host.request("POST", "/people", {**PASSENGER, "name": "Resumed"}).status == 201, 60, "writes")
