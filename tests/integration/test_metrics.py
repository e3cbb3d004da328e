"""The metrics plugin behind a real host: what is counted, and that Prometheus's own tools take it."""

import socket
import struct
import subprocess
import threading
import time
import uuid

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from conftest import titanic_config
from support.http import contract_config
from support.servers import ABI, Raw, wait_until

PLUGIN = "  - id: metrics\n    config: { max_series_per_metric: 100 }\n"
BRAUND = "/people/" + str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:titanic:passenger:1"))


def samples(host, open_metrics=False):
    """{(name, frozenset of labels): value}, by the parsers of the Python client library."""
    answer = host.get("/metrics", headers={"accept": "application/openmetrics-text"} if open_metrics else {})
    assert answer.status == 200
    parse = parse_open if open_metrics else parse_text
    return {(s.name, frozenset(s.labels.items())): s.value for family in parse(answer.body.decode()) for s in family.samples}


def value(found, name, **labels):
    return found.get((name, frozenset(labels.items())))


def test_what_is_counted(hosts, database):
    host = hosts(titanic_config(database, PLUGIN)).wait_ready()
    for _ in range(3):
        assert host.get(BRAUND).status == 200
    host.get("/people?limit=2")
    host.get("/people?sex=male&limit=2")
    assert host.request("PATCH", BRAUND, {"age": 23}).status == 200
    assert host.request("POST", "/people", {"name": ""}).status == 422
    assert host.get("/no/such/thing").status == 404 and host.get("/other").status == 404
    assert host.request("BREW", "/people").status == 501
    # A request is counted when its answer has left; the records once they are there.
    wait_until(lambda: value(samples(host), "people_records", passenger_class="1", survived="true"), what="the count")
    wait_until(lambda: value(samples(host), "exceptions_total", exception_type="NotImplemented", endpoint="unmatched") == 1, what="the last request")
    found = samples(host)
    request = lambda **labels: value(found, "api_requests_total", **labels)
    assert request(endpoint="/people/{uuid}", method="GET", status="200") == 3
    assert request(endpoint="/people/{uuid}", method="PATCH", status="200") == 1
    assert request(endpoint="/people", method="GET", status="200") == 2
    assert request(endpoint="/people", method="POST", status="422") == 1
    assert request(endpoint="unmatched", method="GET", status="404") == 2
    assert value(found, "api_response_latency_seconds_count", endpoint="/people/{uuid}", method="GET") == 3
    assert value(found, "api_response_latency_seconds_bucket", endpoint="/people/{uuid}", method="GET", le="+Inf") == 3
    assert value(found, "api_active_requests", endpoint="/metrics", method="GET") == 1, "this one"
    assert value(found, "api_active_requests", endpoint="/people", method="GET") == 0
    for passenger_class, survived, count in [(1, "true", 136), (1, "false", 80), (3, "false", 372)]:
        assert value(found, "people_records", passenger_class=str(passenger_class), survived=survived) == count
    for operation, count in {"read": 3, "list": 1, "search": 1, "change": 1, "create": 0}.items():
        assert value(found, "people_operations_total", operation=operation) == count
    assert value(found, "db_pool_size", service="titanic-api") >= 1
    wait_until(lambda: value(samples(host), "bulkhead_plugin_state", plugin="people", state="ready") == 1, what="the host's sample")
    assert not [key for key in found if "no/such" in str(key)]


