"""What the open network does to a server. Each attack is bounded, and meanwhile the others are served."""

import random
import resource
import socket
import struct
import subprocess
import threading
import time

import pytest

from support.http import HELLO, PLUGINS, becomes_quiet, contract_config, exchange, executed
from support.servers import BUILD, PATIENCE, PRESET, Host, Raw, wait_until

HEALTH = f"  - {{ id: health, library: {BUILD}/lib/bulkhead/health.so }}\n"
DEADLINE = 3 if PRESET == "release" else 8
SERVER = f"""  executor: {{ threads: 2, queue: 4 }}
  limits: {{ connections: 5000 }}
  timeouts: {{ header: {DEADLINE}s, body: {DEADLINE}s, idle: 10s }}
"""
MANY = 200
LARGE = "GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    host = Host(contract_config(*PLUGINS, server=SERVER, extra=HEALTH), tmp_path_factory.mktemp("abuse"))
    yield host
    host.stop()


def reset(raw):
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.socket.close()


def others_are_served(host, times=5):
    """Liveness bounds only: ten times what it takes on a busy machine."""
    for _ in range(times):
        started = time.monotonic()
        assert host.get("/health/live").json["status"] == "alive"
        assert time.monotonic() - started < PATIENCE / 3


# --------------------------------------------- the attacks, as long as they last

