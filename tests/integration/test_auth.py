"""Who calls: API keys over both databases and over two hosts, access tokens of a real OpenID provider, client certificates."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import threading
import time
import uuid

import pytest

from conftest import titanic_config
from support.certificates import Authority
from support.http import contract_config, http_server, refused
from support.servers import BULKHEAD, OpenIdProvider, ROOT, Raw, free_port, wait_until
from test_people import BRAUND

ONE = f"/people/{BRAUND['uuid']}"
ALL_SCOPES = "people:read,people:write,people:erase,keys:admin,host:admin,audit:read"


def secured(url, auth="", server="", extra="", scopes="enforce"):
    config = titanic_config(url).replace("scopes: ignore", f"scopes: {scopes}\n{server}")
    return config + f"  - id: auth\n    config: {{ {auth} }}\n" + extra


def make_key(host, scopes=ALL_SCOPES, *more, name="boss"):
    """By the command, as the first key of a new installation is."""
    run = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "auth", "keys", "create", "--name", name, "--scopes", scopes, *more], cwd=ROOT, env=host.environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[0]


def bearer(credential):
    return {"authorization": f"Bearer {credential}"}


def id_of(key):
    return key.split("_")[1]


# ------------------------------------------------------------------------ keys

def test_a_key_opens_what_its_scopes_say(hosts, database):
    host = hosts(secured(database)).wait_ready()
    key = make_key(host, "people:read")
    assert re.fullmatch(r"bhk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", key)
    nobody = host.get(ONE)
    assert nobody.status == 401 and nobody.headers["www-authenticate"] == 'Bearer scope="people:read"'
    for headers in (bearer(key), {"authorization": f"bearer  {key}"}, {"x-api-key": key}):
        assert host.get(ONE, headers=headers).status == 200, headers
    denied = host.request("DELETE", ONE, headers=bearer(key))
    assert denied.status == 403 and denied.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="people:write"'
    assert "people:write" in denied.json["detail"]
    assert host.get("/health/live").status == 200, "no scope, no question"
    assert host.get(ONE, headers=bearer(key)).status == 200, "and it is still there"


@pytest.mark.parametrize("headers", [
    "authorization: Bearer bhk_0000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "authorization: Bearer bhk_short", "authorization: Basic YTpi", "authorization: Bearer", "authorization: Bearer x",
    "authorization: Bearer a.b.c.d", "authorization:", "x-api-key: x", "x-api-key:", "authorization: Bearer {key}\r\nx-api-key: {key}", "authorization: Bearer {key}x",
    "authorization: Bearer {other}", "authorization: Bearer {key} {key}", "authorization: Bearer {upper}",
])
def test_what_opens_nothing(hosts, tmp_path, headers):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", "failures_per_minute: 0")).wait_ready()
    key = make_key(host)
    other = key[:-1] + ("A" if key[-1] != "A" else "Q")
    with Raw(host.port) as raw:
        for path in (ONE, "/health/live"):
            answer = raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers.format(key=key, other=other, upper=key.upper())}\r\n\r\n").answer()
            several = headers.count("{key}\r\n")
            assert answer.status == (400 if several else 401) and answer.headers["content-type"] == "application/problem+json", (path, answer.body)
            challenge = answer.headers["www-authenticate"]
            assert challenge == 'Bearer error="invalid_request"' if several else re.fullmatch(r'Bearer( error="invalid_token", error_description="[^"]+")?', challenge), challenge
    if not several:
        wait_until(lambda: "authentication failed" in host.log(), what="a line in the log")
    assert key.split("_", 2)[2] not in host.log()


def test_keys_are_made_listed_rotated_and_revoked_over_http(hosts, database):
    host = hosts(secured(database)).wait_ready()
    boss = bearer(make_key(host))
    made = host.request("POST", "/auth/keys", {"name": "importer ⚓", "scopes": ["people:write", "people:read", "people:read"], "expiresIn": "2h"}, headers=boss)
    assert made.status == 201 and made.headers["cache-control"] == "no-store", made.body
    key, id_ = made.json["key"], made.json["id"]
    assert made.headers["location"] == f"/auth/keys/{id_}" and made.json["scopes"] == ["people:read", "people:write"] and made.json["name"] == "importer ⚓"
    assert made.json["createdBy"].startswith("key:") and made.json["expiresAt"] > made.json["createdAt"] and made.json["lastUsedAt"] is None
    assert host.get(ONE, headers=bearer(key)).status == 200
    listed = host.get("/auth/keys", headers=boss)
    assert [entry["id"] for entry in listed.json][-1] == id_ and key.split("_", 2)[2] not in listed.body.decode()
    assert host.get(f"/auth/keys/{id_}", headers=boss).json["name"] == "importer ⚓"

    turned = host.request("POST", f"/auth/keys/{id_}/rotate", {"grace": "1h"}, headers=boss)
    assert turned.status == 201 and turned.json["scopes"] == made.json["scopes"] and turned.json["name"] == made.json["name"]
    new = turned.json["key"]
    assert new != key and host.get(ONE, headers=bearer(new)).status == 200 and host.get(ONE, headers=bearer(key)).status == 200, "both, for an hour"
    at_once = host.request("POST", f"/auth/keys/{turned.json['id']}/rotate", {"grace": "1s"}, headers=boss).json
    wait_until(lambda: host.get(ONE, headers=bearer(new)).status == 401, what="the end of the grace")
    assert "expired" in host.get(ONE, headers=bearer(new)).json["detail"] and host.get(ONE, headers=bearer(at_once["key"])).status == 200
    # The host knows the database's clock but for half a round trip, which a busy machine makes long.
    wait_until(lambda: host.request("POST", f"/auth/keys/{turned.json['id']}/rotate", headers=boss).status == 409, what="the database's refusal")

    assert host.request("DELETE", f"/auth/keys/{id_}", headers=boss).status == 204
    refused = host.get(ONE, headers=bearer(key))
    assert refused.status == 401 and "revoked" in refused.json["detail"], "at once on the host that was told"
    assert host.request("DELETE", f"/auth/keys/{id_}", headers=boss).status == 204, "once more changes nothing"
    assert host.get(f"/auth/keys/{id_}", headers=boss).json["revokedAt"] is not None


def test_a_wish_that_makes_no_key(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", "keys: { max_lifetime_days: 90 }")).wait_ready()
    boss = bearer(make_key(host, ALL_SCOPES, "--expires", "1d"))
    good = {"name": "n", "scopes": ["people:read"], "expiresIn": "1d"}
    for change, pointer in (({"name": ""}, "/name"), ({"name": 7}, "/name"), ({"name": "x" * 101}, "/name"), ({"scopes": []}, "/scopes"), ({"scopes": ["a b"]}, "/scopes"), ({"scopes": "people:read"}, "/scopes"), ({"scopes": [1]}, "/scopes"),
                            ({"expiresIn": "soon"}, "/expiresIn"), ({"expiresIn": "91d"}, "/expiresIn"), ({"expiresIn": "never"}, "/expiresIn"), ({"expiresIn": "-1d"}, "/expiresIn"), ({"nam": "x"}, "/nam"), ({"id": "0" * 16}, "/id"), ({"tenant": 1}, "/tenant")):
        answer = host.request("POST", "/auth/keys", {**good, **change}, headers=boss)
        assert answer.status == 422 and pointer in [error["pointer"] for error in answer.json["errors"]], (change, answer.body)
    for body in ("[]", "{", '"x"'):
        with Raw(host.port) as raw:
            assert raw.send(f"POST /auth/keys HTTP/1.1\r\nHost: x\r\nAuthorization: {boss['authorization']}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").answer().status == 400
    assert len(host.get("/auth/keys", headers=boss).json) == 1
    assert host.get("/auth/keys/nothing", headers=boss).status == 400 and host.get("/auth/keys/" + "0" * 16, headers=boss).status == 404


def test_nobody_gives_what_they_do_not_have(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db")).wait_ready()
    boss, small = bearer(make_key(host)), bearer(make_key(host, "keys:admin,people:read", name="small"))
    answer = host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read", "people:erase"]}, headers=small)
    assert answer.status == 403 and "people:erase" in answer.json["detail"]
    assert host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"]}, headers=small).status == 201
    strong = id_of(boss["authorization"])
    assert host.request("POST", f"/auth/keys/{strong}/rotate", headers=small).status == 403, "a new key would have its scopes"
    ours = bearer(make_key(host, "keys:admin,people:read", "--tenant", "cunard", name="ours"))
    mine = host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"]}, headers=ours).json
    assert mine["tenant"] == "cunard"
    assert host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"], "tenant": "white-star"}, headers=ours).status == 403
    assert {entry["tenant"] for entry in host.get("/auth/keys", headers=ours).json} == {"cunard"}
    for method, path in (("GET", f"/auth/keys/{strong}"), ("DELETE", f"/auth/keys/{strong}"), ("POST", f"/auth/keys/{strong}/rotate")):
        assert host.request(method, path, headers=ours).status == 404, "another tenant's is not there"
    assert host.get(ONE, headers=boss).status == 200


def test_the_command(hosts, database):
    host = hosts(secured(database)).wait_ready()
    run = lambda *words: subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "auth", "keys", *words], cwd=ROOT, env=host.environment, capture_output=True, text=True)
    key = make_key(host, "people:read", "--expires", "90d", "--tenant", "cunard")
    assert host.get(ONE, headers=bearer(key)).status == 200
    listed = run("list")
    assert listed.returncode == 0 and id_of(key) in listed.stdout and "tenant cunard" in listed.stdout and key not in listed.stdout
    turned = run("rotate", id_of(key), "--grace", "1s")
    assert turned.returncode == 0 and host.get(ONE, headers=bearer(turned.stdout.splitlines()[0])).status == 200
    gone = run("revoke", turned.stdout.splitlines()[0])  # a whole key is taken too
    assert gone.returncode == 0, gone.stderr
    for words, said in ((("creat",), "create"), ((), "keys takes"), (("create", "--name", "x"), "--scopes"), (("create", "--nam", "x"), "--name"), (("create", "--name", "x", "--scopes", "people read,;"), "not a scope"),
                        (("create", "--name", "x", "--scopes", "people:read", "--expires", "1"), "90d"), (("revoke",), "the id is missing"), (("revoke", "0" * 16), "there is no key"), (("rotate", "0" * 16), "there is no key"), (("create", "--name"), "needs a value")):
        wrong = run(*words)
        assert wrong.returncode == 2 and said in wrong.stderr, (words, wrong.stderr)


@pytest.mark.parametrize("kind", ["postgresql", "pgbouncer", "sqlite"])
def test_a_revoked_key_is_refused_everywhere_within_a_second(hosts, postgres, pgbouncer, tmp_path, kind):
    from conftest import PooledUrl

    name = f"t{uuid.uuid4().hex[:12]}"
    url = f"sqlite:///{tmp_path}/t.db" if kind == "sqlite" else postgres.create(name)
    if kind == "pgbouncer":
        direct, url = url, PooledUrl(pgbouncer.url(name))
        url.direct = direct
    first, second = hosts(secured(url)).wait_ready(), hosts(secured(url)).wait_ready()
    boss = bearer(make_key(first))
    longest = 0
    for _ in range(5):
        made = first.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"]}, headers=boss).json
        for _ in range(3):
            assert second.get(ONE, headers=bearer(made["key"])).status == 200, "made there, good here"
        begin = time.monotonic()
        assert first.request("DELETE", f"/auth/keys/{made['id']}", headers=boss).status == 204
        assert first.get(ONE, headers=bearer(made["key"])).status == 401
        wait_until(lambda: second.get(ONE, headers=bearer(made["key"])).status == 401, what="the other host")
        longest = max(longest, time.monotonic() - begin)
    print(f"{kind}: a revoked key was refused by the other host after at most {longest:.2f} s")
    assert longest < 10, "within a second, of which a slow machine may make more"


def test_the_database_goes_and_comes_back(hosts, postgres):
    """What is remembered stays good for a while; a key that is not is answered 503, and nothing is let in unseen."""
    from support.servers import Postgres

    server = Postgres()
    try:
        host = hosts(secured(server.create("auth"), "keys: { stale_s: 2 }")).wait_ready()
        known, unknown = make_key(host, "people:read"), make_key(host, "people:read", name="unused")
        assert host.get(ONE, headers=bearer(known)).status == 200
        server.kill()
        assert host.get("/auth/keys", headers=bearer(known)).status in (403, 503), "the key is remembered"
        wait_until(lambda: host.get("/auth/keys", headers=bearer(known)).status == 503, what="the end of trust")
        answer = host.get("/auth/keys", headers=bearer(unknown))
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        server.start()
        wait_until(lambda: host.get(ONE, headers=bearer(known)).status == 200 and host.get(ONE, headers=bearer(unknown)).status == 200, what="recovery")
        wait_until(lambda: "polling for changes of API keys works again" in host.log(), what="a word of it")
    finally:
        server.close()


def test_when_a_key_was_used_is_noted(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db")).wait_ready()
    key = make_key(host, "people:read,keys:admin")
    assert host.get(ONE, headers=bearer(key)).status == 200
    wait_until(lambda: host.get(f"/auth/keys/{id_of(key)}", headers=bearer(key)).json["lastUsedAt"] is not None, what="the note")


def test_peppers(hosts, tmp_path):
    """Another pepper: keys of the one before stay good where it is named, and are kept under the new one when they are used."""
    url = f"sqlite:///{tmp_path}/t.db"
    with_peppers = lambda now, before="", after=0: secured(url, f"keys: {{ pepper: '{now}', previous_peppers: [ {before} ], new_pepper_after_s: {after} }}")
    first = hosts(with_peppers("one")).wait_ready()
    key = make_key(first, "people:read")
    stored = lambda: subprocess.run(["/usr/bin/python3", "-c", f"import sqlite3; print(sqlite3.connect('{tmp_path}/t.db').execute('select hash from auth_keys').fetchone()[0])"], capture_output=True, text=True).stdout.strip()
    assert stored() == hashlib.sha256(b"one\0" + key.encode()).hexdigest(), "the key itself is nowhere"
    assert hosts(with_peppers("two")).wait_ready().get(ONE, headers=bearer(key)).status == 401
    patient = hosts(with_peppers("two", "one", 600)).wait_ready()
    assert patient.get(ONE, headers=bearer(key)).status == 200 and patient.get(ONE, headers=bearer(make_key(patient, "people:read"))).status == 200
    assert stored() == hashlib.sha256(b"one\0" + key.encode()).hexdigest(), "other hosts may not have the new one yet"
    assert hosts(with_peppers("two", "one")).wait_ready().get(ONE, headers=bearer(key)).status == 200
    wait_until(lambda: stored() == hashlib.sha256(b"two\0" + key.encode()).hexdigest(), what="the new hash")
    assert hosts(with_peppers("two")).wait_ready().get(ONE, headers=bearer(key)).status == 200


def test_who_guesses_is_turned_away(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", "failures_per_minute: 5", server="  trusted_proxies: [ 127.0.0.1 ]")).wait_ready()
    key = make_key(host, "people:read")
    guess = lambda address: host.get(ONE, headers={"x-forwarded-for": address, "x-api-key": "bhk_0000000000000000_" + "A" * 43})
    assert [guess("192.0.2.1").status for _ in range(8)] == [401] * 5 + [429] * 3
    blocked = host.get(ONE, headers={"x-forwarded-for": "192.0.2.1", "x-api-key": key})
    assert blocked.status == 429 and 1 <= int(blocked.headers["retry-after"]) <= 60, "a good key too: a guess that hits must not be told from one that does not"
    assert host.get("/health/live", headers={"x-forwarded-for": "192.0.2.1"}).status == 200, "without credentials there is nothing to guess"
    assert host.get(ONE, headers={"x-forwarded-for": "192.0.2.2", "x-api-key": key}).status == 200
    assert [guess(f"2001:db8:1:2::{i}").status for i in range(1, 8)] == [401] * 5 + [429] * 2, "a /64 is one caller"
    assert guess("2001:db8:1:3::1").status == 401
    assert [guess(spelling).status for spelling in ("::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::7")] == [429] * 3, "an IPv4 address in IPv6 is the same caller"
    wait_until(lambda: host.log().count("turned away for a while") == 2, what="both in the log")
    assert guess("192.0.2.1, 192.0.2.9").status == 401, "what stands before the proxy's word is the caller's own"


def test_a_failed_attempt_tells_no_secret(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", "keys: { pepper: MARKER-pepper }") + "  - id: accesslog\n    config: { file: '" + str(tmp_path) + "/access.log' }\n").wait_ready()
    guess = "bhk_0123456789abcdef_" + "MARKER-secret".ljust(43, "x")
    token = "e30.e30.MARKERtoken"
    bodies = [host.get("/people?limit=1", headers=headers).body.decode() for headers in ({"x-api-key": guess}, bearer(guess), bearer(token), {"authorization": "Basic MARKER"})]
    bodies += [host.get(f"/_host/{page}", admin=True).body.decode() for page in ("plugins", "routes", "chain", "latency", "log")]
    host.stop()
    everything = "".join(bodies) + host.log() + (tmp_path / "access.log").read_text()
    assert "MARKER" not in everything.replace("bhk_0123456789abcdef", "")


# ---------------------------------------------------------------------- tokens

@pytest.fixture(scope="module", params=["RS256", "ES256", "EdDSA"])
def provider(request):
    server = OpenIdProvider(request.param)
    yield server
    server.stop()


def issuer(provider, more=""):
    return f"keys: {{ enabled: false }}, issuers: [ {{ issuer: '{provider.url}', audiences: [ https://titanic.example ], pause_s: 1{more} }} ]"


def decode(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encode(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def test_client_credentials(hosts, provider, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", issuer(provider))).wait_ready()
    token = provider.token("people:read")
    assert decode(token.split(".")[0])["alg"] == provider.algorithm
    for _ in range(2):
        assert host.get(ONE, headers=bearer(token)).status == 200
    denied = host.request("DELETE", ONE, headers=bearer(token))
    assert denied.status == 403 and 'scope="people:write"' in denied.headers["www-authenticate"]
    assert host.request("PATCH", ONE, {"age": 23}, headers=bearer(provider.token("people:read people:write"))).status == 200
    other = host.get(ONE, headers=bearer(provider.token("people:read", "https://other.example")))
    assert other.status == 401 and "audience" in other.json["detail"]
    assert host.get("/auth/keys", headers=bearer(token)).status == 404, "keys are off"


def test_tampered_tokens(hosts, provider, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", issuer(provider) + ", failures_per_minute: 0")).wait_ready()
    token = provider.token("people:read")
    header, claims, signature = token.split(".")
    h, c = decode(header), decode(claims)
    raw = base64.urlsafe_b64decode(signature + "==")
    flipped = encode(bytes([raw[0] ^ 1]) + raw[1:])
    (key,) = [k for k in provider.keys() if k["kid"] == "first"]
    signed = lambda head, body, secret: f"{encode(head)}.{encode(body)}." + encode(hmac.new(secret, f"{encode(head)}.{encode(body)}".encode(), hashlib.sha256).digest())
    wrong = {
        "signature": f"{header}.{claims}.{flipped}",
        "claims": f"{header}.{encode({**c, 'scope': 'people:read people:write'})}.{signature}",
        "other key's": f"{encode({**h, 'kid': 'first-rsa'})}.{claims}.{signature}",
        "none": f"{encode({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.",
        "none, with a signature": f"{encode({**h, 'alg': 'none'})}.{claims}.{signature}",
        "HS256 with the public key": signed({**h, "alg": "HS256"}, c, json.dumps(key).encode()),
        "HS256 with the modulus": signed({**h, "alg": "HS256"}, c, base64.urlsafe_b64decode(key.get("n", key.get("x")) + "==")),
        "no signature": f"{header}.{claims}.",
        "two parts": f"{header}.{claims}",
        "four parts": token + ".x",
        "crit": f"{encode({**h, 'crit': ['b64'], 'b64': False})}.{claims}.{signature}",
        "an ID token": f"{encode({**h, 'typ': 'logout+jwt'})}.{claims}.{signature}",
        "a key of its own": f"{encode({**h, 'jwk': key, 'jku': 'http://127.0.0.1:1/keys', 'kid': 'mine'})}.{claims}.{signature}",
        "empty": f"{encode({})}.{encode({})}.{encode(b'x')}",
        "not JSON": f"{encode(b'x')}.{encode(b'y')}.{encode(b'z')}",
        "padded": f"{header}.{claims}.{signature}==",
        "another issuer": f"{header}.{encode({**c, 'iss': 'https://evil.example'})}.{signature}",
        "too long": f"{header}.{encode({**c, 'x': 'y' * 20000})}.{signature}",
        "deep": f"{header}.{encode(b'[' * 5000)}.{signature}",
    }
    if provider.algorithm == "ES256":  # a signature in DER, and the one that verifies everything (CVE-2022-21449)
        wrong["zeros"] = f"{header}.{claims}.{encode(bytes(64))}"
        wrong["short"] = f"{header}.{claims}.{encode(raw[:-1])}"
    for what, text in wrong.items():
        answer = host.get(ONE, headers=bearer(text))
        assert answer.status in (401, 431), (what, answer.status, answer.body)
    assert host.get(ONE, headers=bearer(token)).status == 200, "and the real one is still good"


def test_keys_rotate_without_a_restart(hosts, tmp_path):
    provider = OpenIdProvider("ES256", "one")
    try:
        host = hosts(secured(f"sqlite:///{tmp_path}/t.db", issuer(provider) + ", failures_per_minute: 0")).wait_ready()
        old = provider.token()
        assert host.get(ONE, headers=bearer(old)).status == 200
        provider.rotate("two")
        new = provider.token()
        statuses = []
        threads = [threading.Thread(target=lambda: statuses.append(host.get(ONE, headers=bearer(new)).status)) for _ in range(20)]
        time.sleep(1.1)  # pause_s
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 20, "all who came meanwhile waited for one fetch"
        assert host.get(ONE, headers=bearer(old)).status == 401, "its key was taken back"
        assert host.log().count("keys of an issuer fetched") == 1, "and nothing is said of what goes well"
    finally:
        provider.stop()


def test_an_issuer_that_is_down(hosts, tmp_path):
    """Whose key is known is let in; who cannot be checked is told so at once, and nobody's request waits on its account."""
    provider = OpenIdProvider("EdDSA", "one")
    try:
        config = secured(f"sqlite:///{tmp_path}/t.db", issuer(provider, ", refresh_s: 1") + ", failures_per_minute: 0")
        host = hosts(config).wait_ready()
        known, unused = provider.token(), provider.token()
        assert host.get(ONE, headers=bearer(known)).status == 200
        provider.stop()
        wait_until(lambda: "keys of an issuer cannot be fetched; known keys stay valid" in host.log(), what="the attempt")
        assert host.get(ONE, headers=bearer(known)).status == 200 and host.get(ONE, headers=bearer(unused)).status == 200
        begin = time.monotonic()
        late = hosts(config)
        blind = late.get(ONE, headers=bearer(known))
        assert blind.status == 503 and late.get("/health/live").status == 200, "it has never had the keys"
        assert time.monotonic() - begin < 30
        provider.start("one")  # with another key under the same id
        fresh = provider.token()
        wait_until(lambda: late.get(ONE, headers=bearer(fresh)).status == 200, what="the keys")
    finally:
        provider.stop()


