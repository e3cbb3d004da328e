"""Requests a second and CPU time per request: Bulkhead, nginx serving a file of the same size,
pgbench running the same statement. Peers take turns in every round; medians are compared."""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from conftest import titanic_config  # noqa: E402
from support.servers import POSTGRES_BIN, Host, Postgres, free_port, wait_until  # noqa: E402

ROWS = 100_000
SESSIONS = 20  # the pool's maximum, reached under load
COLUMNS = "uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare"
TICKS = os.sysconf("SC_CLK_TCK")

LOOKUP_LUA = """
function init() math.randomseed(os.time()) end
function request() return wrk.format("GET", string.format("/people/00000000-0000-4000-8000-%%012x", math.random(%d))) end
"""
POST_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"survived":false,"passengerClass":3,"name":"Braund, Mr. Owen Harris","sex":"male","age":22,"siblingsOrSpousesAboard":1,"parentsOrChildrenAboard":0,"fare":7.25}'
"""


def cpu(pids):
    total = 0
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def wrk(url, connections, seconds, script=None):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{url}: {text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return rate, float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]


def pgbench(server, database, script, seconds):
    text = subprocess.run(
        [str(POSTGRES_BIN / "pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "titanic", "-n", "-M", "prepared", "-c", str(SESSIONS), "-j", "2", "-T", str(seconds), "-f", str(script), database],
        capture_output=True, text=True, check=True,
    ).stdout
    return float(re.search(r"tps = ([\d.]+)", text).group(1))


class Nginx:
    def __init__(self, folder, files):
        self.port = free_port()
        for name, size in files.items():
            (folder / name).write_bytes(b"x" * size)
        config = folder / "nginx.conf"
        config.write_text(
            f"worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; open_file_cache max=100; sendfile off; keepalive_requests 1000000000;\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {folder}; }} }}\n"
        )
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
        wait_until(lambda: subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True).stdout.count(b"\n") == 2)
        self.pids = [int(pid) for pid in subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()]

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def startup(folder):
    """Milliseconds from exec to the first answer over a filled SQLite file, and resident KiB then."""
    import socket

    config = titanic_config(f"sqlite:///{folder}/start.db")
    Host(config, folder).wait_ready().stop()
    times = []
    for _ in range(5):
        host = Host(config, folder, start=False)
        begin = time.monotonic()
        host.start(wait=False)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", host.port)) as raw:
                    raw.sendall(b"GET /people?limit=1 HTTP/1.0\r\n\r\n")
                    if b" 200 " in raw.recv(200):
                        break
            except OSError:
                pass
        times.append((time.monotonic() - begin) * 1000)
        memory = host.resources()[2]
        host.stop()
    return statistics.median(times), memory


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json")
    options = arguments.parse_args()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    first_answer, memory_sqlite = startup(folder)
    server = Postgres()
    host = Host(titanic_config(server.create("bench")), folder).wait_ready()
    memory_postgres = host.resources()[2]
    fill = (
        "insert into people (uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare) "
        f"select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, i % 3 = 0, 1 + i % 3, 'Passenger, Mr. Number ' || i, case i % 2 when 0 then 'male' else 'female' end, i % 80, i % 4, i % 3, (i % 500) / 4.0 "
        f"from generate_series(1, {ROWS - 891}) i"
    )
    server.sql(fill, "bench")
    server.sql("vacuum analyze people", "bench")
    key = "00000000-0000-4000-8000-000000000001"
    (folder / "lookup.lua").write_text(LOOKUP_LUA % (ROWS - 891))
    (folder / "post.lua").write_text(POST_LUA)
    # The statements are the ones the plugin sends.
    (folder / "list.sql").write_text(f"select {COLUMNS} from people where deleted_at is null order by id limit 100 offset 0;\n")
    (folder / "insert.sql").write_text(
        "insert into people (uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare, ticket, cabin, embarked) "
        "values (gen_random_uuid(), false, 3, 'Braund, Mr. Owen Harris', 'male', 22, 1, 0, 7.25, null, null, null);\n"
    )
    (folder / "lookup.sql").write_text(
        f"\\set n random(1, {ROWS - 891})\nselect {COLUMNS}, version from people where uuid = ('00000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid and deleted_at is null;\n"
    )

    sizes = {"live": len(host.get("/health/live").body), "record": len(host.get(f"/people/{key}").body), "list": len(host.get("/people?limit=100").body)}
    nginx = Nginx(folder, sizes)
    cases = [
        ("/health/live", "/health/live", None, "live", None),
        ("GET /people/{uuid}", "/", folder / "lookup.lua", "record", folder / "lookup.sql"),
        ("GET /people?limit=100", "/people?limit=100", None, "list", folder / "list.sql"),
        ("POST /people", "/people", folder / "post.lua", "record", folder / "insert.sql"),
    ]
    results = {}

    def note(name, connections, peer, value):
        results.setdefault((name, connections), {}).setdefault(peer, []).append(value)

    for _ in range(options.rounds):
        for name, path, script, file, statement in cases:
            for connections in (32, 128):
                before = cpu([host.process.pid])
                rate, p99 = wrk(host.url + path, connections, options.seconds, script)
                spent = cpu([host.process.pid]) - before
                note(name, connections, "bulkhead", rate)
                note(name, connections, "bulkhead p99 ms", p99)
                note(name, connections, "bulkhead cpu us", spent / (rate * options.seconds) * 1e6)
                before = cpu(nginx.pids)
                rate, p99 = wrk(nginx.url(file), connections, options.seconds)
                note(name, connections, "nginx", rate)
                note(name, connections, "nginx p99 ms", p99)
                note(name, connections, "nginx cpu us", (cpu(nginx.pids) - before) / (rate * options.seconds) * 1e6)
            if statement:
                rate = pgbench(server, "bench", statement, options.seconds)
                for connections in (32, 128):
                    note(name, connections, "pgbench", rate)
            if name.startswith("POST"):
                # Or whatever runs next pays for the dead rows and the old statistics.
                server.sql("delete from people where ticket is null and cabin is null and name = 'Braund, Mr. Owen Harris' and uuid <> '73ef066a-5fec-5354-981b-d59049b1ea2c'", "bench")
                server.sql("vacuum full people", "bench")
                server.sql("analyze people", "bench")
                time.sleep(1)

    print(f"{'':<24}{'conn':>5}{'bulkhead/s':>12}{'nginx/s':>10}{'ratio':>7}{'pgbench/s':>11}{'ratio':>7}{'cpu us':>8}{'nginx':>7}{'p99 ms':>8}{'nginx':>7}")
    table = []
    for (name, connections), peers in results.items():
        median = {peer: statistics.median(values) for peer, values in peers.items()}
        row = {"case": name, "connections": connections, **median, "to nginx": median["bulkhead"] / median["nginx"]}
        database = ""
        if "pgbench" in median:
            row["to pgbench"] = median["bulkhead"] / median["pgbench"]
            database = f"{median['pgbench']:>11.0f}{row['to pgbench']:>7.2f}"
        table.append(row)
        print(f"{name:<24}{connections:>5}{median['bulkhead']:>12.0f}{median['nginx']:>10.0f}{row['to nginx']:>7.2f}{database:>18}"
              f"{median['bulkhead cpu us']:>8.1f}{median['nginx cpu us']:>7.1f}{median['bulkhead p99 ms']:>8.2f}{median['nginx p99 ms']:>7.2f}")
    print(f"first answer after exec, SQLite: {first_answer:.0f} ms; resident memory after start: {memory_sqlite / 1024:.1f} MB on SQLite, {memory_postgres / 1024:.1f} MB on PostgreSQL")
    if options.json:
        summary = {"cases": table, "first_answer_ms": first_answer, "resident_kib": {"sqlite": memory_sqlite, "postgresql": memory_postgres}}
        pathlib.Path(options.json).write_text(json.dumps(summary, indent=2) + "\n")
    host.stop()
    nginx.stop()
    server.close()


if __name__ == "__main__":
    main()
