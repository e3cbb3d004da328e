"""The engine beside nginx: CPU time, requests a second, 99th percentile; pipelining; what one more hook costs."""

import json
import pathlib
import subprocess
import tempfile

import peers
from peers import Nginx, Results, measure
from support.http import contract_config
from support.servers import BUILD, Host

PIPELINED = """
init = function() block = string.rep(wrk.format("GET"), 16) end
request = function() return block end
"""
CONNECTIONS = (32, 128)


def hook_ns():
    """The slope between 0 and 64 empty hooks, latency by plugin included: median of 5."""
    shown = subprocess.run([str(BUILD / "bin/bench_hooks"), "--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true", "--benchmark_format=json"], capture_output=True, text=True, check=True)
    median = {row["run_name"]: row["cpu_time"] for row in json.loads(shown.stdout)["benchmarks"] if row["aggregate_name"] == "median"}
    return (median["request/64"] - median["request/0"]) / 64


def main():
    options = peers.options()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    host = Host(contract_config("mirror", extra=f"  - {{ id: health, library: {BUILD}/lib/bulkhead/health.so }}\n"), folder)
    pipelined = folder / "pipelined.lua"
    pipelined.write_text(PIPELINED)
    cases = {"/health/live": ("/health/live", "live"), "25 KB body": ("/mirror/bytes/25600", "large")}
    nginx = Nginx(folder, {"live": len(host.get("/health/live").body), "large": 25600})
    ours, results = [host.process.pid], Results()
    for _ in range(options.rounds):
        for name, (path, file) in cases.items():
            for connections in CONNECTIONS:
                results.note((name, connections), "bulkhead", measure(ours, host.url + path, connections, options.seconds))
                for way in Nginx.WAYS:
                    results.note((name, connections), f"nginx {way}", measure(nginx.pids, nginx.url(file, way), connections, options.seconds))
        results.note(("pipelined 16 deep", 32), "bulkhead", measure(ours, f"{host.url}/health/live", 32, options.seconds, pipelined))

    print(f"{'':<18}{'conn':>5}{'bulkhead/s':>12}{'nginx/s':>10}{'ratio':>7}{'cpu us':>8}{'nginx':>7}{'ratio':>7}{'p99 ms':>8}{'nginx':>7}{'ratio':>7}")
    ratios = {}
    for case in results.values:
        name, connections = case
        if "nginx plain" not in results.values[case]:
            continue
        line = f"{name:<18}{connections:>5}"
        for figure, best, widths, digits in (("rate", max, (12, 10), 0), ("cpu", min, (8, 7), 1), ("p99", min, (8, 7), 2)):
            mine = results.median(case, "bulkhead", figure)
            theirs = best(results.median(case, f"nginx {way}", figure) for way in Nginx.WAYS)  # whichever way is the better
            ratios[f"{name}, {connections}, {figure}"] = mine / theirs
            line += f"{mine:>{widths[0]}.{digits}f}{theirs:>{widths[1]}.{digits}f}{mine / theirs:>7.2f}"
        print(line)
    deep = results.median(("pipelined 16 deep", 32), "bulkhead", "rate")
    ratios["pipelined to unpipelined"] = deep / results.median(("/health/live", 32), "bulkhead", "rate")
    print(f"pipelined 16 deep: {deep:.0f}/s, {ratios['pipelined to unpipelined']:.2f} x unpipelined")
    host.stop()
    nginx.stop()
    ratios["hook ns"] = hook_ns()
    print(f"one more empty hook, latency attribution on: {ratios['hook ns']:.1f} ns")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"cases": results.medians(), "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