def test_claims_of_azure(hosts, tmp_path):
    """Roles by a mapping, the tenant, another claim for the subject; what is not in the mapping is worth nothing."""
    provider = OpenIdProvider("RS256")
    try:
        more = ", subject_claim: client_id, tenant_claim: jti, scopes: { 'people:write': [ 'people:read', 'audit:read' ] }"
        host = hosts(secured(f"sqlite:///{tmp_path}/t.db", issuer(provider, more))).wait_ready()
        assert host.get(ONE, headers=bearer(provider.token("people:read"))).status == 403
        assert host.get(ONE, headers=bearer(provider.token("people:write"))).status == 200
        assert host.request("DELETE", ONE, headers=bearer(provider.token("people:write"))).status == 403
    finally:
        provider.stop()


def test_discovery_leads_nowhere_else(hosts, tmp_path):
    """Server-side request forgery: what an issuer's document names is called only where it is the issuer's own."""
    led_inside = []

    def inside(path, _):
        led_inside.append(path)
        return 200, b"", {}

    def evil(path, fields):
        me = "http://" + fields["host"]
        mode = path.split("/")[1]
        if "/.well-known/" in path:
            target = {"other": f"{within}/secret", "metadata": "http://169.254.169.254/latest", "file": "file:///etc/passwd", "gopher": f"{within.replace('http', 'gopher')}/x", "redirect": f"{me}/redirect/jump", "liar": f"{me}/liar/keys", "huge": f"{me}/huge/keys", "user": f"{within.replace('//', '//127.0.0.1@')}/"}[mode]
            return 200, json.dumps({"issuer": f"{me}/{mode}" if mode != "liar" else "https://good.example", "jwks_uri": target}).encode(), {}
        if mode == "redirect":
            return 302, b"", {"location": f"{within}/secret"}
        return 200, b'{"keys":[' + b" " * 1_000_000, {}

    modes = ["other", "metadata", "file", "gopher", "redirect", "liar", "huge", "user"]
    with http_server(inside) as within, http_server(evil) as issuer:
        entries = ", ".join(f"{{ issuer: '{issuer}/{mode}', audiences: [ x ] }}" for mode in modes)
        host = hosts(secured(f"sqlite:///{tmp_path}/t.db", f"keys: {{ enabled: false }}, issuers: [ {entries} ]"))
        wait_until(lambda: host.log().count("none is known yet") == len(modes), what="every refusal")
    assert led_inside == []
    for said in ("another origin", "is neither https nor http", "answered 302", "says it is 'https://good.example'", "larger than 256 KiB"):
        assert said in host.log(), said


