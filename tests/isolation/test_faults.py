"""What a plugin gets wrong is told with its name, wherever it happens, and the process never ends as if nothing had been."""

import http.client
import signal

import pytest

from support.http import contract_config, refused
from support.servers import ENDS_BY_FORCE, PRESET, wait_until

CRASHES = {
    "segv": signal.SIGSEGV, "bus": signal.SIGBUS, "fpe": signal.SIGFPE, "ill": signal.SIGILL,
    "abort": signal.SIGABRT, "overflow": signal.SIGSEGV,
}
SETUP, TEARDOWN = ("create", "start"), ("quiesce", "stop", "destroy")
AT_WORK = ("step", "blocking", "on_end", "post", "timer", "thread")
EXITED = 70  # EX_SOFTWARE

crashes = pytest.mark.skipif(PRESET != "release", reason="a sanitizer reports crashes itself")


def faulty(where, fault, **more):
    values = ", ".join(f"{name}: {value}" for name, value in {"where": where, "fault": fault, **more}.items())
    return contract_config(("faulty", "faulty", f"{{ {values} }}"))


def ended(hosts, where, fault):
    """A host that has come to an end by itself: its status and what it wrote."""
    host = hosts(faulty(where, fault), start=False)
    host.start(wait=where not in SETUP)
    if where in AT_WORK:
        try:
            host.get("/faulty")
        except (OSError, http.client.HTTPException):
            pass  # it died before the answer was out
    elif where in TEARDOWN:
        host.terminate()
    status = host.process.wait(timeout=30)
    host.stop(expect=status)
    return status, host.log()


def told(log):
    """The line that says what happened, and the lines below it."""
    lines = log.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith("bulkhead: ")), None)
    assert at is not None, log
    return lines[at], [line for line in lines[at + 1 :] if line.startswith("  at ")]


@crashes
@pytest.mark.parametrize("where", [*SETUP, *AT_WORK, *TEARDOWN])
def test_a_crash_is_told_with_the_plugin_and_the_place(hosts, where):
    status, log = ended(hosts, where, "segv")
    line, stack = told(log)
    assert status == -signal.SIGSEGV
    assert line.startswith("bulkhead: SIGSEGV in plugin faulty"), line
    assert "a thread of its own" in line if where == "thread" else f", {where}" in line or "GET /faulty" in line or "/faulty" in line, line
    assert "/faulty.so+0x" in stack[0] and "go_wrong" in stack[0] and "build id " in stack[0], stack


@crashes
@pytest.mark.parametrize("fault", CRASHES)
@pytest.mark.parametrize("where", ["step", "blocking", "thread", "post", "timer"])
def test_each_way_to_crash_is_told(hosts, where, fault):
    if (where, fault) == ("thread", "overflow"):
        pytest.skip("threads that a plugin makes without the host have no stack for handlers")
    status, log = ended(hosts, where, fault)
    line, stack = told(log)
    assert status == -CRASHES[fault]
    assert line.startswith(f"bulkhead: {CRASHES[fault].name} in plugin faulty"), line
    assert any("/faulty.so+0x" in each for each in stack), stack


@pytest.mark.parametrize("where", [*SETUP, *AT_WORK, *TEARDOWN])
def test_a_plugin_that_exits_does_not_end_the_process_as_if_all_were_well(hosts, where):
    status, log = ended(hosts, where, "exit")
    assert status == EXITED
    assert "bulkhead: exit() called in plugin faulty" in log


@pytest.mark.skipif(PRESET == "asan", reason="it looks for leaks in the child, which has the parent's")
def test_a_child_of_a_plugin_may_exit(hosts):
    host = hosts(faulty("step", "fork"))
    assert host.get("/faulty").status == 200
    assert "exit() called" not in host.log()


@crashes
def test_what_a_thread_of_a_plugin_throws_is_told_with_the_plugin(hosts):
    status, log = ended(hosts, "thread", "throw")
    assert status == -signal.SIGABRT
    assert told(log)[0] == "bulkhead: SIGABRT in plugin faulty, a thread of its own"


@pytest.mark.parametrize("fault", ["throw", "throw_int"])
@pytest.mark.parametrize("where", ["step", "blocking"])
def test_a_step_that_throws_is_a_500_and_no_more(hosts, where, fault):
    host = hosts(faulty(where, fault))
    for _ in range(3):
        assert host.get("/faulty").status == 500
    assert host.get("/faulty/fine").status == 200
    errors = lambda: [line for line in host.log_lines() if line.get("plugin") == "faulty" and line["level"] == "error"]
    wait_until(errors, what="the line")
    assert "threw" in errors()[0]["message"]


@pytest.mark.parametrize("fault", ["throw", "throw_int"])
@pytest.mark.parametrize("where", ["on_end", "post", "timer", *TEARDOWN])
def test_what_is_thrown_elsewhere_is_logged(hosts, where, fault):
    host = hosts(faulty(where, fault))
    assert host.get("/faulty").status == 200
    errors = lambda: [line for line in host.log_lines() if line.get("plugin") == "faulty" and line["level"] == "error"]
    if where in TEARDOWN:
        host.stop()
    wait_until(errors, what="the line")
    assert where in errors()[0]["message"]


@pytest.mark.parametrize("fault", ["throw", "throw_int"])
def test_a_plugin_that_throws_in_create_is_refused(tmp_path, fault):
    assert "create threw" in refused(tmp_path, faulty("create", fault))


def test_a_timer_that_sleeps_delays_no_other_plugin(hosts):
    plugins = ("faulty", "faulty", "{ where: timer, fault: sleep, ms: 20000 }"), "lawless"
    host = hosts(contract_config(*plugins, server="  timeouts: { plugin_stop: 2s }\n"), environment=ENDS_BY_FORCE)
    assert host.get("/faulty").status == 200
    assert host.get("/lawless/elsewhere").status == 200
    wait_until(lambda: "timer threw: the moment" in host.log(), seconds=10, what="the other plugin's timer")
    host.stop(expect=1)  # it sleeps still
