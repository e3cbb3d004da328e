"""A plugin that never comes back: the process ends all the same, in time, and says where it was."""

import signal
import subprocess
import time

import pytest

from support.http import contract_config
from support.servers import BULKHEAD, ENDS_BY_FORCE, ROOT, wait_until

SETUP, TEARDOWN = ("create", "start"), ("quiesce", "stop", "destroy")
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def hanging(where, timeouts=""):
    server = f"  timeouts: {{ {timeouts} }}\n" if timeouts else ""
    return contract_config(("faulty", "faulty", f"{{ where: {where}, fault: hang }}"), server=server)


def command(folder, config, *words):
    """A command of the program, once it hangs."""
    path = folder / "hanging.yaml"
    path.write_text(config.replace("{port}", "0").replace("{admin}", "0"))
    process = subprocess.Popen([str(BULKHEAD), *words[:1], "-c", str(path), *words[1:]], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_until(lambda: "faulty.so" in open(f"/proc/{process.pid}/maps").read(), what="the plugin to be loaded")
    time.sleep(0.3)
    return process


def loaded(host):
    wait_until(lambda: "faulty.so" in open(f"/proc/{host.process.pid}/maps").read(), what="the plugin to be loaded")
    time.sleep(0.3)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("words", [("check",), ("plugins",), ("routes",), ("run", "faulty")], ids=lambda words: words[0])
def test_one_signal_ends_a_command_that_hangs(tmp_path, words, number):
    process = command(tmp_path, hanging("create"), *words)
    process.send_signal(number)
    _, error = process.communicate(timeout=10)
    assert process.returncode == -number
    assert f"bulkhead: {number.name}: ends now, in create of plugin 'faulty'" in error and "go_wrong" in error


@pytest.mark.parametrize("where", SETUP)
def test_one_signal_ends_a_host_that_hangs_before_it_serves(hosts, where):
    host = hosts(hanging(where), start=False).start(wait=False)
    loaded(host)
    host.terminate()
    host.stop(expect=-signal.SIGTERM)
    assert f"ends now, in {where} of plugin 'faulty'" in host.log() and "go_wrong" in host.log()


@pytest.mark.parametrize("where", TEARDOWN)
def test_a_second_signal_ends_one_that_hangs_while_it_stops(hosts, where):
    host = hosts(hanging(where))
    host.terminate()
    wait_until(lambda: "draining" in host.log(), what="the drain")
    time.sleep(1)
    assert host.process.poll() is None
    host.terminate()
    host.stop(expect=-signal.SIGTERM)
    assert f"SIGTERM again: ends now, in {where} of plugin 'faulty'" in host.log()


@pytest.mark.parametrize("where", SETUP)
def test_setting_up_has_a_deadline(hosts, where):
    host = hosts(hanging(where, "plugin_start: 2s"), start=False, environment=ENDS_BY_FORCE).start(wait=False)
    assert host.process.wait(timeout=20) == 1
    host.stop(expect=1)
    assert f"bulkhead: {where} of plugin 'faulty' has not ended within 2.0 s; the process ends" in host.log()
    assert "  in plugin faulty, " + where in host.log() and "go_wrong" in host.log()


@pytest.mark.parametrize("where", TEARDOWN)
def test_stopping_has_a_deadline(hosts, where):
    host = hosts(hanging(where, "plugin_stop: 2s"), environment=ENDS_BY_FORCE)
    host.stop(expect=1)
    assert f"bulkhead: {where} of plugin 'faulty' has not ended within 2.0 s; the process ends" in host.log()


@pytest.mark.parametrize("where, told", [
    ("step", "the drain"), ("blocking", "the executor"), ("post", "the executor"), ("timer", "the executor"),
])
def test_work_that_never_ends_does_not_keep_the_process(hosts, where, told):
    host = hosts(hanging(where, "plugin_stop: 2s, drain: 500ms, request: 500ms"), environment=ENDS_BY_FORCE)
    if where in ("post", "timer"):
        assert host.get("/faulty").status == 200
    elif where == "blocking":
        assert host.get("/faulty").status == 504
    else:
        with pytest.raises(OSError):
            host.get("/faulty", timeout=1)
    time.sleep(0.2)
    host.stop(expect=1)
    assert f"bulkhead: {told} has not ended within" in host.log()
    assert "  in plugin faulty, " in host.log() and "go_wrong" in host.log()


def test_a_signal_while_it_starts_stops_it_in_order(hosts):
    """What does not hang is not cut off."""
    host = hosts(contract_config(("faulty", "faulty", "{ where: start, fault: sleep, ms: 600 }")), start=False).start(wait=False)
    loaded(host)
    host.terminate()
    host.stop(expect=0)
    assert '"message":"stopped"' in host.log()
