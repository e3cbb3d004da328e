"""The OWASP API Security Top 10 (2023), one section each, on the production configuration with two identities.

Addresses, the database and the files of secrets are this test's; everything else is configs/production.yaml as it ships.
"""

import json
import re
import subprocess
import threading
import time
import uuid

import pytest

from support.http import check, http_server
from support.servers import BULKHEAD, Host, OpenIdProvider, PRESET, ROOT, Raw, wait_until
from test_auth import bearer, make_key
from test_people import BRAUND

ONE = f"/people/{BRAUND['uuid']}"


def production(folder, url, issuer, **environment):
    """A host as it ships, on ports of its own."""
    for name, content in (("database", "unused"), ("pepper", "a pepper of this test")):
        (folder / name).write_text(content)
    text = (ROOT / "configs/production.yaml").read_text().replace("/run/secrets/", f"{folder}/")
    text = re.sub(r"\$\{LISTEN:-[^}]*\}", "127.0.0.1:{port}", text)
    text = re.sub(r"\$\{ADMIN_LISTEN:-[^}]*\}", "127.0.0.1:{admin}", text)
    text = text.replace("  - id: people\n", f"  - id: people\n    config: {{ seed: {ROOT}/plugins/people/data/titanic891.csv }}\n")
    return Host(text, folder, {"DATABASE_URL": url, "OIDC_ISSUER": issuer, "TRUSTED_PROXIES": "127.0.0.1", **environment})


@pytest.fixture(scope="module")
def provider():
    server = OpenIdProvider("ES256")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def host(postgres, provider, tmp_path_factory):
    server = production(tmp_path_factory.mktemp("production"), postgres.create(f"p{uuid.uuid4().hex[:12]}"), provider.url).wait_ready()
    yield server
    server.stop()


def from_(address, credential=None, **headers):
    return {"x-forwarded-for": address, **(bearer(credential) if credential else {}), **headers}


@pytest.fixture(scope="module")
def reader(host):
    return make_key(host, "people:read", "--expires", "30d", "--tenant", "cunard", name="reader")


@pytest.fixture(scope="module")
def writer(host):
    return make_key(host, "people:read,people:write,keys:admin", "--expires", "30d", "--tenant", "white-star", name="writer")


def test_production_checks_without_a_warning(host):
    run = subprocess.run([str(BULKHEAD), "check", "--json", str(host.config)], cwd=ROOT, env=host.environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout)
    assert found["warnings"] == [] and found["scopes"] == "enforce" and "pepper is empty" not in run.stderr
    shipped = (ROOT / "configs/production.yaml").read_text()
    assert set(re.findall(r"^  - id: (.*)$", shipped, re.M)) == {path.parent.name for path in (ROOT / "plugins").glob("*/schema.json")}, "every plugin is on"
    assert "enabled: false" not in shipped


def test_api1_objects_of_others(host, reader, writer):
    """Broken object level authorization: whose key it is decides, not what id is asked for."""
    theirs = writer.split("_")[1]
    admin = make_key(host, "people:read,keys:admin", "--expires", "1d", "--tenant", "cunard", name="their admin")
    for method, path in (("GET", f"/auth/keys/{theirs}"), ("DELETE", f"/auth/keys/{theirs}"), ("POST", f"/auth/keys/{theirs}/rotate")):
        assert host.request(method, path, headers=from_("192.0.2.1", admin)).status == 404
    assert theirs not in host.get("/auth/keys", headers=from_("192.0.2.1", admin)).body.decode()
    assert host.get(ONE, headers=from_("192.0.2.1", writer)).status == 200


def test_api2_authentication(host, provider, reader):
    for wrong in (reader[:-1] + ("A" if reader[-1] != "A" else "E"), "bhk_" + "0" * 16 + "_" + "A" * 43, provider.token()[:-4] + "AAAA", "x.y.z", ""):
        assert host.get(ONE, headers={**from_(f"198.51.100.{len(wrong)}"), "authorization": f"Bearer {wrong}"}).status == 401
    for query in (f"?api_key={reader}", f"?access_token={reader}", f"?token={reader}"):
        assert host.get(ONE + query, headers=from_("192.0.2.2")).status == 401, "never from a URL"
    assert host.get(ONE, headers={**from_("192.0.2.2"), "cookie": f"key={reader}"}).status == 401
    assert host.get(ONE, headers=from_("192.0.2.2", provider.token("people:read"))).status == 200


