"""The Titanic API beside pgbench running the same statements, and nginx serving a file of the same size."""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

from peers import Nginx, Results, measure, pgbench
from conftest import titanic_config
from support.servers import Host, Postgres

ROWS = 100_000
SESSIONS = 20  # the pool's maximum, reached under load
COLUMNS = "uuid, survived, passenger_class, name, sex, age, siblings_or_spouses_aboard, parents_or_children_aboard, fare"

LOOKUP_LUA = """
function init() math.randomseed(os.time()) end
function request() return wrk.format("GET", string.format("/people/00000000-0000-4000-8000-%%012x", math.random(%d))) end
"""
POST_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"survived":false,"passengerClass":3,"name":"Braund, Mr. Owen Harris","sex":"male","age":22,"siblingsOrSpousesAboard":1,"parentsOrChildrenAboard":0,"fare":7.25}'
"""


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

    sizes = {"record": len(host.get(f"/people/{key}").body), "list": len(host.get("/people?limit=100").body)}
    nginx = Nginx(folder, sizes)
    cases = {
        "GET /people/{uuid}": ("/", folder / "lookup.lua", "record", folder / "lookup.sql"),
        "GET /people?limit=100": ("/people?limit=100", None, "list", folder / "list.sql"),
        "POST /people": ("/people", folder / "post.lua", "record", folder / "insert.sql"),
    }
    results = Results()
    for _ in range(options.rounds):
        for name, (path, script, file, statement) in cases.items():
            rate = pgbench(server, "bench", statement, options.seconds, SESSIONS)
            for connections in (32, 128):
                case = (name, connections)
                results.note(case, "pgbench", {"rate": rate})
                results.note(case, "bulkhead", measure([host.process.pid], host.url + path, connections, options.seconds, script))
                results.note(case, "nginx", measure(nginx.pids, nginx.url(file), connections, options.seconds))
            if name.startswith("POST"):
                # Or whatever runs next pays for the dead rows and the old statistics.
                server.sql("delete from people where ticket is null and cabin is null and name = 'Braund, Mr. Owen Harris' and uuid <> '73ef066a-5fec-5354-981b-d59049b1ea2c'", "bench")
                server.sql("vacuum full people", "bench")
                server.sql("analyze people", "bench")
                time.sleep(1)

    print(f"{'':<24}{'conn':>5}{'bulkhead/s':>12}{'pgbench/s':>11}{'ratio':>7}{'nginx/s':>10}{'ratio':>7}{'cpu us':>8}{'nginx':>7}{'p99 ms':>8}{'nginx':>7}")
    for case in results.values:
        mine, theirs = ({figure: results.median(case, peer, figure) for figure in ("rate", "cpu", "p99")} for peer in ("bulkhead", "nginx"))
        postgres = results.median(case, "pgbench", "rate")
        print(f"{case[0]:<24}{case[1]:>5}{mine['rate']:>12.0f}{postgres:>11.0f}{mine['rate'] / postgres:>7.2f}{theirs['rate']:>10.0f}{mine['rate'] / theirs['rate']:>7.2f}"
              f"{mine['cpu']:>8.1f}{theirs['cpu']:>7.1f}{mine['p99']:>8.2f}{theirs['p99']:>7.2f}")
    print(f"first answer after exec, SQLite: {first_answer:.0f} ms; resident memory after start: {memory_sqlite / 1024:.1f} MB on SQLite, {memory_postgres / 1024:.1f} MB on PostgreSQL")
    if options.json:
        summary = {"cases": results.medians(), "first_answer_ms": first_answer, "resident_kib": {"sqlite": memory_sqlite, "postgresql": memory_postgres}}
        pathlib.Path(options.json).write_text(json.dumps(summary, indent=2) + "\n")
    host.stop()
    nginx.stop()
    server.close()


if __name__ == "__main__":
    main()
