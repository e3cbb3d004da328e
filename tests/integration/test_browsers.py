"""What browsers are told: cors by the Fetch standard, security-headers."""

import pytest

from support.certificates import Authority
from support.http import contract_config, refused
from support.servers import Raw

APP = "https://app.titanic.example"


def cors(config):
    return f"  - id: cors\n    config: {{ {config} }}\n"


def preflight(host, origin=APP, method="PUT", headers=None, path="/hello/x"):
    return host.request("OPTIONS", path, headers={"origin": origin, "access-control-request-method": method, **({"access-control-request-headers": headers} if headers else {})})


def fields(host, request, name):
    """Every value of a field, each line on its own."""
    with Raw(host.port) as raw:
        raw.send(request)
        text = b""
        while b"\r\n\r\n" not in text:
            text += raw.socket.recv(65536)
    return [line.split(b":", 1)[1].strip().decode() for line in text.split(b"\r\n\r\n")[0].split(b"\r\n")[1:] if line.lower().startswith(name.encode() + b":")]


def test_a_preflight(hosts):
    host = hosts(contract_config("cpp_hello", extra=cors(f"origins: [ '{APP}', 'https://*.preview.example' ], max_age_s: 60")))
    answer = preflight(host, headers="content-type")
    assert answer.status == 204 and not answer.body
    assert answer.headers["access-control-allow-origin"] == APP and answer.headers["access-control-max-age"] == "60"
    assert "PUT" in answer.headers["access-control-allow-methods"] and "content-type" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers and "access-control-expose-headers" not in answer.headers
    for origin in ("https://a.preview.example", "https://a.b.preview.example"):
        assert preflight(host, origin).headers["access-control-allow-origin"] == origin
    for origin in ("https://evil.example", "http://app.titanic.example", APP + ":8443", APP + ".evil.example", "https://preview.example", "https://.preview.example.evil.example", "https://evil.example/.preview.example", "https://evil.example:1@a.preview.example", "null", APP.upper()):
        refused = preflight(host, origin)
        assert "access-control-allow-origin" not in refused.headers and "access-control-allow-methods" not in refused.headers, origin
    plain = host.request("OPTIONS", "/hello/x", headers={"origin": APP})
    assert plain.status == 204 and "allow" in plain.headers and "access-control-allow-methods" not in plain.headers, "no preflight"


def test_answers_and_caches(hosts):
    host = hosts(contract_config("cpp_hello", "async", extra=cors(f"origins: [ '{APP}' ], credentials: true, expose: [ etag, x-request-id ]")))
    answer = host.get("/hello/x", headers={"origin": APP})
    assert answer.headers["access-control-allow-origin"] == APP and answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "etag, x-request-id" and answer.headers["vary"] == "origin"
    for headers in ({}, {"origin": "https://evil.example"}):
        other = host.get("/hello/x", headers=headers)
        assert other.status == 200 and "access-control-allow-origin" not in other.headers and other.headers["vary"] == "origin"
    for path in ("/nothing", "/async/dropped"):
        assert host.get(path, headers={"origin": APP}).headers["access-control-allow-origin"] == APP, "a page may read errors as well"


def test_everybody(hosts):
    host = hosts(contract_config("cpp_hello", extra=cors("origins: [ '*' ], headers: [ '*' ]") + "  - id: metrics\n"))
    answer = host.get("/hello/x", headers={"origin": "https://anybody.example"})
    assert answer.headers["access-control-allow-origin"] == "*" and "vary" not in answer.headers
    assert preflight(host, headers="authorization, x-mine").headers["access-control-allow-headers"] == "authorization, x-mine"
    assert fields(host, "GET /metrics HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n", "vary") == ["accept"], "what was there stays"


@pytest.mark.parametrize("config, message", [
    ("origins: [ 'https://app.example/' ]", "'https://app.example/' is not an origin"),
    ("origins: [ 'app.example' ]", "'app.example' is not an origin"),
    ("origins: [ '*' ], credentials: true", "browsers take '*' literally"),
    ("methods: [ GET ]", "origins"),
])
def test_bad_configuration(tmp_path, config, message):
    assert message in refused(tmp_path, contract_config("cpp_hello", extra=cors(config)))


def test_security_headers(hosts):
    host = hosts(contract_config("cpp_hello", "page", extra="  - id: openapi\n  - id: security-headers\n"))
    answer = host.get("/hello/x")
    assert {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'"}.items() <= answer.headers.items()
    assert "strict-transport-security" not in answer.headers, "not over plain HTTP"
    assert "default-src 'self'" in host.get("/page").headers["content-security-policy"], "HTML may load what is ours"
    docs = fields(host, "GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", "content-security-policy")
    assert len(docs) == 1 and "script-src" in docs[0], "a page's own policy stays"
    for path in ("/nothing", "/hello/x"):
        assert host.request("POST", path).headers["x-content-type-options"] == "nosniff", "errors have them as well"


def test_hsts_over_tls(hosts, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    config = contract_config("cpp_hello", extra="  - id: security-headers\n    config: { hsts: { max_age_s: 60, preload: true } }\n")
    host = hosts(config.replace("  listen: 127.0.0.1:{port}\n", f"  listen: [ {{ address: '127.0.0.1:{{port}}', tls: {{ certificate: {certificate}, key: {key} }} }} ]\n"))
    with Raw(host.port, tls=authority.client()) as raw:
        answer = raw.send("GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n").answer()
    assert answer.headers["strict-transport-security"] == "max-age=60; includeSubDomains; preload"
