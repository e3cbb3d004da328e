"""Two builds of the host side by side, with a control: is this one slower than that one?

Three hosts take turns on one database: one of this checkout's build, and two of the build before.
The two show what the machine alone makes of nothing changed. Ratios are medians over the rounds,
with the 95 % interval of a bootstrap.
"""

import argparse
import json
import pathlib
import random
import statistics
import sys
import tempfile

from peers import Results, family, measure  # first: it makes the tests' modules known

from conftest import titanic_config
from passengers import CACHE, clean, fill, scripts
from support.servers import BULKHEAD, Host, Postgres, wait_until

CONNECTIONS, ROWS = 32, 100_000
CASES = {  # path, script, through the cache, with PostgreSQL's CPU time
    "/health/live": ("/", "live.lua", False, False),
    "by uuid": ("/", "lookup.lua", False, True),
    "list of 100": ("/", "list.lua", False, True),
    "from the cache": ("/", "lookup.lua", True, False),
    "POST": ("/people", "post.lua", False, True),
}


def options():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--before", type=pathlib.Path, required=True, help="a checkout, built as release")
    arguments.add_argument("--seconds", type=int, default=1, help="of one slice")
    arguments.add_argument("--rounds", type=int, default=24)
    arguments.add_argument("--json")
    return arguments.parse_args()


def interval(ratios, draws=4000):
    """The median, and where it lies in 95 % of samples drawn from the same ratios."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(draws))
    return statistics.median(ratios), medians[draws // 40], medians[-draws // 40]


def ratios(figures, peer, figure):
    return interval([one / other for one, other in zip(figures[peer][figure], figures["before"][figure])])


def main():
    wanted = options()
    before = wanted.before / "build/release/bin/bulkhead"
    if not before.exists():
        raise SystemExit(f"{before} is not there; build it: cd {wanted.before} && cmake --preset release && cmake --build --preset release")
    builds = {"before": before, "control": before, "now": BULKHEAD}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
    folder.chmod(0o755)
    server = Postgres()
    hosts = {}
    try:
        server.create("compare")
        for cached in (False, True):
            for name, program in builds.items():
                place = folder / f"{name}-{cached}"
                place.mkdir()
                config = titanic_config(server.url("compare"), extra=CACHE if cached else "")
                hosts[name, cached] = Host(config, place, program=program).wait_ready()
            if not cached:
                fill(server, "compare", ROWS)
        for host in hosts.values():
            wait_until(lambda host=host: host.get("/health/ready").json["status"] == "ready")
        files = scripts(folder, hosts["now", False], ROWS)
        for name in builds:  # every record into the cache
            for _ in range(2):
                measure([], hosts[name, True].url + "/", 64, 6, files["lookup.lua"])
        postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        results = Results()
        for case, (path, script, cached, with_database) in CASES.items():
            for number in range(wanted.rounds):
                # Each place in the order as often for each host, also against what grows with time.
                names = list(builds)
                names = names[number // 2 % 3 :] + names[: number // 2 % 3]
                for name in names if number % 2 == 0 else reversed(names):
                    host = hosts[name, cached]
                    pids = [host.process.pid] + (family(postmaster) if with_database else [])
                    results.note(case, name, measure(pids, host.url + path, CONNECTIONS, wanted.seconds, files[script]))
            figures = results.values[case]
            medians = {name: {figure: statistics.median(figures[name][figure]) for figure in ("rate", "cpu")} for name in builds}
            print(f"{case:15} {medians['before']['rate']:7.0f}/s {medians['now']['rate']:7.0f}/s  cpu {medians['before']['cpu']:6.1f} {medians['now']['cpu']:6.1f} us", end="")
            for peer in ("now", "control"):
                for figure in ("rate", "cpu"):
                    print("  {} {} {:.3f} ({:.3f} to {:.3f})".format(peer, figure, *ratios(figures, peer, figure)), end="")
            print(flush=True)
            if case == "POST":
                clean(server, "compare", ROWS)
        if wanted.json:
            pathlib.Path(wanted.json).write_text(json.dumps(results.values))
    finally:
        for host in hosts.values():
            host.stop()
        server.close()


if __name__ == "__main__":
    sys.exit(main())
