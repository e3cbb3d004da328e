"""Requests for records that wait at the same time travel together, and nobody notices but the database."""

import threading
import time
import uuid

import pytest

from conftest import titanic_config
from support.servers import CONTRACT, Raw
from test_people import BRAUND, NEW, create

SINK = f"  - id: metricsink\n    library: {CONTRACT}/metricsink.so\n"


def passenger(number):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:titanic:passenger:{number}"))


def batches(host):
    """(lookups, queries) so far."""
    return host.get("/metricsink/sums").json.get("db_batch_size,lookup", 0), host.get("/metricsink/counts").json.get("db_batch_size,lookup", 0)


@pytest.fixture
def counted(hosts, database):
    return hosts(titanic_config(database, extra=SINK)).wait_ready()


def test_each_gets_its_own_record(counted):
    """Pipelined on some connections: known, unknown, deleted and equal ones, in any order."""
    gone = create(counted, name="Gone").headers["location"]
    assert counted.request("DELETE", gone).status == 204
    lookups, queries = batches(counted)
    raws = [Raw(counted.port) for _ in range(8)]
    for number, raw in enumerate(raws):
        targets = [f"/people/{passenger(1 + (number * 37 + n * 5) % 891)}" for n in range(40)] + [f"/people/{uuid.uuid4()}", gone, f"/people/{BRAUND['uuid'].upper()}"] * 3
        raw.targets = targets
        raw.send("".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" for target in targets))
    for raw in raws:
        for target in raw.targets:
            answer = raw.answer()
            wanted = target.rsplit("/", 1)[1].lower()
            if answer.status == 200:
                assert answer.json["uuid"] == wanted
            else:
                assert answer.status == 404 and wanted in answer.json["detail"]
        assert answer.status == 200
        raw.socket.close()
    after = batches(counted)
    assert after[0] - lookups == 8 * 49
    assert after[1] - queries < 8 * 49 / 2, "most of them travelled together"


def test_alone_where_batches_are_off(hosts, database):
    config = titanic_config(database, extra=SINK).replace('    config: { url:', "    config: { batch: 1, url:")
    host = hosts(config).wait_ready()
    with Raw(host.port) as raw:
        raw.send("".join(f"GET /people/{passenger(n)} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(1, 51)))
        assert [raw.answer().json["uuid"] for _ in range(50)] == [passenger(n) for n in range(1, 51)]
    assert batches(host) == (50, 50)


def test_nobody_is_answered_from_a_query_that_began_before(counted):
    """A reader that asks after a write was acknowledged sees it, however busy the lookups are."""
    location = create(counted, age=0).headers["location"]
    acknowledged, reads, problems, stop = [0], [0], [], threading.Event()

    def read():
        with Raw(counted.port) as raw:
            while not stop.is_set():
                least = acknowledged[0]
                answer = raw.send(f"GET {location} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
                reads[0] += 1
                if answer.status != 200 or answer.json["age"] < least:
                    problems.append((least, answer.status, answer.body))

    readers = [threading.Thread(target=read) for _ in range(12)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + 3
    age = 0
    while time.monotonic() < end and age < 150:
        age += 1
        assert counted.request("PUT", location, {**NEW, "age": age}).status == 200
        acknowledged[0] = age
    stop.set()
    for reader in readers:
        reader.join()
    assert age > 10 and reads[0] > 100 and not problems, problems[:3]
