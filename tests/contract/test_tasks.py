"""Coroutine steps and hooks, and data on exchanges, through a real host and a real plugin file."""

import concurrent.futures
import socket
import struct
import time

import pytest

from support.http import contract_config, refused
from support.servers import PRESET, Host, Raw, wait_until

DATABASE = "  - id: health\n  - id: database\n    config: {{ url: '{url}' }}\n"


@pytest.fixture(scope="module")
def awaiting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("awaiting")
    host = Host(contract_config("awaiting", extra=DATABASE.format(url=f"sqlite:///{folder}/t.db")), folder).wait_ready()
    yield host
    host.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(awaiting):
    yield
    wait_until(lambda: (counts := awaiting.get("/awaiting/counts").json)["frames"] == 0 and counts["attached"] == 0, what="the frames' end")


def test_where_a_coroutine_goes_on(awaiting):
    assert awaiting.get("/awaiting/threads").body.split() == [b"bh-io", b"bh-executor", b"bh-io", b"bh-executor"]
    assert awaiting.get("/awaiting/blocking").body.split() == [b"bh-executor", b"bh-executor", b"bh-io", b"bh-executor"]


def test_many_at_once(awaiting):
    with concurrent.futures.ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda i: awaiting.get(("/awaiting/threads", "/awaiting/nested/12", "/awaiting/sleep/3", "/awaiting/sql/4")[i % 4]), range(400)))
    assert {answer.status for answer in answers} == {200}


def test_tasks_of_tasks(awaiting):
    assert awaiting.get("/awaiting/nested/12").body == b"78"
    unlucky = awaiting.get("/awaiting/nested/20")
    assert unlucky.status == 418 and unlucky.json["detail"] == "unlucky", "through all the frames"


@pytest.mark.parametrize("when", ["", "?later"])
@pytest.mark.parametrize("what, status, detail", [
    ("problem", 409, "a problem"), ("failure", 503, "a failure"), ("exception", 500, "The server failed"), ("status", 500, "The server failed"),
    ("number", 500, "The server failed"), ("response", 500, "The server failed"),
])
def test_what_a_coroutine_throws(awaiting, what, status, detail, when):
    answer = awaiting.get(f"/awaiting/throw/{what}{when}")
    assert answer.status == status and answer.json["detail"].startswith(detail) and answer.json["instance"] == answer.headers["x-request-id"]


def test_a_deadline_ends_the_wait(awaiting):
    before = awaiting.get("/awaiting/counts").json["gone"]
    assert awaiting.get("/awaiting/short/60000").status == 504
    wait_until(lambda: awaiting.get("/awaiting/counts").json["gone"] == before + 1, what="the exception in the frame")


def test_a_caller_who_leaves_ends_the_wait(awaiting):
    before = awaiting.get("/awaiting/counts").json["gone"]
    with Raw(awaiting.port) as raw:
        raw.send("GET /awaiting/sleep/50000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: awaiting.get("/awaiting/counts").json["frames"] == 1, what="the step")
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves by a reset
    begin = time.monotonic()
    wait_until(lambda: awaiting.get("/awaiting/counts").json["gone"] == before + 1, what="the exception in the frame")
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("wish, status, body", [
    ("wait", 200, b"hook"), ("at-once", 200, b"hook"), ("deny", 403, b"as you wish"), ("answer", 202, b"from the hook"), ("fail", 409, b"the hook failed"),
])
def test_hooks(awaiting, wish, status, body):
    before = awaiting.get("/awaiting/counts").json["seen_at_the_end"]
    answer = awaiting.get("/awaiting/hooked", headers={"x-wish": wish})
    assert answer.status == status and body in answer.body
    wait_until(lambda: awaiting.get("/awaiting/counts").json["seen_at_the_end"] == before + (status == 200), what="COMPLETE, which sees what the step left")


def test_a_database_is_awaited(awaiting):
    rows = awaiting.get("/awaiting/sql/3").body.split()
    assert rows == [b"3", b"2", b"1", b"bh-database"], "it goes on on the session's thread"
    write = lambda body: awaiting.request("POST", "/awaiting/sql", body)
    assert write(b"a").body == b"1"
    thrown = write(b"throw")
    assert thrown.status == 409 and thrown.json["detail"] == "rolled back"
    assert write(b"refuse").status == 400
    assert write(b"b").body == b"2", "neither of the two is there"


def test_a_provider_that_stops(hosts, tmp_path):
    """Frames that wait for the database when the host is told to stop end, and so does the host."""
    host = hosts(contract_config("awaiting", extra=DATABASE.format(url=f"sqlite:///{tmp_path}/t.db"))).wait_ready()
    with Raw(host.port) as raw:
        raw.send(f"GET /awaiting/sql/{3_000_000 if PRESET == 'release' else 100_000} HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: host.get("/awaiting/counts").json["frames"] == 1, what="the query")
        host.terminate()
        assert raw.answer().status in (200, 503)
    assert host.process.wait(60) == 0


def test_a_coroutine_cannot_see_the_answer(tmp_path):
    assert "a hook of RESPOND or COMPLETE cannot be a coroutine" in refused(tmp_path, contract_config(("awaiting", "awaiting", "{ late: true }")))


def test_no_database(hosts):
    host = hosts(contract_config("awaiting"))
    assert host.get("/awaiting/threads").status == 200
