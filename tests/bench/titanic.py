"""The Titanic API beside pgbench running the same statements; the cache beside /health/live; what batching costs when nobody waits."""

import json
import pathlib
import socket
import statistics
import tempfile
import time

import peers
from peers import Nginx, Results, family, measure, pgbench
from passengers import CACHE, clean, fill, first_key, scripts, start
from conftest import titanic_config
from support.servers import Host, Postgres, wait_until

ROWS = 100_000
SESSIONS = 20  # the pool's maximum, reached under load


def startup(folder):
    """Milliseconds from exec to the first answer over a filled SQLite file, and resident KiB then."""
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


def warm(host, files, seconds=8):
    """Every record into the cache, as far as random keys reach them."""
    wait_until(lambda: host.get("/health/ready").json["status"] == "ready", what="the bus")
    for _ in range(3):
        measure([host.process.pid], host.url + "/", 64, seconds, files["lookup.lua"])


def main():
    options = peers.options()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    first_answer, memory_sqlite = startup(folder)
    server = Postgres()
    server.create("bench")
    host = start(server, "bench", folder)
    memory_postgres = host.resources()[2]
    fill(server, "bench", ROWS)
    files = scripts(folder, host, ROWS)
    alone = start(server, "bench", folder, database=", batch: 1")
    cached = start(server, "bench", folder, extra=CACHE)
    warm(cached, files)
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    sizes = {"record": len(host.get(f"/people/{first_key()}").body), "list": len(host.get("/people?limit=100").body)}
    nginx = Nginx(folder, sizes)
    cases = {
        "GET /people/{uuid}": ("/", files["lookup.lua"], "record", files["lookup.sql"]),
        "GET /people?limit=100": ("/", files["list.lua"], "list", files["list.sql"]),
        "POST /people": ("/people", files["post.lua"], "record", files["insert.sql"]),
    }
    results, seconds = Results(), options.seconds
    for _ in range(options.rounds):
        for name, (path, script, file, statement) in cases.items():
            rate = pgbench(server, "bench", statement, seconds, SESSIONS)
            for connections in (32, 128):
                case = (name, connections)
                results.note(case, "pgbench", {"rate": rate})
                results.note(case, "bulkhead", measure([host.process.pid, *family(postmaster)], host.url + path, connections, seconds, script))
                results.note(case, "nginx", measure(nginx.pids, nginx.url(file), connections, seconds))
            if name.startswith("POST"):
                clean(server, "bench", ROWS)
                time.sleep(1)
        for connections in (32, 128):
            results.note(("cached", connections), "bulkhead", measure([cached.process.pid], cached.url + "/", connections, seconds, files["lookup.lua"]))
            results.note(("cached", connections), "health", measure([cached.process.pid], cached.url + "/", connections, seconds, files["live.lua"]))
        for peer, which in (("bulkhead", host), ("alone", alone)):
            results.note(("one connection", 1), peer, measure([which.process.pid], which.url + "/", 1, seconds, files["lookup.lua"]))

    print(f"{'':<24}{'conn':>5}{'bulkhead/s':>12}{'pgbench/s':>11}{'ratio':>7}{'nginx/s':>10}{'ratio':>7}{'cpu us':>8}{'nginx':>7}{'p50 ms':>8}{'p99 ms':>8}{'p99/p50':>9}")
    for name in cases:
        for connections in (32, 128):
            case = (name, connections)
            mine, theirs = ({figure: results.median(case, peer, figure) for figure in ("rate", "cpu", "p50", "p99")} for peer in ("bulkhead", "nginx"))
            postgres = results.median(case, "pgbench", "rate")
            print(f"{name:<24}{connections:>5}{mine['rate']:>12.0f}{postgres:>11.0f}{mine['rate'] / postgres:>7.2f}{theirs['rate']:>10.0f}{mine['rate'] / theirs['rate']:>7.2f}"
                  f"{mine['cpu']:>8.1f}{theirs['cpu']:>7.1f}{mine['p50']:>8.2f}{mine['p99']:>8.2f}{mine['p99'] / mine['p50']:>9.1f}")
    for connections in (32, 128):
        mine, health = (results.median(("cached", connections), peer, "rate") for peer in ("bulkhead", "health"))
        cpu = [results.median(("cached", connections), peer, "cpu") for peer in ("bulkhead", "health")]
        print(f"GET /people/{{uuid}} from the cache, {connections} connections: {mine:.0f}/s, {mine / health:.2f} of /health/live ({health:.0f}/s); CPU {cpu[0]:.1f} and {cpu[1]:.1f} us")
    p50 = [results.median(("one connection", 1), peer, "p50") for peer in ("bulkhead", "alone")]
    print(f"one connection, by uuid: p50 {p50[0] * 1000:.0f} us, {p50[0] / p50[1]:.2f} of without batching")
    print(f"first answer after exec, SQLite: {first_answer:.0f} ms; resident memory after start: {memory_sqlite / 1024:.1f} MB on SQLite, {memory_postgres / 1024:.1f} MB on PostgreSQL")
    if options.json:
        summary = {"cases": results.medians(), "first_answer_ms": first_answer, "resident_kib": {"sqlite": memory_sqlite, "postgresql": memory_postgres}}
        pathlib.Path(options.json).write_text(json.dumps(summary, indent=2) + "\n")
    for each in (host, alone, cached):
        each.stop()
    nginx.stop()
    server.close()


if __name__ == "__main__":
    main()
