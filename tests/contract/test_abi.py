"""Plugins built against the headers of ABI 1.0, in this host."""

import json
import subprocess

import pytest

from support.http import contract_config
from support.servers import BUILD, BULKHEAD

OLD = BUILD / "lib" / "abi_1_0"
KEPT = ("async", "cpp_hello", "mirror", "plain_c", ("c", "chained", "{ name: c }"))


def old_config():
    return contract_config(*KEPT).replace("/lib/contract/", "/lib/abi_1_0/")


@pytest.mark.parametrize("name", ["async", "chained", "cpp_hello", "mirror", "plain_c"])
def test_they_say_what_they_are_built_for(name):
    info = json.loads(subprocess.run([BULKHEAD, "inspect", "--json", OLD / f"{name}.so"], capture_output=True, text=True, check=True).stdout)
    assert info["abi"] == "1.0"


def test_answers_are_those_of_plugins_of_today(hosts):
    old, new = hosts(old_config()), hosts(contract_config(*KEPT))
    volatile = ("date", "x-request-id")
    for method, target, headers, body in [
        ("GET", "/hello/you", {}, b""), ("GET", "/mirror/a?b=c", {"x-a": "1", "authorization": "Bearer x"}, b""), ("POST", "/mirror", {"content-type": "text/plain"}, b"x" * 70_000),
        ("GET", "/chained/c/completed", {}, b""), ("POST", "/chained/c/echo", {}, b"body"), ("GET", "/hello/you", {"x-stop": "admit"}, b""), ("GET", "/hello/you", {"x-stop": "wait"}, b""),
        ("GET", "/mirror/broken", {}, b""), ("GET", "/mirror/status/418", {}, b""), ("GET", "/nothing", {}, b""), ("DELETE", "/mirror/count", {}, b""), ("GET", "/async/5", {}, b""), ("GET", "/async/dropped", {}, b""), ("GET", "/async/timed/9000", {}, b""), ("POST", "/plain", {}, b"plain"),
    ]:
        answers = [host.request(method, target, body or None, headers=headers) for host in (old, new)]
        assert answers[0].status == answers[1].status, target
        first, second = ({k: v for k, v in answer.headers.items() if k not in volatile} for answer in answers)
        assert first == second, target
        if "json" not in first.get("content-type", "") or answers[0].status < 400:
            assert answers[0].body.replace(str(old.port).encode(), b"") == answers[1].body.replace(str(new.port).encode(), b""), target
    assert old.stop() == new.stop() == 0
