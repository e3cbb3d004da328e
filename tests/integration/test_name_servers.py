"""Hosts that know servers by name, and name servers that do not answer: they serve, say so, and end at once; and connect by name when they can."""

import os
import shutil
import time
import uuid

import pytest

from conftest import titanic_config
from support.certificates import Authority
from support.http import contract_config
from support.names import Names
from support.servers import Postgres, Redis, wait_until
from test_cache import cached
from test_cache_shared import coherent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="name servers have port 53, and a resolv.conf is mounted")
SILENCE = "db.test: no name server answers"
AT_ONCE = 10  # seconds; a lookup in vain takes five times as long


@pytest.fixture
def names(tmp_path):
    servers = Names(tmp_path)
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def redis():
    server = Redis()
    yield server
    server.close()


def fresh(postgres):
    """(a new database, where it is by the name db.test)"""
    name = f"n{uuid.uuid4().hex[:10]}"
    return postgres.create(name), f"postgresql://titanic@db.test:{postgres.port}/{name}"


def by_database(url, more=""):
    return titanic_config(url, seed=False, database=f", pool: {{ min: 2, max: 4 }}{more}")


def by_ratelimit(port):
    return contract_config("cpp_hello", extra=f"  - id: ratelimit\n    config: {{ limits: [ {{ name: calls, requests: 1000 }} ], redis: 'redis://db.test:{port}', service: s{uuid.uuid4().hex[:8]} }}\n")


def by_cache(port):
    return cached(more=f", redis: 'redis://db.test:{port}', service: s{uuid.uuid4().hex[:8]}")


def why_down(host):
    return host.why("database")


def ends_at_once(host):
    begin = time.monotonic()
    assert host.stop() == 0
    assert time.monotonic() - begin < AT_ONCE


# ------------------------------------------------------------------- silence

def test_a_database_nobody_can_find(hosts, names):
    host = hosts(by_database("postgresql://titanic@db.test/x", ", connect_timeout_s: 1"), wrapper=names.wrapper)
    wait_until(lambda: SILENCE in why_down(host), what="the reason in readiness")
    refused = host.get("/people")
    assert refused.status == 503 and refused.headers["retry-after"] == "1"
    ends_at_once(host)
    assert "any more" not in host.log(), "the end is no failure"


def test_the_end_does_not_wait_for_as_long_as_a_connection_may(hosts, names):
    host = hosts(by_database("postgresql://titanic@db.test/x", ", connect_timeout_s: 60"), wrapper=names.wrapper)
    wait_until(lambda: "db.test" in names.asked, what="the question")
    ends_at_once(host)


def test_a_replica_nobody_can_find(hosts, names, postgres):
    url, by_name = fresh(postgres)
    host = hosts(by_database(url, f', replicas: ["{by_name}"]'), wrapper=names.wrapper).wait_ready()
    wait_until(lambda: "db.test" in names.asked, what="the question")
    assert host.get("/people").status == 200, "the primary reads"
    ends_at_once(host)


@pytest.mark.parametrize("config, path", [(by_ratelimit, "/hello/x"), (by_cache, "/tagged/a")], ids=["ratelimit", "cache"])
def test_a_redis_nobody_can_find(hosts, names, config, path):
    host = hosts(config(6379), wrapper=names.wrapper)
    wait_until(lambda: SILENCE in host.log(), what="the reason in the log")
    assert host.get(path).status == 200
    ends_at_once(host)


# -------------------------------------------------------------------- answers

def test_a_database_is_found_once_name_servers_answer(hosts, names, postgres):
    host = hosts(by_database(fresh(postgres)[1], ", connect_timeout_s: 1"), wrapper=names.wrapper)
    wait_until(lambda: SILENCE in why_down(host), what="the reason in readiness")
    names.known = {}
    wait_until(lambda: why_down(host).startswith("down: db.test: ") and SILENCE not in why_down(host), what="word that there is no such name")
    names.known = {"db.test": ["127.0.0.1"]}
    host.wait_ready()
    assert host.get("/people").status == 200


def test_a_redis_is_found_once_name_servers_answer(hosts, names, redis):
    limited, caching = (hosts(config(redis.port), wrapper=names.wrapper) for config in (by_ratelimit, by_cache))
    for host in (limited, caching):
        wait_until(lambda: SILENCE in host.log(), what="the reason in the log")
    names.known = {"db.test": ["127.0.0.9", "127.0.0.1"]}  # one of them refuses
    wait_until(lambda: limited.get("/hello/x").status == 200 and "limits are shared through Redis" in limited.log(), what="Redis")
    coherent(caching)


def test_the_servers_that_are_known_do(hosts, names, postgres):
    """Of three: no such name, nobody says, and one with an address that refuses beside the good one."""
    names.known = {"silent.test": None, "db.test": ["127.0.0.9", "127.0.0.1"]}
    url = fresh(postgres)[1].replace("@", "@gone.test:1,silent.test:1,")
    begin = time.monotonic()
    host = hosts(by_database(url, ", connect_timeout_s: 300"), wrapper=names.wrapper).wait_ready()
    assert time.monotonic() - begin < 200, "nobody waits for the silent one"
    assert host.get("/people").status == 200 and {"gone.test", "silent.test"} <= names.asked


def test_tls_goes_by_the_name(hosts, names, tmp_path):
    server = Postgres()
    try:
        authority = Authority(tmp_path / "tls")
        for made, wanted in zip(authority.issue("db.test"), ("server.crt", "server.key")):
            shutil.copy(made, server.data / wanted)
            shutil.chown(server.data / wanted, "postgres")
            (server.data / wanted).chmod(0o600)
        server.sql("alter system set ssl = on")
        server.sql("select pg_reload_conf()")
        names.known = {"db.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
        url = fresh(server)[1] + f"?sslmode=verify-full&sslrootcert={authority.file}"
        good = hosts(by_database(url), wrapper=names.wrapper).wait_ready()
        assert good.get("/people").status == 200
        other = hosts(by_database(url.replace("db.test", "other.test")), wrapper=names.wrapper)
        wait_until(lambda: 'does not match host name "other.test"' in why_down(other), what="the refusal")
    finally:
        server.close()
