"""What a request on a busy keep-alive connection costs: two system calls on top of a wake, and no allocation."""

import re
import signal
import subprocess
import time

import pytest

from support.http import contract_config
from support.servers import BUILD, PRESET, Host, Raw, wait_until

HEALTH = f"  - {{ id: health, library: {BUILD}/lib/bulkhead/health.so }}\n"
TARGETS = {"/health/live": 41, "/hello/x": 7, "/mirror/bytes/25000": 25000}
pytestmark = pytest.mark.skipif(PRESET != "release", reason="a sanitizer allocates and calls for itself")


def requests(raws, target, size, rounds, deep=1):
    """`deep` requests at once on every connection, then all answers, again and again."""
    message = f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: wrk/4.1\r\nAccept: */*\r\n\r\n".encode() * deep
    for _ in range(rounds):
        for raw in raws:
            raw.send(message)
        for raw in raws:
            for _ in range(deep):
                answer = raw.answer()
                assert answer.status == 200 and len(answer.body) >= min(size, 7)
    return len(raws) * rounds * deep


@pytest.mark.parametrize("target", TARGETS)
def test_two_system_calls_a_request(tmp_path, target):
    host = Host(contract_config("cpp_hello", "mirror", extra=HEALTH), tmp_path)
    raws = [Raw(host.port) for _ in range(8)]
    requests(raws, target, TARGETS[target], 20)
    table = tmp_path / "strace"
    strace = subprocess.Popen(["strace", "-f", "-c", "-p", str(host.process.pid), "-o", str(table)], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: "attached" in strace.stderr.readline(), what="strace")
    time.sleep(0.2)
    count = requests(raws, target, TARGETS[target], 250)
    strace.send_signal(signal.SIGINT)
    strace.wait(timeout=30)
    calls = {name: int(number) for number, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", table.read_text(), re.M) if name != "total"}
    for name in ("recvfrom", "sendmsg"):
        assert 0.98 * count <= calls.pop(name) <= 1.02 * count, (name, count)
    assert calls.pop("epoll_wait") <= 1.02 * count
    assert sum(calls.values()) < 0.02 * count, calls
    for raw in raws:
        raw.socket.close()
    host.stop()


def test_no_allocation_a_request(tmp_path):
    host = Host(contract_config("cpp_hello", "mirror", extra=HEALTH), tmp_path, wrapper=("env", f"LD_PRELOAD={BUILD}/lib/test/count_allocations.so"))

    def allocated():
        before = host.log().count("allocations ")
        host.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: host.log().count("allocations ") > before, what="the count")
        return [int(number) for number in re.findall(r"allocations (\d+) bytes (\d+)", host.log())[-1]]

    for target in ("/health/live", "/mirror/bytes/25000"):
        with Raw(host.port) as raw:
            requests([raw], target, TARGETS[target], 50, deep=16)
            before = allocated()
            count = requests([raw], target, TARGETS[target], 200, deep=16)
            number, size = (after - was for after, was in zip(allocated(), before))
            # Pistache's own two, 40 bytes, for each wake of its reactor; a batch may take some wakes.
            assert number <= count / 16 * 2 * 4 and size <= number * 64, (target, count, number, size)
        with Raw(host.port) as raw:
            requests([raw], target, TARGETS[target], 50)
            before = allocated()
            count = requests([raw], target, TARGETS[target], 500)
            number = allocated()[0] - before[0]
            assert number <= 2.05 * count, (target, count, number)
    host.stop()
