"""BULKHEAD_CHECKED=1: what breaks the contract ends the process, and names the plugin."""

import http.client
import signal

import pytest

from conftest import titanic_config
from support.http import contract_config

CHECKED = {"BULKHEAD_CHECKED": "1"}
# One I/O thread: what the plugin keeps is no race of its own.
CARELESS = contract_config("careless", server="  io_threads: 1\n")


def test_a_view_kept_too_long_is_overwritten(hosts):
    plain, checked = hosts(CARELESS), hosts(CARELESS, environment=CHECKED)
    for host in (plain, checked):
        assert host.get("/careless/keep").body == b"/careless/keep"
    assert checked.get("/careless/look").body == b"\xdd" * len("/careless/keep")


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("use", "ex_live of an exchange that is over"),
        ("release", "ex_release of an exchange that it does not hold"),
        ("route", "route outside of create and start"),
        ("resume", "ex_resume a second time"),
        ("edit", "ex_edit after RESPOND"),
        ("thread", "ex_edit outside of a step, or on another thread than its own"),
    ],
)
def test_a_broken_rule_names_the_plugin(hosts, how, what):
    host = hosts(CARELESS, environment=CHECKED)
    host.get("/careless/keep")
    try:
        host.get(f"/careless/{how}")
    except (OSError, http.client.HTTPException):
        pass  # in COMPLETE the answer is out already
    host.stop(expect=-signal.SIGABRT)
    assert f"bulkhead: the plugin 'careless' broke the contract: {what}" in host.log()


def test_lent_to_another_thread_while_the_step_runs(hosts):
    host = hosts(CARELESS, environment=CHECKED)
    assert host.get("/careless/lend").body == b"live"


def test_the_shipped_plugins_keep_it(hosts, tmp_path):
    config = titanic_config(f"sqlite:///{tmp_path}/checked.db", extra="  - id: cache\n    config: { routes: [{ route: '/people*', ttl_s: 60 }] }\n  - id: accesslog\n  - id: compression\n")
    host = hosts(config, environment=CHECKED).wait_ready()
    listed = host.get("/people?limit=3").json
    assert len(listed) == 3
    at = f"/people/{listed[0]['uuid']}"
    for _ in range(2):  # the second from the cache
        assert host.get(at).status == 200
    assert host.request("PATCH", at, '{"age": 40}', {"Content-Type": "application/merge-patch+json"}).json["age"] == 40
    assert host.request("POST", "/people", "{", {"Content-Type": "application/json"}).status == 400
    assert host.request("DELETE", at).status == 204 and host.get(at).status == 404
    for path in ("/metrics", "/openapi.json", "/health/ready", "/nowhere"):
        host.get(path)
    host.stop()
    assert "broke the contract" not in host.log()