def slow_heads(host):
    held = [Raw(host.port).send("GET /hello/x HTTP/1.1\r\nHost: x\r\n") for _ in range(MANY)]
    for n in range(4):
        for raw in held:
            raw.send(f"X-{n}: a\r\n")
        others_are_served(host, 1)
        time.sleep(0.1)
    for raw in held[: MANY // 2]:
        assert raw.send("\r\n").answer().body == b"hello x", "slow is no crime before the deadline"
    for raw in held[MANY // 2 :]:
        assert raw.answer().status == 408
    for raw in held:
        raw.socket.close()


def slow_bodies(host):
    held = [Raw(host.port).send(f"POST /mirror HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n") for framing in ("Content-Length: 20", "Content-Length: 200000", "Transfer-Encoding: chunked") for _ in range(MANY // 3)]
    for _ in range(4):
        for raw in held:
            try:
                raw.send("1")
            except OSError:
                pass  # past its deadline already
        others_are_served(host, 1)
        time.sleep(0.1)
    for raw in held:
        assert raw.answer().status == 408
        raw.socket.close()


def slow_readers(host):
    held = []
    for _ in range(MANY):
        raw = Raw(host.port)
        held.append(raw.send(LARGE))
    becomes_quiet(host)
    others_are_served(host)
    for raw in held[:3]:
        assert len(raw.answer().body) == 8 * 1024 * 1024
    for raw in held:
        raw.socket.close()


def pipelined_to_a_slow_reader(host):
    with Raw(host.port) as raw:
        raw.send(LARGE * 3 + HELLO)
        time.sleep(0.2)
        assert [len(raw.answer().body) for _ in range(4)] == [8 * 1024 * 1024] * 3 + [7]


def storms(host):
    for n in range(600):
        raw = Raw(host.port)
        data = (HELLO + "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")[: random.randint(0, 120)]
        raw.send(data)
        reset(raw) if n % 2 else raw.socket.close()
    others_are_served(host)


def resets_at_every_stage(host):
    stages = ["", "GET", "GET /hello/x HTTP/1.1\r\nHo", "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc",
              "POST /mirror HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "POST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", "GET /async/50 HTTP/1.1\r\nHost: x\r\n\r\n",
              "GET /blocking/20 HTTP/1.1\r\nHost: x\r\n\r\n", HELLO * 20, LARGE, LARGE + HELLO * 5, "nonsense\r\n\r\n" + "x" * 1000, "GET /hello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
    for stage in stages:
        for wait in (0, 0.01):
            for _ in range(4):
                raw = Raw(host.port).send(stage)
                time.sleep(wait)
                reset(raw)
    others_are_served(host)


def half_closed(host):
    for data, bodies in ((HELLO, [b"hello x"]), ("GET /async/30 HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO, [b"/async/30", b"hello x"]), ("GET /blocking/10 HTTP/1.1\r\nHost: x\r\n\r\n", [b"waited"]), ("", []), ("GET /hel", [])):
        for _ in range(10):
            with Raw(host.port) as raw:
                raw.send(data)
                raw.socket.shutdown(socket.SHUT_WR)
                assert [raw.answer().body for _ in bodies] == bodies and raw.ended()
    held = []
    for _ in range(50):  # and those that read nothing after it
        raw = Raw(host.port).send(LARGE)
        raw.socket.shutdown(socket.SHUT_WR)
        held.append(raw)
    becomes_quiet(host)
    for raw in held:
        raw.socket.close()


def leaving_callers(host):
    """Their descriptors are taken by others at once, who get their own answers only."""
    for _ in range(3):
        leaving = [Raw(host.port).send(f"GET /async/{80 + n % 40} HTTP/1.1\r\nHost: x\r\n\r\n") for n in range(60)]
        time.sleep(0.03)
        for raw in leaving:
            reset(raw)
        staying = [(n, Raw(host.port).send(f"GET /async/{200 + n} HTTP/1.1\r\nHost: x\r\n\r\n")) for n in range(60)]
        for n, raw in staying:
            assert raw.answer().body == f"/async/{200 + n}".encode()
            raw.socket.close()


def full_executor(host):
    held = [Raw(host.port).send("GET /blocking/400 HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(20)]
    others_are_served(host)
    answers = [raw.answer() for raw in held]
    busy = [answer for answer in answers if answer.status == 503]
    assert len(busy) >= 20 - 2 * (2 + 4) and all(answer.headers["retry-after"] == "1" for answer in busy)
    assert sum(answer.status == 200 for answer in answers) == 20 - len(busy)
    for raw in held:
        raw.socket.close()


def header_bombs(host):
    for bomb in ("GET /" + "a" * 100_000, "GET /hello/x HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 20_000, "GET /hello/x HTTP/1.1\r\nHost: x\r\nA: " + "a" * 100_000, "\r\n" * 50_000, "GET " + "/" * 8000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
                 "GET /hello/" + "%41" * 2500 + " HTTP/1.1\r\nHost: x\r\n\r\n", "GET /" + "../" * 2600 + "hello/x HTTP/1.1\r\nHost: x\r\n\r\n"):
        for _ in range(10):
            with Raw(host.port) as raw:
                try:
                    raw.send(bomb)
                    raw.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                answer = raw.answer()
                assert answer is None or answer.status in (200, 400, 404, 414, 431)
    others_are_served(host)


def many_idle(host):
    held = [Raw(host.port) for _ in range(400)]
    for raw in held[::2]:
        assert raw.send(HELLO).answer().body == b"hello x"
    others_are_served(host)
    for raw in held:
        raw.socket.close()


def test_requests_behind_a_stalled_answer_are_not_all_begun(server):
    """What one connection holds of requests and answers together is bounded: limits.queued, 1 MiB."""
    before = executed(server)
    head = "GET /mirror HTTP/1.1\r\nHost: x\r\nA: " + "a" * 30_000 + "\r\n\r\n"
    with Raw(server.port) as raw:
        sender = threading.Thread(target=lambda: raw.send(LARGE.replace("noisy/large", "async/4000") + head * 63), daemon=True)
        sender.start()
        time.sleep(1)
        begun = executed(server) - before
        assert 1 <= begun <= 1024 * 1024 // 30_000 + 2, begun
        assert raw.answer().body == b"/async/4000"
        for _ in range(63):
            assert raw.answer().status == 200
        sender.join()
    assert executed(server) - before == 63


ATTACKS = [slow_heads, slow_bodies, slow_readers, pipelined_to_a_slow_reader, storms, resets_at_every_stage, half_closed, leaving_callers, full_executor, header_bombs, many_idle]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attack(server, attack):
    attack(server)
    assert exchange(server, HELLO).body == b"hello x"


def test_three_rounds_leave_nothing_behind(server):
    """Descriptors, threads, memory after each round of all attacks at once."""
    def measure():
        state = []

        def settled():
            state.append(server.resources())
            return len(state) > 5 and len({now[:2] for now in state[-5:]}) == 1

        wait_until(settled, what="descriptors and threads to settle")
        return state[-1]

    problems, rounds = [], []
    gentle = [attack for attack in ATTACKS if attack not in (slow_readers, half_closed)]  # those wait for rest
    for _ in range(4):
        def run(attack):
            try:
                attack(server)
            except Exception as error:  # noqa: BLE001
                problems.append((attack.__name__, repr(error)))

        threads = [threading.Thread(target=run, args=[attack]) for attack in gentle]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for attack in (slow_readers, half_closed):
            attack(server)
        # Connections that were reset while they wrote end with the write deadline.
        wait_until(lambda: server.resources()[0] < 60, what="the attackers' descriptors to be given back")
        rounds.append(measure())
    assert not problems
    warm, *measured = rounds
    descriptors, threads, memory = zip(*measured)
    assert max(descriptors) <= warm[0] and max(threads) <= warm[1], rounds
    assert memory[-1] - warm[2] < (4096 if PRESET == "release" else 65536), rounds


def test_ten_thousand_idle_connections(tmp_path):
    count = 10_000 if PRESET == "release" else 2_000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > count + 200, "the limit of open files is too low for this test: ulimit -Hn"
    host = Host(contract_config("cpp_hello", server="  limits: { connections: 10100 }\n", extra=HEALTH), tmp_path)
    held = []
    try:
        for n in range(count):
            raw = Raw(host.port)
            held.append(raw)
            if n % 4 == 0:  # idle after a request, or before one
                raw.send(HELLO)
                assert raw.answer().body == b"hello x"
            if n % 500 == 0:
                others_are_served(host, 1)
        becomes_quiet(host)
        memory = host.resources()[2] / 1024
        if PRESET == "release":
            assert memory < 150, f"{memory} MB"
        others_are_served(host, 50)
        for raw in random.sample(held, 200):
            assert raw.send(HELLO).answer().body == b"hello x"
    finally:
        for raw in held:
            raw.socket.close()
    wait_until(lambda: host.resources()[0] < 100, what="the descriptors to be given back")
    host.stop()


def test_descriptors_run_out_and_come_back(tmp_path):
    host = Host(contract_config("cpp_hello"), tmp_path, wrapper=("prlimit", "--nofile=120:120"))
    for _ in range(2):
        held = [Raw(host.port) for _ in range(150)] + [Raw(host.admin) for _ in range(50)]
        becomes_quiet(host)
        assert held[0].send(HELLO).answer().body == b"hello x", "who is in is served"
        for raw in held:
            raw.socket.close()
        wait_until(lambda: exchange(host, HELLO) is not None, what="healing")
    host.stop()


@pytest.mark.parametrize("mode", ["slow head", "slow body", "range", "slow read"])
def test_slowhttptest(server, mode):
    """The attacks of that program, as Debian ships it."""
    words = {
        "slow head": ["-H", "-u", f"{server.url}/hello/x"], "slow body": ["-B", "-s", "8192", "-u", f"{server.url}/mirror"], "range": ["-R", "-u", f"{server.url}/hello/x", "-t", "HEAD", "-a", "10", "-b", "3000"],
        "slow read": ["-X", "-w", "16", "-y", "64", "-n", "1", "-z", "16", "-k", "3", "-u", f"{server.url}/noisy/large"],
    }[mode]
    attack = subprocess.Popen(["slowhttptest", *words, "-c", "400", "-r", "400", "-i", "1", "-l", "5", "-p", "3"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while attack.poll() is None:
            others_are_served(server, 1)
            time.sleep(0.05)
    finally:
        attack.kill()
    assert "slow HTTP test status" in attack.stdout.read()
    assert exchange(server, HELLO).body == b"hello x"