def test_api3_properties(host, reader, writer):
    """Mass assignment: what a caller may not set is refused, and nothing of it is written."""
    before = host.get(ONE, headers=from_("192.0.2.3", writer)).json
    for extra in ({"version": 99}, {"deleted_at": "2020-01-01"}, {"id": 1}, {"tenant": "x"}, {"__proto__": {}}, {"uuid": str(uuid.uuid4())}):
        answer = host.request("PATCH", ONE, {"age": 99, **extra}, headers=from_("192.0.2.3", writer))
        assert answer.status == 422, (extra, answer.body)
    assert host.get(ONE, headers=from_("192.0.2.3", writer)).json == before
    made = host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"], "expiresIn": "1d", "revokedAt": None}, headers=from_("192.0.2.3", writer))
    assert made.status == 422
    shown = host.get("/auth/keys", headers=from_("192.0.2.3", writer)).body.decode()
    assert "hash" not in shown and "pepper" not in shown


def test_api4_consumption(host, reader):
    statuses = [host.get("/health/live", headers=from_("203.0.113.4")).status for _ in range(30)]
    assert statuses == [200] * 30
    with Raw(host.port) as raw:
        answers = []
        for _ in range(12):
            raw.send("GET /health/live HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n" * 60)
            answers += [raw.answer() for _ in range(60)]
    refused = [answer for answer in answers if answer.status == 429]
    assert (refused or PRESET != "release") and all(int(answer.headers["retry-after"]) >= 1 and "ratelimit" in answer.headers for answer in refused)
    assert host.get("/health/live", headers=from_("203.0.113.6")).status == 200, "others are served"
    for size in (2 * 1024 * 1024,):
        with Raw(host.port) as raw:
            answer = raw.send(f"POST /people HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\nContent-Length: {size}\r\n\r\n").answer()
        assert answer.status in (403, 413), "refused before a byte of it is read"


def test_api5_functions(host, reader, writer, provider):
    """Every operation with a scope refuses who has none and who has another one; the description says which."""
    description = host.get("/openapi.json", headers=from_("192.0.2.5")).json
    checked = 0
    for path, operations in description["paths"].items():
        target = path.replace("{uuid}", BRAUND["uuid"]).replace("{id}", "0" * 16)
        for method, operation in operations.items():
            scope = operation.get("x-scope")
            if scope is None:
                continue
            checked += 1
            address = f"192.0.3.{checked}"
            assert host.request(method.upper(), target, headers=from_(address)).status == 401, (method, path)
            poor = reader if scope != "people:read" else provider.token("host:admin")
            answer = host.request(method.upper(), target, headers=from_(address, poor))
            assert answer.status == 403 and f'scope="{scope}"' in answer.headers["www-authenticate"], (method, path, answer.status)
            assert operation["security"], "and says so"
    assert checked >= 12
    for verb in ("TRACE", "CONNECT", "PROPFIND", "DEBUG"):
        with Raw(host.port) as raw:
            assert raw.send(f"{verb} {ONE if verb != 'CONNECT' else 'x:1'} HTTP/1.1\r\nHost: x\r\n\r\n").answer().status in (400, 401, 405, 501), verb
    for override in ("x-http-method-override", "x-method-override", "x-http-method"):
        assert host.get(ONE, headers=from_("192.0.2.5", reader, **{override: "DELETE"})).status == 200 and host.get(ONE, headers=from_("192.0.2.5", reader)).status == 200


