"""Free loopback ports, and waiting."""

import itertools
import os
import random
import socket
import time

from support.servers.build import PATIENCE


def ports():
    """Below the ephemeral range, so that no outgoing connection takes one first; none twice, nor one of another worker's share."""
    worker, workers = (int(os.environ.get(name, default).removeprefix("gw")) for name, default in (("PYTEST_XDIST_WORKER", "gw0"), ("PYTEST_XDIST_WORKER_COUNT", "1")))
    share = [port for port in range(12000, 32000) if port % workers == worker]
    random.shuffle(share)
    return itertools.cycle(share)


PORTS = ports()


def free_port():
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, seconds=PATIENCE, what="the condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {seconds} s")
