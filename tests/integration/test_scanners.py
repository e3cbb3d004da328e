"""Real scanners over every parameter: sqlmap and wapiti find nothing here, and sqlmap finds what is there to be found."""

import json
import sqlite3
import subprocess
import threading
import urllib.parse

import pytest

from conftest import titanic_config
from support.http import http_server
from support.servers import PRESET
from test_people import BRAUND

pytestmark = pytest.mark.skipif(PRESET != "release", reason="what is sent is the same whatever the build")
ONE = f"/people/{BRAUND['uuid']}"
PERSON = {**{key: value for key, value in BRAUND.items() if key != "uuid"}, "ticket": "A/5 21171", "cabin": "C85", "embarked": "S"}


def sqlmap(tmp_path, url, *options, dbms="PostgreSQL"):
    """The parameters it calls injectable."""
    run = subprocess.run(["sqlmap", "-u", url, "--batch", "--flush-session", "--level", "2", "--risk", "2", "--threads", "4", "--technique", "BEUS", "--dbms", dbms, "--disable-coloring", "--output-dir", str(tmp_path / "sqlmap"), *options],
                         capture_output=True, text=True, timeout=300)
    assert "testing" in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]
    found = [line for line in run.stdout.splitlines() if line.startswith("Parameter: ")]
    assert found or "all tested parameters do not appear to be injectable" in run.stdout, run.stdout[-2000:]
    return found


@pytest.fixture(params=["PostgreSQL", "SQLite"])
def target(request, hosts, tmp_path):
    url = request.getfixturevalue("postgres").create(f"sqlmap{abs(hash(tmp_path)) % 10**8}") if request.param == "PostgreSQL" else f"sqlite:///{tmp_path}/t.db"
    extra = "  - id: auth\n" if request.param == "SQLite" else ""
    return hosts(titanic_config(url, extra)).wait_ready(), request.param


@pytest.mark.parametrize("query", [
    "name=Braund&age=22&limit=5&offset=0&order=age.asc&survived=true", "sex=male&passengerClass=3&fare=7.25&siblingsOrSpousesAboard=1&parentsOrChildrenAboard=0&order=name.desc.nullslast",
])
def test_sqlmap_on_the_query(target, tmp_path, query):
    host, dbms = target
    assert sqlmap(tmp_path, f"{host.url}/people?{query}", dbms=dbms) == []
    assert len(host.get("/people?limit=1000").json) == 891, "and all are there"


def test_sqlmap_on_paths_cursors_and_headers(target, tmp_path):
    host, dbms = target
    assert sqlmap(tmp_path, f"{host.url}{ONE}*", dbms=dbms) == []
    link = host.get("/people?limit=5").headers["link"]
    cursor = link.split("cursor=")[1].split(">")[0].split("&")[0]
    assert sqlmap(tmp_path, f"{host.url}/people?limit=5&cursor={cursor}", "-p", "cursor", dbms=dbms) == []
    headers = "If-None-Match: \"999*\"\nAccept: application/json*\nX-Request-ID: abc*"
    assert sqlmap(tmp_path, host.url + ONE, "--headers", headers, dbms=dbms) == []


def test_sqlmap_on_bodies(target, tmp_path):
    host, dbms = target
    json_type = ("--headers", "Content-Type: application/json")
    assert sqlmap(tmp_path, host.url + "/people", "--method", "POST", "--data", json.dumps(PERSON), *json_type, dbms=dbms) == []
    assert sqlmap(tmp_path, host.url + ONE, "--method", "PATCH", "--data", json.dumps({"name": "Braund", "age": 22, "cabin": "C85"}), *json_type, dbms=dbms) == []
    if dbms == "SQLite":
        assert sqlmap(tmp_path, host.url + "/auth/keys", "--method", "POST", "--data", json.dumps({"name": "n", "scopes": ["people:read"], "expiresIn": "1d"}), *json_type, dbms=dbms) == []


def test_sqlmap_finds_what_is_there(tmp_path):
    """The same options against a server that pastes its parameter into the text."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("create table people (name text, age integer)")
    database.executemany("insert into people values (?, ?)", [("Braund", 22), ("Cumings", 38)])
    lock = threading.Lock()

    def naive(path, _):
        age = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query).get("age", [""])[0]
        try:
            with lock:
                return 200, json.dumps(database.execute(f"select name from people where age = {age}").fetchall()).encode(), {}
        except (sqlite3.Error, sqlite3.Warning) as error:
            return 500, str(error).encode(), {}

    with http_server(naive) as url:
        assert sqlmap(tmp_path, f"{url}/?age=22", dbms="SQLite")


def test_wapiti(hosts, tmp_path):
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db", "  - id: auth\n  - id: security-headers\n  - id: metrics\n")).wait_ready()
    starts = [f"{host.url}{path}" for path in ("/people?name=Braund&age=22&limit=5&order=age.asc", ONE, "/docs", "/openapi.json", "/health/ready", "/metrics", "/auth/keys")]
    report = tmp_path / "wapiti.json"
    command = ["wapiti", "-u", f"{host.url}/", "--scope", "domain", "-m", "sql,timesql,blindsql,xss,exec,file,crlf,backup,htaccess,csp,redirect,methods", "--flush-session", "-f", "json", "-o", str(report), "--max-scan-time", "120", "-v", "0"]
    for start in starts:
        command += ["-s", start]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and report.exists(), run.stdout[-2000:] + run.stderr[-2000:]
    found = {kind: items for kind, items in json.loads(report.read_text())["vulnerabilities"].items() if items}
    assert found == {}, json.dumps(found, indent=1)[:4000]