def test_api6_business_flows(host, writer):
    """Writes have a limit of their own, whatever address they come from."""
    statuses = []

    def write(thread):
        for i in range(400):
            if 429 in statuses:
                return
            statuses.append(host.request("PATCH", ONE, {"age": 22}, headers=from_(f"192.0.{thread}.{i % 250}", writer)).status)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(10, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if PRESET == "release":  # a sanitized build may not come to 20 writes a second
        assert 429 in statuses
    assert 200 in statuses and set(statuses) <= {200, 429}
    wait_until(lambda: host.get(ONE, headers=from_("192.0.4.1", writer)).status == 200, what="a read: they have another limit")


def test_api7_server_side_request_forgery(host, provider, reader):
    """Nothing a caller sends is called: neither a key's address in a token, nor a URL in a header. Discovery: test_auth.py."""
    from test_auth import decode, encode

    asked = []

    def inside(path, _):
        asked.append(path)
        return 200, b"", {}

    with http_server(inside) as me:
        head, claims, signature = provider.token().split(".")
        for more in ({"jku": f"{me}/jku"}, {"x5u": f"{me}/x5u"}, {"kid": f"{me}/kid"}):
            host.get(ONE, headers=from_("198.51.100.70", f"{encode({**decode(head), **more})}.{claims}.{signature}"))
        host.get(ONE, headers=from_("198.51.100.71", f"{head}.{encode({**decode(claims), 'iss': me})}.{signature}"))
        host.get(ONE, headers=from_("192.0.2.7", reader, host=me.removeprefix("http://"), referer=f"{me}/r", origin=me, **{"x-forwarded-host": me, "x-original-url": f"{me}/x"}))
        with Raw(host.port) as raw:
            assert raw.send(f"GET {me}/proxy HTTP/1.1\r\nHost: {me.removeprefix('http://')}\r\n\r\n").answer().status == 404, "no proxy"
        time.sleep(0.5)
    assert asked == []


def test_api8_misconfiguration(host, reader):
    for path in (ONE, "/nothing", "/people?age=x", "/health/live", "/docs"):
        answer = host.get(path, headers=from_("192.0.2.8", reader))
        assert {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}.items() <= answer.headers.items(), path
        assert "server" not in answer.headers and "x-powered-by" not in answer.headers
        for word in ("SELECT", "select ", "postgres", str(ROOT), "/tmp", ".cpp", "libpq", "terminate"):
            assert word not in answer.body.decode() or path == "/docs", (path, word)
    evil = host.get(ONE, headers=from_("192.0.2.8", reader, origin="https://evil.example"))
    assert "access-control-allow-origin" not in evil.headers
    for path in ("/.env", "/.git/config", "/configs/production.yaml", "/people/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/_host/plugins", "/debug", "/admin", "/swagger.json", "//etc/passwd"):
        assert host.get(path, headers=from_("192.0.2.8", reader)).status in (400, 404), path


def test_api9_inventory(host, reader):
    """Nothing answers that is not described: the description and the routes are the same."""
    described = {(method.upper(), path) for path, operations in host.get("/openapi.json", headers=from_("192.0.2.9")).json["paths"].items() for method in operations}
    served = {(route["method"], route["path"]) for route in host.get("/_host/routes", admin=True).json}
    assert described == served
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
    mine = [line.split()[3] for line in listening.splitlines() if f"pid={host.process.pid}," in line]
    assert sorted(mine) == sorted([f"127.0.0.1:{host.port}", f"127.0.0.1:{host.admin}"]), "where it was told to, and nowhere else"


def test_api10_what_others_send(postgres, tmp_path):
    """Unsafe consumption: an issuer that sends rubbish is an issuer without keys, and nothing else."""
    def rubbish(path, fields):
        me = "http://" + fields["host"]
        return 200, b"[" * 200_000 if "keys" in path else json.dumps({"issuer": me, "jwks_uri": f"{me}/keys"}).encode(), {}

    with http_server(rubbish) as issuer:
        host = production(tmp_path, postgres.create(f"p{uuid.uuid4().hex[:12]}"), issuer)
        try:
            wait_until(lambda: "none is known yet" in host.log(), what="the refusal")
            wait_until(lambda: host.get("/health/ready").json["plugins"]["auth"]["state"] == "degraded", what="word of it")
            key = make_key(host, "people:read", "--expires", "1d")
            wait_until(lambda: host.get(ONE, headers=from_("192.0.2.10", key)).status == 200, what="keys are good all the same")
        finally:
            host.stop()


@pytest.mark.parametrize("server, warned", [
    ("listen: 0.0.0.0:5000, scopes: ignore, trusted_proxies: [ 10.0.0.0/8 ]", ["every caller may read and write"]),
    ("listen: 0.0.0.0:5000", ["speaks plain HTTP and no proxy is trusted"]),
    ("listen: '[::]:5000', scopes: ignore", ["every caller may read and write", "speaks plain HTTP"]),
    ("listen: [ 127.0.0.1:5000, 192.0.2.1:80 ], admin: 0.0.0.0:5001", ["/server/listen/1: 192.0.2.1:80 speaks plain HTTP", "/server/admin: 0.0.0.0:5001 takes credentials over plain HTTP"]),
    ("listen: 127.0.0.1:5000, scopes: ignore", []), ("listen: 'localhost:5000', admin: '127.0.0.1:5001'", []),
])
def test_check_warns_of_what_is_rarely_meant(tmp_path, server, warned):
    run = check(tmp_path, f"server: {{ {server} }}\nplugins:\n  - id: database\n    config: {{ url: 'sqlite:///{tmp_path}/t.db' }}\n  - id: auth\n")
    assert run.returncode == 0 and run.stdout.count("warning: ") == len(warned) and all(word in run.stdout for word in warned), run.stdout
    assert "keys.pepper is empty" in run.stderr, "plugins warn in the log"
    found = subprocess.run([str(BULKHEAD), "check", "--json", str(tmp_path / "checked.yaml")], capture_output=True, text=True)
    assert len(json.loads(found.stdout)["warnings"]) == len(warned)
