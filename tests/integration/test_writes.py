"""Writes that wait at the same time share a transaction, and each is answered as if it had been alone."""

import threading
import uuid

import pytest

from conftest import titanic_config
from support.servers import Raw
from test_lookups import SINK
from test_people import NEW, pages


def transactions(host):
    """(writes, transactions) that travelled with others so far."""
    return host.get("/metricsink/sums").json.get("db_batch_size,write", 0), host.get("/metricsink/counts").json.get("db_batch_size,write", 0)


def together(host, requests):
    """Sends each request on a connection of its own, all before the first answer is read."""
    raws = [Raw(host.port) for _ in requests]
    for raw, (method, target, body) in zip(raws, requests):
        raw.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    answers = [raw.answer() for raw in raws]
    for raw in raws:
        raw.socket.close()
    return answers


@pytest.fixture
def counted(hosts, database):
    return hosts(titanic_config(database, extra=SINK)).wait_ready()


def body(**changes):
    import json

    return json.dumps({**NEW, **changes})


def test_all_of_them_are_there_once(counted):
    for _ in range(4):
        names = [f"{uuid.uuid4()}" for _ in range(150)]
        answers = together(counted, [("POST", "/people", body(name=name)) for name in names])
        assert [answer.status for answer in answers] == [201] * 150
        assert [answer.json["name"] for answer in answers] == names
        for name, answer in list(zip(names, answers))[::10]:
            found = counted.get(f"/people?name={name}").json
            assert [person["uuid"] for person in found] == [answer.json["uuid"]]
    assert len(pages(counted, "/people?limit=1000")) == 891 + 600
    writes, count = transactions(counted)
    assert writes > 50 and count < writes / 2, "many of them travelled together"


def test_one_that_fails_takes_nobody_along(counted):
    """A restore of what is not deleted changes nothing; of the same record twice, only the first finds it deleted."""
    made = [answer.headers["location"] for answer in together(counted, [("POST", "/people", body(name=f"n{n}")) for n in range(40)])]
    for location in made[:20]:
        assert counted.request("DELETE", location).status == 204
    requests = [("POST", f"{location}/restore", "") for location in made for _ in range(2)] + [("POST", "/people", body(name="among them"))] * 20
    answers = together(counted, requests)
    statuses = [answer.status for answer in answers]
    assert statuses[80:] == [201] * 20
    for n in range(20):
        assert sorted(statuses[2 * n : 2 * n + 2]) == [200, 404]
    assert statuses[40:80] == [404] * 40
    assert all(counted.get(location).status == 200 for location in made)


def test_constraint_failures_stay_their_own(hosts, postgres):
    """A trigger refuses one name: its writer gets the error, the others get their records."""
    name = f"t{uuid.uuid4().hex[:12]}"
    host = hosts(titanic_config(postgres.create(name), extra=SINK)).wait_ready()
    postgres.sql("create function refuse() returns trigger language plpgsql as $$ begin if new.name like 'bad%' then raise exception 'no' using errcode = '23514'; end if; return new; end $$", name)
    postgres.sql("create trigger refuse before insert on people for each row execute function refuse()", name)
    for _ in range(3):
        names = [f"bad{n}" if n % 17 == 3 else f"good{n}" for n in range(100)]
        answers = together(host, [("POST", "/people", body(name=name_)) for name_ in names])
        for name_, answer in zip(names, answers):
            assert answer.status == (409 if name_.startswith("bad") else 201), (name_, answer.status, answer.body)
    assert int(postgres.sql("select count(*) from people where name like 'good%'", name)) == 3 * sum(n % 17 != 3 for n in range(100))
    assert int(postgres.sql("select count(*) from people where name like 'bad%'", name)) == 0


def test_alone_where_batches_are_off(hosts, database):
    host = hosts(titanic_config(database, extra=SINK).replace("    config: { url:", "    config: { batch: 1, url:")).wait_ready()
    assert [answer.status for answer in together(host, [("POST", "/people", body(name=f"n{n}")) for n in range(30)])] == [201] * 30
    assert transactions(host) == (0, 0)


def test_every_acknowledged_write_is_read_at_once(counted):
    """By another connection, while others write: an answer comes after the commit, not before."""
    problems, done = [], []

    def work(worker):
        with Raw(counted.port) as raw:
            for n in range(30):
                data = body(name=f"w{worker}-{n}")
                made = raw.send(f"POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n{data}").answer()
                if made.status != 201:
                    problems.append(made.status)
                    return
                seen = raw.send(f"GET {made.headers['location']} HTTP/1.1\r\nHost: x\r\n\r\n").answer()
                if seen.status != 200 or seen.body != made.body:
                    problems.append((made.body, seen.status, seen.body))
                done.append(worker)

    workers = [threading.Thread(target=work, args=[n]) for n in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not problems and len(done) == 16 * 30, problems[:3]
