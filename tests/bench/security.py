"""What it costs to know who calls and to count how often, and how exact the limiter is.

The same host without, with API keys, with access tokens, and with a limit that lets everything through; then a limit of 100
a second against about 10,000 a second and against as many as can be sent, on one host and on two that share Redis.
"""

import concurrent.futures
import json
import pathlib
import re
import subprocess
import tempfile

import peers
from peers import Results, family, measure
from passengers import fill, scripts, start
from conftest import titanic_config
from support.http import contract_config
from support.servers import BULKHEAD, ROOT, Host, OpenIdProvider, Postgres, Redis, wait_until

ROWS = 100_000
ACCURACY_SECONDS = 30
GENEROUS = "  - id: ratelimit\n    config: { limits: [ { name: a, requests: 1000000 }, { name: i, by: identity, requests: 1000000 } ] }\n"


def with_header(script, folder, name, value):
    """The same load with a credential."""
    path = folder / f"{name}-{script.name}"
    path.write_text(f'wrk.headers["Authorization"] = "Bearer {value}"\n' + script.read_text())
    return path


def make_key(host):
    run = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "auth", "keys", "create", "--name", "bench", "--scopes", "people:read"], cwd=ROOT, env=host.environment, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[0]


def passed(host, load, seconds):
    """How many a second were sent and let through."""
    text = subprocess.run(["wrk", "-t1", *load, f"-d{seconds}s", f"{host.url}/hello/x"], capture_output=True, text=True, check=True).stdout
    total, time = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return int(total) / float(time), (int(total) - int(refused[1] if refused else 0)) / float(time)


def cost(options, folder):
    server, provider = Postgres(), OpenIdProvider("ES256")
    server.create("bench")
    auth = f"  - id: auth\n    config: {{ issuers: [ {{ issuer: '{provider.url}', audiences: [ https://titanic.example ] }} ] }}\n"
    enforced = Host(titanic_config(server.url("bench"), auth).replace("scopes: ignore", "scopes: enforce"), folder).wait_ready()
    hosts = {"off": start(server, "bench", folder), "key": enforced, "token": enforced, "limits": start(server, "bench", folder, extra=GENEROUS)}
    fill(server, "bench", ROWS)
    files = scripts(folder, hosts["off"], ROWS)
    key = make_key(enforced)
    hello = folder / "hello.lua"
    hello.write_text('function request() return wrk.format("GET", "/hello/x") end\n')
    light = {"off": Host(contract_config("cpp_hello"), folder), "limits": Host(contract_config("cpp_hello", extra=GENEROUS), folder)}
    light["key"] = light["token"] = Host(contract_config("cpp_hello", extra=f"  - id: database\n    config: {{ url: '{server.url('bench')}' }}\n" + auth), folder)
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    results = Results()
    for turn in range(options.rounds):
        credentials = {"key": key, "token": provider.token("people:read")}  # a token lives ten minutes
        for case, group, script in (("GET /people/{uuid}, PostgreSQL", hosts, files["lookup.lua"]), ("GET /hello/x, nothing else to do", light, hello)):
            kinds = list(hosts)
            for kind in kinds[turn % len(kinds):] + kinds[:turn % len(kinds)]:  # nobody is always the first
                host = group[kind]
                load = with_header(script, folder, kind, credentials[kind]) if kind in credentials else script
                results.note(case, kind, measure([host.process.pid, *family(postmaster)], host.url + "/", 32, options.seconds, load))
    print(f"{'':<36}{'off/s':>9}{'key':>7}{'token':>7}{'limits':>8}   cpu us: off, key, token, limits")
    for case in results.values:
        rate = {kind: results.median(case, kind, "rate") for kind in hosts}
        used = {kind: results.median(case, kind, "cpu") for kind in hosts}
        print(f"{case:<36}{rate['off']:>9.0f}{rate['key'] / rate['off']:>7.2f}{rate['token'] / rate['off']:>7.2f}{rate['limits'] / rate['off']:>8.2f}   " + ", ".join(f"{used[kind]:.1f}" for kind in hosts))
    for host in {id(each): each for each in (*hosts.values(), *light.values())}.values():
        host.stop()
    provider.stop()
    server.close()
    return results.medians()


def accuracy(folder):
    paced = folder / "paced.lua"
    paced.write_text("function delay() return math.random(2, 18) end\n")  # else they come in step with the limit's own 10 ms
    limits = "limits: [ { name: a, requests: 100, burst: 1 } ]"
    redis = Redis()
    shared = f", redis: '{redis.url}', redis_timeout_ms: 5000, service: bench"
    for what, count, more in (("one host", 1, ""), ("two that share Redis", 2, shared)):
        hosts = [Host(contract_config("cpp_hello", extra=f"  - id: ratelimit\n    config: {{ {limits}{more} }}\n"), folder) for _ in range(count)]
        for host in hosts:
            wait_until(lambda: host.get("/hello/x") and (not more or "limits are shared through Redis" in host.log()), what="Redis")
        for load in (["-c", str(110 // count), "-s", str(paced)], ["-c8"]):
            with concurrent.futures.ThreadPoolExecutor(count) as pool:
                found = list(pool.map(lambda host: passed(host, load, ACCURACY_SECONDS), hosts))
            print(f"a limit of 100/s, burst 1, {what}: {sum(sent for sent, _ in found):.0f}/s came, {sum(through for _, through in found):.2f}/s passed in {ACCURACY_SECONDS} s")
        for host in hosts:
            host.stop()
    redis.close()


def main():
    options = peers.options()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    folder.chmod(0o755)
    medians = cost(options, folder)
    accuracy(folder)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