# ---------------------------------------------------------- others, and nobody

def test_public_routes(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db", "public_routes: [ 'GET /people*' ]")).wait_ready()
    for method, path, status in (("GET", ONE, 200), ("GET", "/people?limit=1", 200), ("HEAD", ONE, 200), ("DELETE", ONE, 401), ("POST", "/people", 401), ("GET", "/auth/keys", 401)):
        assert host.request(method, path, headers={}).status == status, (method, path)
    assert host.get(ONE, headers={"x-api-key": "bhk_0000000000000000_" + "A" * 43}).status == 401, "wrong credentials are no credentials"
    assert host.get(ONE, headers=bearer(make_key(host, "people:erase"))).status == 200, "who is known is no worse off"


def test_client_certificates(hosts, tmp_path):
    authority = Authority(tmp_path / "ca")
    authority.issue("localhost", file="server")
    for name in ("importer", "stranger"):
        authority.issue(name)
    authority.issue("trick", "/O=Evil/CN=importer,O=Test")
    port = free_port()
    tls = f"{{ address: '127.0.0.1:{port}', tls: {{ certificate: {tmp_path}/ca/server.pem, key: {tmp_path}/ca/server.key, client_ca: {tmp_path}/ca/authority.pem, client_certificate: optional }} }}"
    config = secured(f"sqlite:///{tmp_path}/t.db", "certificates: [ { subject: 'CN=import*,O=Test', scopes: [ people:read ], tenant: cunard } ]").replace("listen: 127.0.0.1:{port}", f"listen: [ '127.0.0.1:{{port}}', {tls} ]")
    host = hosts(config).wait_ready()

    def ask(method, certificate):
        with Raw(port, tls=authority.client((tmp_path / f"ca/{certificate}.pem", tmp_path / f"ca/{certificate}.key") if certificate else None)) as raw:
            return raw.send(f"{method} {ONE} HTTP/1.1\r\nHost: localhost\r\n\r\n").answer().status

    assert ask("GET", "importer") == 200 and ask("DELETE", "importer") == 403
    assert ask("GET", "stranger") == 401 and ask("GET", None) == 401
    assert ask("GET", "trick") == 401, "a comma in a name begins no other part"
    assert host.get(ONE).status == 401, "the plain listener knows nobody's certificate"


def test_the_admin_listener(hosts, tmp_path):
    """On loopback it is open; anywhere else it wants host:admin."""
    config = secured(f"sqlite:///{tmp_path}/t.db").replace("admin: 127.0.0.1:{admin}", "admin: 0.0.0.0:{admin}")
    host = hosts(config).wait_ready()
    assert host.get("/_host/plugins", admin=True).status == 401
    weak, strong = make_key(host, "people:read"), make_key(host, "host:admin")
    assert host.get("/_host/plugins", admin=True, headers=bearer(weak)).status == 403
    assert host.get("/_host/plugins", admin=True, headers=bearer(strong)).status == 200
    assert host.request("POST", "/_host/log", {"level": "debug"}, admin=True).status == 401
    nobody = hosts(contract_config("cpp_hello").replace("admin: 127.0.0.1:{admin}", "admin: 0.0.0.0:{admin}"))
    assert nobody.get("/_host/plugins", admin=True).status == 401, "without anybody who knows callers, it is closed"


def test_other_plugins_see_no_credentials(hosts, tmp_path):
    host = hosts(contract_config("mirror"))
    for name in ("authorization", "x-api-key", "cookie"):
        shown = host.get("/mirror", headers={name: "MARKER"})
        assert shown.status == 200 and b"MARKER" not in shown.body, name


def test_the_description_says_what_is_needed(hosts, tmp_path):
    host = hosts(secured(f"sqlite:///{tmp_path}/t.db")).wait_ready()
    description = host.get("/openapi.json").json
    assert set(description["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    assert description["paths"]["/people"]["get"]["security"] == [{"apiKey": ["people:read"]}, {"bearer": ["people:read"]}]
    assert description["paths"]["/health/live"]["get"]["security"] == []


@pytest.mark.parametrize("config, said", [
    ("issuers: [ { issuer: 'http://login.example', audiences: [ x ] } ]", "/issuers/0/issuer: 'http://login.example' is http, and not on this machine"),
    ("issuers: [ { issuer: 'login', audiences: [ x ] } ]", "write https://login.example/tenant"),
    ("issuers: [ { issuer: 'ftp://login.example', audiences: [ x ] } ]", "is neither https nor http"),
    ("issuers: [ { issuer: 'https://a.example', audiences: [ x ] }, { issuer: 'https://a.example', audiences: [ y ] } ]", "/issuers/1/issuer: is listed twice"),
    ("issuers: [ { issuer: 'https://a.example', audiences: [ x ], scopes: { a: [ 'x y' ] } } ]", "is not a scope"),
    ("issuers: [ { issuer: 'https://a.example', audiences: [ x ], algorithms: [ HS256 ] } ]", "/issuers/0/algorithms/0"),
    ("issuers: [ { issuer: 'https://a.example' } ]", "audiences"),
    ("public_route: [ '/x' ]", "did you mean 'public_routes'"),
])
def test_a_configuration_that_is_refused(tmp_path, config, said):
    assert said in refused(tmp_path, f"plugins:\n  - id: database\n    config: {{ url: 'sqlite:///{tmp_path}/t.db' }}\n  - id: auth\n    config: {{ {config} }}\n")
