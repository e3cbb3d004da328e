"""The load, and the peers that take turns with the host under it."""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.servers import POSTGRES_BIN, free_port, wait_until  # noqa: E402

def options():
    """What every benchmark takes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json")
    return arguments.parse_args()


TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pids):
    """Seconds of CPU time that each of the processes has used."""
    used = {}
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except FileNotFoundError:  # a backend that has ended
            continue
        used[pid] = (int(fields[11]) + int(fields[12])) / TICKS
    return used


def wrk(url, connections, seconds, script=None):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{url}: {text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    percentile = lambda name: (found := re.search(rf"{name}%\s+([\d.]+)(us|ms|s)", text)) and float(found.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[found.group(2)]
    return rate, percentile(50), percentile(99)


def measure(pids, url, connections, seconds, script=None):
    """Requests a second, median and 99th percentile in ms, CPU time of the server per request in us."""
    before = cpu(pids)
    rate, p50, p99 = wrk(url, connections, seconds, script)
    spent = sum(after - before.get(pid, after) for pid, after in cpu(pids).items())
    return {"rate": rate, "p50": p50, "p99": p99, "cpu": spent / (rate * seconds) * 1e6}


def family(pid):
    """A process and its children."""
    return [pid, *map(int, subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split())]


class Results:
    """Values of each round by (case, connections), peer and figure; medians of them."""

    def __init__(self):
        self.values = {}

    def note(self, case, peer, figures):
        for figure, value in figures.items():
            self.values.setdefault(case, {}).setdefault(peer, {}).setdefault(figure, []).append(value)

    def median(self, case, peer, figure):
        return statistics.median(self.values[case][peer][figure])

    def medians(self):
        return [
            {"case": case, **{peer: {figure: statistics.median(values) for figure, values in figures.items()} for peer, figures in peers.items()}}
            for case, peers in self.values.items()
        ]


def pgbench(server, database, script, seconds, sessions):
    text = subprocess.run(
        [str(POSTGRES_BIN / "pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "titanic", "-n", "-M", "prepared", "-c", str(sessions), "-j", "2", "-T", str(seconds), "-f", str(script), database],
        capture_output=True, text=True, check=True,
    ).stdout
    return float(re.search(r"tps = ([\d.]+)", text).group(1))


class Nginx:
    """Two workers, no access log, open_file_cache; both ways it can send a file, since neither is the faster for all sizes."""

    WAYS = {"plain": "sendfile off;", "sendfile": "sendfile on; tcp_nopush on;"}

    def __init__(self, folder, files):
        self.ports = {way: free_port() for way in self.WAYS}
        for name, size in files.items():
            (folder / name).write_bytes(b"x" * size)
        config = folder / "nginx.conf"
        servers = "".join(f"server {{ listen 127.0.0.1:{self.ports[way]}; root {folder}; {words} }}\n" for way, words in self.WAYS.items())
        config.write_text(
            f"worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; open_file_cache max=100; keepalive_requests 1000000000;\n{servers} }}\n"
        )
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
        wait_until(lambda: subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True).stdout.count(b"\n") == 2)
        self.pids = [int(pid) for pid in subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()]

    def url(self, name, way="plain"):
        return f"http://127.0.0.1:{self.ports[way]}/{name}"

    def stop(self):
        self.process.terminate()
        self.process.wait()
