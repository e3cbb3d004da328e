"""JSON from outside: read to its end, checked before anything is built, and small whatever it describes."""

import json
import threading
import time

import pytest

from conftest import titanic_config
from support.servers import PRESET
from test_people import BRAUND, NEW, create

ONE = f"/people/{BRAUND['uuid']}"
PATCH = {"content-type": "application/json-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
JSON = {"content-type": "application/json"}
MIB = 1024 * 1024


def raw(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("tail", [b"\0", b"\0garbage", b"\0{}", b"x", b"{}", b" \0 "])
def test_nothing_may_follow(titanic, tail):
    for method, path, headers, body in (
        ("POST", "/people", JSON, raw(NEW)), ("PUT", ONE, JSON, raw(NEW)), ("PATCH", ONE, MERGE, b'{"age": 3}'),
        ("PATCH", ONE, PATCH, b'[{"op":"replace","path":"/age","value":3}]'),
    ):
        answer = titanic.request(method, path, body + tail, headers=headers)
        assert answer.status == 400 and "is not JSON" in answer.json["detail"], (method, answer.body)
    level = titanic.request("POST", "/_host/log", b'{"level":"warn"}' + tail, headers=JSON, admin=True)
    assert level.status == 400
    assert titanic.get(ONE).json == BRAUND


def test_a_member_given_twice_is_named(titanic):
    whole = json.dumps(NEW)
    for method, path, headers, body, pointer in (
        ("POST", "/people", JSON, whole[:-1] + ', "name": "Other"}', "/name"),
        ("PUT", ONE, JSON, '{"age": 1, "age": 1, ' + whole[1:], "/age"),
        ("PATCH", ONE, MERGE, '{"age": 1, "\\u0061ge": 2}', "/age"),
        ("PATCH", ONE, PATCH, '[{"op":"remove","path":"/age","path":"/fare"}]', "/0/path"),
    ):
        answer = titanic.request(method, path, body, headers=headers)
        assert answer.status == 422 and answer.json["errors"] == [{"pointer": pointer, "detail": "is given twice"}], answer.body
    assert titanic.get(ONE).json == BRAUND


def test_errors_are_few_and_short(titanic):
    wide = "{" + ",".join(f'"unknown{n}{"x" * 300 if n == 0 else ""}":0' for n in range(40_000)) + "}"
    for method, path, headers in (("POST", "/people", JSON), ("PUT", ONE, JSON), ("PATCH", ONE, MERGE)):
        answer = titanic.request(method, path, wide, headers=headers)
        assert answer.status == 422 and len(answer.body) < 20_000, len(answer.body)
        errors = answer.json["errors"]
        assert len(errors) == 33 and len(errors[0]["pointer"]) < 220
        required = 0 if method == "PATCH" else 6
        assert errors[-1] == {"pointer": "", "detail": f"and {40_000 + required - 32} more"}
        assert answer.json["detail"] == f"{40_000 + required} fields are not valid."


# RFC 6902 §4, and its operations on a record that is flat.
@pytest.mark.parametrize("patch, status", [
    ([{"op": "replace", "path": "/age", "value": 1, "from": "/nonsense", "x": [1]}], 200),  # not defined for it: ignored
    ([{"op": "test", "path": "/age", "value": 22.0}, {"op": "remove", "path": "/age"}], 200),
    ([{"op": "replace", "path": "", "value": NEW}], 200),
    ([{"op": "add", "path": "", "value": {**NEW, "name": "Whole"}}], 200),
    ([{"op": "test", "path": "", "value": {"not": "it"}}], 422),
    ([{"op": "replace", "path": "", "value": {"name": "x"}}], 422),
    ([{"op": "replace", "path": "", "value": 7}], 422),
    ([{"op": "replace", "path": "", "value": 5}, {"op": "add", "path": "/age", "value": 1}], 422),
    ([{"op": "copy", "from": "/age", "path": ""}, {"op": "add", "path": "/age", "value": 1}], 422),
    ([{"op": "remove", "path": ""}], 422),
    ([{"op": "copy", "from": "", "path": "/name"}], 422),
    ([{"op": "move", "from": "", "path": "/name"}], 422),
    ([{"op": "add", "path": "/x", "value": 1}], 422),
    ([{"op": "add", "path": "/name/0", "value": "x"}], 422),
    ([{"op": "add", "path": "/name", "value": {"a": {"b": 1}}}], 422),
    ([{"op": "move", "path": "/age"}], 422),
    ([{"op": "add", "path": "/age"}], 422),
    ([{"op": "spam", "path": "/age"}], 422),
    ([{"op": "remove", "path": 7}], 422),
    ([{"op": "remove", "path": "/ticket"}, {"op": "remove", "path": "/ticket"}], 422),
    ([{"op": "test", "path": "/age", "value": 23}], 422),
    ([{"op": "remove"}], 400),
    (["x"], 400),
    ({}, 400),
    ([], 200),
])
def test_operations(titanic, patch, status):
    path = create(titanic, age=22, ticket="T").headers["location"]
    answer = titanic.request("PATCH", path, raw(patch), headers=PATCH)
    assert answer.status == status, answer.body
    assert b"json.exception" not in answer.body


BIG = [0] * 50_000
WORST = {
    "copies of a large value": (PATCH, raw([{"op": "add", "path": "/x", "value": BIG}] + [{"op": "copy", "from": "/x", "path": f"/x{n}"} for n in range(600)])),
    "copies between fields": (PATCH, raw([{"op": "add", "path": "/name", "value": BIG}] + [{"op": "copy", "from": "/name", "path": "/sex"}, {"op": "copy", "from": "/sex", "path": "/name"}] * 600)),
    "copies of the whole": (PATCH, raw([{"op": "copy", "from": "", "path": "/name"}, {"op": "copy", "from": "", "path": "/sex"}] * 40)),
    "moves": (PATCH, raw([{"op": "move", "from": "/ticket", "path": "/cabin"}, {"op": "move", "from": "/cabin", "path": "/ticket"}] * 3_000)),
    "empty objects": (JSON, b"[" + b",".join([b"{}"] * 300_000) + b"]"),
    "empty objects in a field": (MERGE, b'{"name":[' + b",".join([b"{}"] * 300_000) + b"]}"),
    "empty objects in a patch": (PATCH, b"[" + b",".join([b"{}"] * 300_000) + b"]"),
    "unknown keys": (JSON, b"{" + b",".join(b'"%d":0' % n for n in range(105_000)) + b"}"),
    "numbers": (MERGE, b'{"name":[' + b",".join([b"0"] * 500_000) + b"]}"),
    "nesting": (JSON, b"[" * 500_000 + b"]" * 500_000),
    "one long text": (JSON, b'{"name":"' + b"\\u00e9" * 170_000 + b'"}'),
    "one long key": (JSON, b'{"' + b"k" * 1_000_000 + b'":0}'),
    "escapes to the end": (JSON, b'"' + b"\\\\" * 500_000),
    "white space": (JSON, b" " * 1_000_000),
}


@pytest.mark.parametrize("worst", WORST)
def test_a_small_request_makes_no_large_work(hosts, tmp_path, worst):
    """Memory that it adds, and how long it holds the only I/O thread: in CPU time, which a busy machine does not stretch."""
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db").replace("  scopes: ignore", "  scopes: ignore\n  io_threads: 1")).wait_ready()
    headers, body = WORST[worst]
    assert len(body) <= MIB
    targets = [("PATCH", ONE)] if headers is not JSON else [("POST", "/people"), ("PUT", ONE)]
    for method, path in targets:
        host.request(method, path, b"{" + b" " * 900_000, headers=headers)  # buffers that stay are there
    before = host.resources()[2]
    peak, held = [before], []
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            peak[0] = max(peak[0], host.resources()[2])
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for method, path in targets:
            begin, used = time.monotonic(), host.io_cpu_ms()
            answer = host.request(method, path, body, headers=headers)
            held.append(host.io_cpu_ms() - used)
            assert answer.status in (400, 422), answer.body[:200]
            assert len(answer.body) < 20_000
            assert time.monotonic() - begin < 5, "and no small request takes seconds"
    finally:
        stop.set()
        watcher.join()

    if PRESET == "release":
        assert peak[0] - before < 16 * 1024, f"{peak[0] - before} KiB"
        assert max(held) < 20, f"{held} ms"
    assert host.get(ONE).json == BRAUND


def test_keys_are_made_of_json_that_ends(hosts, tmp_path):
    from test_auth import bearer, make_key, secured

    host = hosts(secured(f"sqlite:///{tmp_path}/t.db")).wait_ready()
    boss = bearer(make_key(host))
    wish = b'{"name": "x", "scopes": ["people:read"]}'
    for bad in (wish + b"\0x", wish[:-1] + b', "name": "y"}', b"[" * 200):
        assert host.request("POST", "/auth/keys", bad, headers={**boss, **JSON}).status == 400, bad
    wide = b"{" + b",".join(b'"k%d":0' % n for n in range(300)) + b"}"
    answer = host.request("POST", "/auth/keys", wide, headers={**boss, **JSON})
    assert answer.status == 422 and len(answer.json["errors"]) < 40
    assert host.request("POST", "/auth/keys", wish, headers={**boss, **JSON}).status == 201
