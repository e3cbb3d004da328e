"""Lookups while a table grows, shrinks and is emptied, beside a host that starts afresh after each change."""

import json
import pathlib
import random
import tempfile

import peers
from peers import Results, family, measure, wrk
from passengers import COLUMNS, LIST_LUA, POST_LUA, start
from support.servers import Postgres

CONNECTIONS = 32
ROWS = 130_000
GROW = (
    f"insert into people ({COLUMNS}) select gen_random_uuid(), false, 3, 'Passenger, Mr. Number ' || i, 'male', 22, 1, 0, 7.25 "
    f"from generate_series(1, {ROWS}) i"
)


def existing(server, file):
    """Writes the targets of up to 2,000 records that are there now, in no order."""
    keys = server.sql("select uuid from people order by random() limit 2000", "bench").split()
    random.shuffle(keys)
    file.write_text("".join(f"/people/{key}\n" for key in keys))


def main():
    options = peers.options()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    server = Postgres()
    server.create("bench")
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    host = start(server, "bench", folder)
    server.sql("alter table people set (autovacuum_enabled = off)", "bench")  # nothing analyzes the table but the host
    targets, lookup, post = folder / "targets", folder / "lookup.lua", folder / "post.lua"
    lookup.write_text(LIST_LUA.replace("FILE", str(targets)))
    post.write_text(POST_LUA)

    changes = {
        "891 rows, as shipped": lambda: None,
        "4 s of POST": lambda: wrk(host.url + "/people", CONNECTIONS, 4, post),
        "mass delete by another program": lambda: server.sql("delete from people where id > 2000", "bench"),
        "growth by another program": lambda: server.sql(GROW, "bench"),
        "truncate, then 100 rows": lambda: server.sql(f"truncate people; {GROW.replace(str(ROWS), '100')}", "bench"),
        "4 s of POST again": lambda: wrk(host.url + "/people", CONNECTIONS, 4, post),
    }
    results = Results()
    print(f"{'after':<32}{'rows':>8}{'long-lived/s':>14}{'fresh/s':>10}{'ratio':>7}{'cpu us':>8}{'fresh':>7}")
    for change, apply in changes.items():
        apply()
        existing(server, targets)
        fresh = start(server, "bench", folder)
        for which in (host, fresh):
            wrk(which.url + "/", CONNECTIONS, 1, lookup)
        for _ in range(options.rounds):
            for peer, which in (("long-lived", host), ("fresh", fresh)):
                figures = measure([which.process.pid, *family(postmaster)], which.url + "/", CONNECTIONS, options.seconds, lookup)
                results.note((change, CONNECTIONS), peer, figures)
        fresh.stop()
        (rate, cpu), (fresh_rate, fresh_cpu) = ([results.median((change, CONNECTIONS), peer, figure) for figure in ("rate", "cpu")] for peer in ("long-lived", "fresh"))
        print(f"{change:<32}{server.sql('select count(*) from people', 'bench'):>8}{rate:>14.0f}{fresh_rate:>10.0f}{rate / fresh_rate:>7.2f}{cpu:>8.1f}{fresh_cpu:>7.1f}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results.medians(), indent=2) + "\n")
    host.stop()
    server.close()


if __name__ == "__main__":
    main()