def test_prometheus_takes_both_forms(hosts, database):
    host = hosts(titanic_config(database, PLUGIN)).wait_ready()
    host.get(BRAUND)
    time.sleep(1.1)  # the host records of itself once a second
    lint = subprocess.run(["promtool", "check", "metrics"], input=host.get("/metrics").body, capture_output=True, timeout=60)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")
    plain, opened = samples(host), samples(host, True)
    names = lambda found: {name for name, _ in found}
    assert names(plain) - names(opened) == set() and len(plain) > 200
    assert host.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_what_the_host_says_of_itself(hosts):
    host = hosts(contract_config("blocking", "cpp_hello", extra=PLUGIN))
    with Raw(host.port):
        host.get("/hello/x")
        found = wait_until(lambda: samples(host) if (value(samples(host), "bulkhead_connections") or 0) >= 1 else None, what="a sample")
    assert value(found, "process_resident_memory_bytes") > 1e6 and value(found, "process_open_fds") > 5
    assert abs(value(found, "process_start_time_seconds") - time.time()) < 600
    assert value(found, "process_max_fds") >= 1024 and value(found, "process_threads") > 3
    wait_until(lambda: value(samples(host), "bulkhead_received_bytes_total") > 0 and value(samples(host), "bulkhead_sent_bytes_total") > 0)
    wait_until(lambda: (value(samples(host), "bulkhead_steps_total", plugin="cpp_hello", phase="step", method="GET", route="/hello/{name}") or 0) == 1)
    wait_until(lambda: value(samples(host), "bulkhead_executor_tasks_total") > 0, what="/metrics itself, which runs there")
    build = [dict(labels) for name, labels in samples(host) if name == "bulkhead_build_info"]
    assert len(build) == 1 and build[0]["abi"] == ABI


def test_nobody_is_active_for_ever(hosts):
    """Whoever leaves, times out or is refused is taken off again."""
    host = hosts(contract_config("async", ("c", "chained", "{ name: c }"), extra=PLUGIN))
    active = lambda: sum(number for (name, labels), number in samples(host).items() if name == "api_active_requests" and ("endpoint", "/metrics") not in labels)
    with Raw(host.port) as raw:
        raw.send("GET /async/3000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: active() == 1, what="it to run")
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
    wait_until(lambda: active() == 0, what="the caller's leaving")
    assert host.get("/async/timed/1000").status == 504
    assert host.request("POST", "/chained/c/echo", "x", {"x-stop": "admit"}).status == 403
    assert host.get("/async/dropped").status == 500
    wait_until(lambda: active() == 0)
    wait_until(lambda: value(samples(host), "exceptions_total", exception_type="InternalServerError", endpoint="/async/dropped") == 1, what="the last request")
    found = samples(host)
    assert value(found, "api_requests_total", endpoint="/async/{ms}", method="GET", status="499") == 1
    assert value(found, "exceptions_total", exception_type="GatewayTimeout", endpoint="/async/timed/{ms}") == 1


def test_counts_are_exact_under_load(hosts):
    """Every answer that left is counted once, whatever thread served it, while the metrics are read."""
    host = hosts(contract_config("cpp_hello", extra=PLUGIN))
    stop = threading.Event()

    def scrape():
        while not stop.is_set():
            samples(host)

    reader = threading.Thread(target=scrape)
    reader.start()
    out = subprocess.run(["wrk", "-t1", "-c16", "-d2s", f"http://127.0.0.1:{host.port}/hello/x"], capture_output=True, text=True, timeout=60).stdout
    stop.set()
    reader.join()
    sent = int(out.split(" requests in")[0].split()[-1])
    counted = wait_until(lambda: n if (n := value(samples(host), "api_requests_total", endpoint="/hello/{name}", method="GET", status="200")) == value(
        samples(host), "api_response_latency_seconds_count", endpoint="/hello/{name}", method="GET") else None)
    # wrk leaves with up to one request on the way on each connection.
    assert sent <= counted + sum(v for (name, labels), v in samples(host).items() if name == "api_requests_total" and ("status", "499") in labels) <= sent + 16


def test_label_values_without_end_are_bounded(hosts):
    host = hosts(contract_config("cpp_hello", ("labels", "labels", "{}"), extra=PLUGIN))
    for number in range(150):
        assert host.get(f"/labels/{number}").status == 204
    found = samples(host)
    kept = [key for key in found if key[0] == "labels_total"]
    assert len(kept) == 100 and value(found, "bulkhead_metrics_dropped_total", metric="labels_total") == 50
