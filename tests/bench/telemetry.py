"""What seeing costs: the same hosts without metrics, tracing and access log, with them at 10 % sampling, and at 100 %.

Spans go to an nginx that takes and forgets them, on the same cores; its CPU is not counted as the host's, but is missing to it.
"""

import json
import pathlib
import subprocess
import tempfile

import peers
from peers import Results, family, measure
from passengers import fill, scripts, start
from support.http import contract_config
from support.servers import Host, Postgres, free_port

ROWS = 100_000


def collector(folder):
    port = free_port()
    (folder / "collector.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/collector.pid; error_log {folder}/collector.log; user root;\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off; client_max_body_size 64m; client_body_temp_path {folder}/bodies;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }} }}\n")
    process = subprocess.Popen(["nginx", "-c", str(folder / "collector.conf"), "-p", str(folder)], stderr=subprocess.DEVNULL)
    return process, f"http://127.0.0.1:{port}"


def telemetry(folder, url, name, share):
    return (f"  - id: metrics\n  - id: tracing\n    config: {{ endpoint: '{url}', sampler_arg: '{share}', batch: {{ queue: 16384, delay_ms: 1000 }} }}\n"
            f"  - id: accesslog\n    config: {{ file: {folder}/{name}.log }}\n")


def lost(host):
    """Spans that were dropped and taken since the host began."""
    counts = {"dropped": 0.0, "exported": 0.0}
    for line in host.get("/metrics").body.decode().splitlines():
        for key in counts:
            if line.startswith(f"otlp_{key}_total{{") and 'signal="traces"' in line:
                counts[key] += float(line.rsplit(" ", 1)[1])
    return counts


def main():
    options = peers.options()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    receiver, url = collector(folder)
    server = Postgres()
    server.create("bench")
    kinds = {"off": "", "10 %": telemetry(folder, url, "ten", 0.1), "100 %": telemetry(folder, url, "all", 1)}
    people = {kind: start(server, "bench", folder, extra=extra) for kind, extra in kinds.items()}
    fill(server, "bench", ROWS)
    files = scripts(folder, people["off"], ROWS)
    hello = {kind: Host(contract_config("cpp_hello", extra=extra), folder) for kind, extra in kinds.items()}
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    results = Results()
    for _ in range(options.rounds):
        for kind in kinds:
            host = people[kind]
            results.note("GET /people/{uuid}, PostgreSQL", kind, measure([host.process.pid, *family(postmaster)], host.url + "/", 32, options.seconds, files["lookup.lua"]))
        for kind in kinds:
            host = hello[kind]
            results.note("GET /hello/x, nothing else to do", kind, measure([host.process.pid], host.url + "/hello/x", 32, options.seconds))
    print(f"{'':<36}{'off/s':>9}{'10 %/s':>9}{'ratio':>7}{'100 %/s':>9}{'ratio':>7}{'cpu us':>8}{'10 %':>7}{'100 %':>7}")
    for case in results.values:
        rates, cpus = ({kind: results.median(case, kind, figure) for kind in kinds} for figure in ("rate", "cpu"))
        print(f"{case:<36}{rates['off']:>9.0f}{rates['10 %']:>9.0f}{rates['10 %'] / rates['off']:>7.2f}{rates['100 %']:>9.0f}{rates['100 %'] / rates['off']:>7.2f}{cpus['off']:>8.1f}{cpus['10 %']:>7.1f}{cpus['100 %']:>7.1f}")
    for name, hosts in (("people", people), ("hello", hello)):
        for kind in ("10 %", "100 %"):
            counts = lost(hosts[kind])
            print(f"spans of {name} at {kind}: {counts['exported']:.0f} exported, {counts['dropped']:.0f} dropped")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results.medians(), indent=2) + "\n")
    for host in (*people.values(), *hello.values()):
        host.stop()
    receiver.terminate()
    receiver.wait()
    server.close()


if __name__ == "__main__":
    main()
