"""deploy/postgres/promote: a replica in another region takes over, after the primary was lost and after it was stopped on purpose."""

import signal
import subprocess
import time
import uuid

import pytest

from conftest import titanic_config
from support.servers import PRESET, ROOT, Postgres, Replica, wait_until
from support.skips import OTHER_BUILD
from support.writers import Writers

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)


@pytest.fixture
def pair(hosts):
    primary = Postgres()
    name = f"p{uuid.uuid4().hex[:10]}"
    primary.create(name)
    replica = Replica(primary)
    several = f"postgresql://titanic@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/{name}?target_session_attrs=read-write"
    host = hosts(titanic_config(several)).wait_ready()
    wait_until(lambda: replica.sql("select count(*) from people", name) == primary.sql("select count(*) from people", name), what="the replica to have the passengers")
    yield primary, replica, host, name
    replica.close()
    primary.close()


def promote(replica, silence=30):
    return subprocess.run([str(ROOT / "deploy/postgres/promote"), f"host=127.0.0.1 port={replica.port} user=titanic dbname=postgres"], capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", "SILENCE": str(silence)})


@pytest.mark.parametrize("how, loses", [("kill", True), ("stop", False)])
def test_the_replica_takes_over_under_load(pair, how, loses):
    primary, replica, host, name = pair
    writers = Writers(host, how)
    try:
        wait_until(lambda: len(writers.acknowledged) > 50, what="writes")
        moment = time.monotonic()
        getattr(primary, how)()
        done = promote(replica)
        promoted = time.monotonic() - moment
        assert done.returncode == 0, done.stderr
        resumed = wait_until(lambda: writers.since(moment + promoted), 120, "writes") - moment
    finally:
        writers.end()
    lost = writers.lost(set(replica.sql("select uuid from people", name).split()))
    print(f"{how}: promoted after {promoted:.1f} s, writes after {resumed:.1f} s; {len(writers.acknowledged)} acknowledged, {len(lost)} of them lost")
    assert "The server takes writes. Its last commit was made at 20" in done.stdout
    if loses:  # what had been acknowledged and not yet been sent
        assert all(told > moment - 1 for told in lost), [told - moment for told in lost]
    else:
        assert not lost
    again = promote(replica)
    assert again.returncode == 1 and "takes writes already" in again.stderr


def test_a_primary_that_hangs_is_left(pair):
    """Its connections stay and nothing is ever answered on them: the host gives them up by itself and finds the replica."""
    primary, replica, host, name = pair
    writers = Writers(host, "hang")
    try:
        wait_until(lambda: len(writers.acknowledged) > 50, what="writes")
        moment = time.monotonic()
        primary.signal(signal.SIGSTOP)
        time.sleep(2)
        assert promote(replica, silence=1).returncode == 0
        promoted = time.monotonic() - moment
        resumed = wait_until(lambda: writers.since(moment + promoted), 120, "writes") - moment
    finally:
        writers.end()
        primary.signal(signal.SIGCONT)
    lost = writers.lost(set(replica.sql("select uuid from people", name).split()))
    print(f"hung: promoted after {promoted:.1f} s, writes after {resumed:.1f} s, {len(lost)} of {len(writers.acknowledged)} lost, the longest answer took {writers.longest:.1f} s")
    assert all(told > moment - 1 for told in lost)


def test_a_primary_that_is_there_is_not_doubled(pair):
    primary, replica, host, name = pair
    refused = promote(replica)
    assert refused.returncode == 1 and "Stop it first" in refused.stderr
    assert replica.sql("select pg_is_in_recovery()") == "t"
    run = subprocess.run([str(ROOT / "deploy/postgres/promote")], capture_output=True, text=True)
    assert run.returncode == 2 and "CONNECTION" in run.stderr
