"""Answers in gzip, brotli and zstd, decoded by other programs than ours."""

import gzip
import json
import subprocess
import threading

import pytest

from conftest import titanic_config
from support.http import contract_config
from support.servers import PRESET, Raw
from test_people import BRAUND

ONE = f"/people/{BRAUND['uuid']}"


def decoded(answer):
    coding = answer.headers.get("content-encoding")
    if coding == "gzip":
        return gzip.decompress(answer.body)
    if coding in ("br", "zstd"):  # node has brotli in its zlib; zstd has a program
        command = ["node", "-e", "const z=require('zlib');process.stdout.write(z.brotliDecompressSync(require('fs').readFileSync(0)))"] if coding == "br" else ["zstd", "-dc"]
        return subprocess.run(command, input=answer.body, capture_output=True, check=True).stdout
    return answer.body


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    from support.servers import Host

    folder = tmp_path_factory.mktemp("compression")
    host = Host(titanic_config(f"sqlite:///{folder}/t.db", "  - id: compression\n    config: { min_bytes: 100, exclude: [ /docs ] }\n"), folder).wait_ready()
    yield host
    host.stop()


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/people?limit=10", "/people?limit=1000", ONE, "/openapi.json"])
def test_it_is_the_same(people, coding, path):
    plain, coded = people.get(path), people.get(path, headers={"accept-encoding": coding})
    assert "content-encoding" not in plain.headers and coded.headers["content-encoding"] == coding
    assert decoded(coded) == plain.body and len(coded.body) < len(plain.body) and int(coded.headers["content-length"]) == len(coded.body)
    assert coded.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert coded.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize("accept, coding", [
    ("", None), ("identity", None), ("deflate", None), ("gzip", "gzip"), ("GZIP", "gzip"), ("x-gzip", "gzip"), ("gzip, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip;q=1, br;q=0.5", "gzip"), ("gzip;q=0.5, br;q=0.8, zstd;q=0.1", "br"), ("*", "zstd"),
    ("*;q=0", None), ("gzip;q=0", None), ("zstd;q=0, *", "br"), ("gzip;q=0.001", "gzip"), ("identity;q=1, gzip;q=0.5", None), ("identity;q=0.5, gzip", "gzip"), ("gzip;q=x", None), ("gzip;q=", None), (", ,gzip ;q=1.0", "gzip"), ("gzip;q=2", "gzip"), ("br;q=-1, gzip", "gzip"),
])
def test_what_the_caller_likes_best(people, accept, coding):
    with Raw(people.port) as raw:
        answer = raw.send(f"GET /people?limit=10 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accept}\r\n\r\n").answer()
    assert answer.headers.get("content-encoding") == coding and answer.headers["vary"] == "accept-encoding"
    assert len(json.loads(decoded(answer))) == 10


def test_tags_of_codings(people):
    """Another sequence of bytes has another tag; whoever has either may ask about it, and write by it."""
    plain, coded = people.get(ONE).headers["etag"], people.get(ONE, headers={"accept-encoding": "gzip"}).headers["etag"]
    assert coded == plain[:-1] + '-gzip"'
    for known in (plain, coded, f'"x", {coded}', f"W/{coded}"):
        for accept in ("gzip", "identity"):
            answer = people.get(ONE, headers={"if-none-match": known, "accept-encoding": accept})
            assert answer.status == 304 and answer.headers["etag"] == (coded if coded in known else plain) and answer.headers["vary"] == "accept-encoding" and not answer.body
    assert people.get(ONE, headers={"if-none-match": '"999-gzip"'}).status == 200
    assert people.request("PATCH", ONE, {"age": 30}, headers={"if-match": '"999-gzip"'}).status == 412
    assert people.request("PATCH", ONE, {"age": 30}, headers={"if-match": f"W/{coded}"}).status == 412, "a weak one never writes"
    changed = people.request("PATCH", ONE, {"age": 22}, headers={"if-match": coded, "accept-encoding": "zstd"})
    assert changed.status == 200 and changed.headers["etag"].endswith('-zstd"')
    assert people.get(ONE, headers={"if-none-match": coded}).status == 200, "it has changed"


def test_head_is_as_get(people):
    get, head = (people.request(method, "/people?limit=10", headers={"accept-encoding": "gzip"}) for method in ("GET", "HEAD"))
    assert not head.body and {name: value for name, value in head.headers.items() if name not in ("date", "x-request-id")} == {name: value for name, value in get.headers.items() if name not in ("date", "x-request-id")}


def test_what_stays_as_it_is(people, hosts):
    ask = lambda path, **more: people.get(path, headers={"accept-encoding": "gzip", **more})
    assert "content-encoding" not in ask("/docs").headers, "excluded"
    assert "content-encoding" not in ask("/health/live").headers, "small"
    problem = ask("/people?nothing=1")
    assert problem.status == 400 and problem.headers["content-encoding"] == "gzip" and json.loads(decoded(problem))["status"] == 400
    secret = hosts(contract_config("page", "noisy", extra="  - id: compression\n    config: { min_bytes: 1 }\n"))
    large = secret.get("/noisy/large", headers={"accept-encoding": "gzip"})
    assert large.status == 200 and ("content-encoding" in large.headers) == large.headers.get("content-type", "").startswith("text/")


def test_with_a_cache(hosts, tmp_path):
    """What is kept is kept once, as it is; each caller gets it as they like it."""
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", "  - id: cache\n    config: { routes: [ { route: '/people*' } ] }\n  - id: compression\n    config: { min_bytes: 100 }\n")).wait_ready()
    for coding in ("gzip", "br", "zstd", "identity", "gzip"):
        answer = host.get("/people?limit=50", headers={"accept-encoding": coding})
        assert len(json.loads(decoded(answer))) == 50
    assert "hit" in answer.headers["cache-status"] and answer.headers["content-encoding"] == "gzip"
    again = host.get("/people?limit=50", headers={"accept-encoding": "gzip", "if-none-match": answer.headers["etag"]})
    assert again.status == 304 and again.headers["etag"] == answer.headers["etag"]


def test_many_at_once(people):
    """Large ones are coded on the executor, small ones at once; nobody gets another's."""
    wrong = []

    def reader(seed):
        for i in range(20 if PRESET == "release" else 5):
            size, coding = ((seed * 7 + i * 13) % 881) + 10, ("gzip", "br", "zstd", "identity")[(seed + i) % 4]
            answer = people.get(f"/people?limit={size}", headers={"accept-encoding": coding})
            if answer.headers.get("content-encoding", "identity") != coding or ((coding in ("gzip", "identity") or i % 5 == 0) and len(json.loads(decoded(answer))) != size):
                wrong.append((size, coding))

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
