"""From a fault to a page: real Prometheus, Alertmanager and exporters, with the rules and configuration that ship."""

import json
import re
import subprocess
import threading
import time
import urllib.request

import pytest
import yaml

from conftest import titanic_config
from support.monitoring import MONITORING, Stack
from support.otlp import Collector
from support.servers import CONTRACT, PRESET, ROOT, Host, Postgres, wait_until

pytestmark = pytest.mark.skipif(PRESET != "release", reason="the same files whatever the build")
GRAFANA, NODE, PICTURES = ROOT / "grafana", ROOT / "tests/node", ROOT / "build/pictures"
DASHBOARDS = sorted(path.stem for path in (GRAFANA / "dashboards").glob("*.json"))
PATIENCE = 60


class Traffic:
    """Requests of every kind, all the time; paths of `extra` are asked for in each turn as well."""

    def __init__(self, host):
        self.host, self.extra, self.pause, self.stop = host, [], 0.01, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(2)]
        [thread.start() for thread in self.threads]

    def run(self, number):
        uuid = json.loads(urllib.request.urlopen(f"{self.host.url}/people?limit=1", timeout=30).read())[0]["uuid"]
        turn = 0
        while not self.stop.is_set():
            turn += 1
            try:
                self.host.get(f"/people/{uuid}")
                if turn % 4 == 0:
                    self.host.get(f"/people?passengerClass={turn % 3 + 1}&limit=5")
                if turn % 10 == 0:
                    self.host.request("PATCH", f"/people/{uuid}", {"age": 20 + turn % 40})
                    self.host.get("/people/not-a-uuid")
                for path in list(self.extra):
                    self.host.get(path)
            except OSError:
                pass
            time.sleep(self.pause)

    def close(self):
        self.stop.set()
        [thread.join() for thread in self.threads]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Everything at once: a host over PostgreSQL, its collector, its monitoring, and people who use it."""
    folder = tmp_path_factory.mktemp("monitoring")
    postgres, collector = Postgres(), Collector()
    url = postgres.create("titanic")
    extra = f"""  - {{ id: async, library: {CONTRACT}/async.so }}
  - id: cache
    config: {{ routes: [ {{ route: "/people*" }} ] }}
  - id: metrics
  - id: tracing
    config: {{ endpoint: "{collector.url}", batch: {{ delay_ms: 200 }} }}
  - id: accesslog
    config: {{ file: {folder}/access.log }}
"""
    host = Host(titanic_config(url, extra), folder).wait_ready()
    traffic = Traffic(host)
    stack = Stack(folder, host, url)
    stack.host, stack.postgres, stack.traffic, stack.collector = host, postgres, traffic, collector
    yield stack
    traffic.close()
    stack.close()
    host.stop()
    postgres.close()
    collector.close()


def panels(name):
    for panel in json.loads((GRAFANA / f"dashboards/{name}.json").read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def expressions(name):
    for panel in panels(name):
        for target in panel["targets"]:
            if target["datasource"]["type"] == "prometheus":
                yield panel["title"], target["expr"].replace("$service", "titanic-api").replace("$__rate_interval", "10s")


def test_everything_is_scraped(scene):
    def all_up():
        up = {(series["metric"]["job"], series["value"][1]) for series in scene.query("up")}
        return up == {(job, "1") for job in ("titanic-api", "titanic-postgres", "titanic-synthetic", "prometheus")}

    wait_until(all_up, PATIENCE, what="every target")
    assert all(target["lastError"] == "" for target in scene.ask("targets")["activeTargets"])
    wait_until(lambda: [series for series in scene.query("probe_success == 1") if "/people" in series["metric"]["instance"]], PATIENCE, what="the synthetic check")
    groups = scene.ask("rules")["groups"]
    assert all(rule["health"] in ("ok", "unknown") for group in groups for rule in group["rules"]), [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]


def test_every_panel_has_data(scene):
    missing = {}

    def complete():
        missing.clear()
        for name in DASHBOARDS:
            for title, expr in expressions(name):
                if not scene.query(expr):
                    missing[f"{name}: {title}"] = expr
        return not missing

    try:
        wait_until(complete, 90, what="every panel's data")
    except AssertionError as error:
        raise AssertionError(f"{error}: {json.dumps(missing, indent=1)}") from None


def test_exemplars_name_traces_that_are_kept(scene):
    def known():
        named = {exemplar["labels"]["trace_id"] for series in scene.ask("query_exemplars", query="api_response_latency_seconds_bucket", start=time.time() - 120, end=time.time()) for exemplar in series["exemplars"]}
        return named and named <= {span.trace_id for span in scene.collector.spans}

    wait_until(known, PATIENCE, what="exemplars of kept traces")


@pytest.fixture(scope="module")
def drawn(scene):
    """All dashboards by Perses' panels in a browser; the pictures stay in build/pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    command = ["node", "render.mjs", scene.url, PICTURES, *(GRAFANA / f"dashboards/{name}.json" for name in DASHBOARDS), "--window", "2m", "--interval", "10s", "--step", "1s", "--var", "service=titanic-api"]
    run = subprocess.run([str(word) for word in command], cwd=NODE, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_are_drawn(drawn, name):
    of_prometheus = [panel for panel in panels(name) if panel["datasource"]["type"] == "prometheus"]
    assert drawn[name]["drawn"] == len(of_prometheus) and not drawn[name]["empty"] and not drawn[name]["errors"], drawn[name]
    assert (PICTURES / f"{name}.png").stat().st_size > 20_000


def test_errors_wake_somebody(scene):
    """Errors above 5 %: the alert fires, PagerDuty and Slack are told with labels and links, and told again when it is over."""
    scene.traffic.extra.append("/async/dropped")
    wait_until(lambda: scene.firing("TitanicAPIHighErrorRate"), PATIENCE, what="the alert")
    (page,) = wait_until(lambda: [page for page in scene.receiver.of("pagerduty") if "TitanicAPIHighErrorRate" in page["payload"]["summary"]], PATIENCE, what="the page")[:1]
    assert page["event_action"] == "trigger" and page["payload"]["severity"] == "critical" and page["payload"]["summary"].startswith("[FIRING:1] TitanicAPIHighErrorRate titanic-api")
    assert page["links"] == [{"href": "https://runbooks.titanic.example/TitanicAPIHighErrorRate.md", "text": "Runbook"}]
    assert page["client_url"] == "https://grafana.titanic.example/d/titanic-overview"
    firing = page["payload"]["custom_details"]["firing"]
    assert re.search(r"\d+(\.\d+)?% of the answers of titanic-api are errors", firing) and "TitanicAPIHighErrorRate.md" in firing
    (slack,) = wait_until(lambda: [message for message in scene.receiver.of("slack") if "TitanicAPIHighErrorRate" in message["attachments"][0]["title"]], PATIENCE, what="the channel")[:1]
    assert slack["channel"] == "#titanic-alerts" and slack["attachments"][0]["color"] == "danger"
    errors = [span for span in scene.collector.spans if span.attributes.get("http.route") == "/async/dropped"]
    assert errors and all(span.status == 2 and span.attributes["bulkhead.author"] == "async" for span in errors), "from the page to the plugin"
    scene.traffic.extra.clear()
    wait_until(lambda: not scene.firing("TitanicAPIHighErrorRate"), PATIENCE, what="its end")
    wait_until(lambda: [p for p in scene.receiver.of("pagerduty") if p["event_action"] == "resolve" and p["dedup_key"] == page["dedup_key"]], PATIENCE, what="the all-clear")
    wait_until(lambda: [m for m in scene.receiver.of("slack") if m["attachments"][0]["title"].startswith("[RESOLVED] TitanicAPIHighErrorRate")], PATIENCE, what="the channel's all-clear")


def test_a_post_mortem_begins(scene):
    if not scene.query('count_over_time(ALERTS{alertname="TitanicAPIHighErrorRate",alertstate="firing"}[10m])'):
        pytest.skip("the alert of the test before has not fired")
    run = subprocess.run([MONITORING / "post-mortem", "TitanicAPIHighErrorRate", "--prometheus", scene.url, "--since", "600", "--step", "1"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    text = run.stdout
    assert text.startswith("# Post-mortem: TitanicAPIHighErrorRate, 20") and "* `service`: titanic-api" in text
    assert "https://runbooks.titanic.example/TitanicAPIHighErrorRate.md" in text and "/d/titanic-overview?from=" in text
    kept = set(re.findall(r"\[([0-9a-f]{32})\]", text))
    assert kept and kept <= {span.trace_id for span in scene.collector.spans}
    assert "$" not in text
    unknown = subprocess.run([MONITORING / "post-mortem", "NoSuchAlert", "--prometheus", scene.url], capture_output=True, text=True, timeout=60)
    assert unknown.returncode == 1 and "has no alert NoSuchAlert" in unknown.stderr


def test_slowness_is_told(scene):
    # Every third request takes 2.5 s, and the limit of the 95th percentile is 2.
    stop = threading.Event()
    scene.traffic.pause = 0.2

    def slowly():
        while not stop.is_set():
            scene.host.get("/async/2500")

    threads = [threading.Thread(target=slowly) for _ in range(40)]
    [thread.start() for thread in threads]
    try:
        wait_until(lambda: scene.firing("TitanicAPIHighLatencyP95"), PATIENCE, what="the alert")
        wait_until(lambda: [m for m in scene.receiver.of("slack") if "TitanicAPIHighLatencyP95" in m["attachments"][0]["title"] and m["attachments"][0]["color"] == "warning"], PATIENCE, what="the channel")
    finally:
        stop.set()
        scene.traffic.pause = 0.01
        [thread.join() for thread in threads]
    slow = [span for span in scene.collector.spans if span.attributes.get("http.route") == "/async/{ms}"]
    assert slow and all(span.end - span.start > 1e9 for span in slow), "every one is kept, at 10 % head sampling"
    wait_until(lambda: not scene.firing("TitanicAPIHighLatencyP95"), PATIENCE, what="its end")


def test_a_database_that_stops(scene):
    """The cause is told; its effects fire, and Alertmanager keeps quiet about them."""
    scene.receiver.sent.clear()
    scene.postgres.stop("immediate")
    try:
        wait_until(lambda: scene.firing("TitanicAPIDatabaseDown"), PATIENCE, what="the cause")
        (page,) = wait_until(lambda: [p for p in scene.receiver.of("pagerduty") if "TitanicAPIDatabaseDown" in p["payload"]["summary"]], PATIENCE, what="the page")[:1]
        wait_until(lambda: scene.firing("TitanicAPIPluginNotReady"), PATIENCE, what="the plugin's own word")

        def inhibited():
            with urllib.request.urlopen(f"{scene.alertmanager}/api/v2/alerts", timeout=30) as answer:
                return {alert["labels"]["alertname"] for alert in json.load(answer) if alert["status"]["inhibitedBy"]}

        wait_until(lambda: {"TitanicAPIPluginNotReady", "TitanicAPISyntheticCheckFailing"} <= inhibited(), PATIENCE, what="quiet about the effects")
    finally:
        scene.postgres.start()
    wait_until(lambda: not scene.firing("TitanicAPIDatabaseDown"), PATIENCE, what="its end")
    wait_until(lambda: [p for p in scene.receiver.of("pagerduty") if p["event_action"] == "resolve" and p["dedup_key"] == page["dedup_key"]], PATIENCE, what="the all-clear")


def test_dashboards_are_what_the_script_makes_and_grafana_takes():
    subprocess.run([GRAFANA / "make.py", "--check"], check=True, timeout=60)
    files = [str(GRAFANA / f"dashboards/{name}.json") for name in DASHBOARDS]
    typed = subprocess.run(["node", "schema.mjs", *files], cwd=NODE, capture_output=True, text=True, timeout=120)
    assert typed.returncode == 0 and f"{len(files)} dashboard(s) checked, 0 problem(s)" in typed.stdout + typed.stderr, typed.stdout + typed.stderr
    overview = {panel["title"] for panel in panels("overview")}
    assert {"Request Rate by Method", "Response Latency Percentiles", "Error Rate by Status Code", "Resource Utilization", "Current Request Rate", "Current Error Rate", "P95 Latency", "Running Pods"} <= overview


def test_the_checks_of_dashboards_find_what_is_wrong(tmp_path):
    dashboard = json.loads((GRAFANA / "dashboards/cache.json").read_text())
    dashboard["titel"] = dashboard.pop("title")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(dashboard))
    found = subprocess.run(["node", "schema.mjs", wrong], cwd=NODE, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1 and "titel" in found.stdout + found.stderr
    bad = [{"lang": "promql", "query": "sum(rate(x[5m])", "where": "p"}, {"lang": "logql", "query": '{a="b"} | json | |', "where": "l"}, {"lang": "traceql", "query": "{ duration > }", "where": "t"}]
    for query in bad:
        assert subprocess.run(["node", "queries.mjs"], input=json.dumps(query), cwd=NODE, capture_output=True, text=True, timeout=60).returncode == 1, query


def test_every_query_parses():
    """Of the dashboards in their three languages, and of Loki's alerts."""
    files = [str(GRAFANA / f"dashboards/{name}.json") for name in DASHBOARDS]
    lines = subprocess.run(["node", "extract.mjs", *files], cwd=NODE, capture_output=True, text=True, check=True, timeout=60).stdout
    loki = yaml.safe_load((MONITORING / "loki/rules/fake/titanic.yaml").read_text())
    for group in loki["groups"]:
        for rule in group["rules"]:
            lines += json.dumps({"lang": "logql", "query": rule["expr"], "where": rule["alert"]}) + "\n"
            assert rule["annotations"]["summary"] and rule["annotations"]["runbook_url"].rsplit("/", 1)[1] in {page.name for page in (MONITORING / "runbooks").iterdir()}
    assert {json.loads(line)["lang"] for line in lines.splitlines()} == {"promql", "logql", "traceql"}
    found = subprocess.run(["node", "queries.mjs"], input=lines, cwd=NODE, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


def test_configurations_that_their_programs_check():
    for command in (["promtool", "check", "config", "--syntax-only", MONITORING / "prometheus/prometheus.yaml"],
                    ["amtool", "check-config", MONITORING / "alertmanager/alertmanager.yaml"],
                    ["prometheus-blackbox-exporter", "--config.check", "--config.file", MONITORING / "blackbox/blackbox.yaml"]):
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("labels, receivers", [
    ("alertname=TitanicAPIHighErrorRate severity=critical", "pagerduty,slack"),
    ("alertname=TitanicAPIHighLatencyP95 severity=warning", "slack"),
    ("alertname=TitanicAPICertificateExpiresSoon severity=warning", "slack,email"),
    ("alertname=TitanicAPIBackupTooOld severity=critical", "pagerduty,slack,email"),
    ("alertname=Unknown", "slack"),
])
def test_routes_of_alertmanager(labels, receivers):
    run = subprocess.run(["amtool", "config", "routes", "test", f"--config.file={MONITORING}/alertmanager/alertmanager.yaml", f"--verify.receivers={receivers}", *labels.split()], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_files_of_what_cannot_be_run_here():
    """The collector, Tempo, Loki, Promtail: what their parts name exists, and what went wrong once does not come back."""
    collector = yaml.safe_load((MONITORING / "otel-collector/config.yaml").read_text())
    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(collector[kind])
    assert set(collector["service"]["extensions"]) <= set(collector["extensions"])
    policies = {policy["type"]: policy for policy in collector["processors"]["tail_sampling"]["policies"]}
    assert [policy["type"] for policy in collector["processors"]["tail_sampling"]["policies"]] == ["status_code", "latency", "probabilistic"], "none that matches whatever has the service's name"
    assert policies["latency"]["latency"]["threshold_ms"] == 1000 and policies["probabilistic"]["probabilistic"]["sampling_percentage"] == 10
    loki = yaml.safe_load((MONITORING / "loki/loki.yaml").read_text())
    periods = [loki["limits_config"]["retention_period"], *(yaml.safe_load(path.read_text())["limits_config"]["retention_period"] for path in sorted((MONITORING / "loki/overlays").glob("*.yaml")))]
    assert periods == ["360h", "720h", "2160h"] and loki["compactor"]["retention_enabled"], "15, 30 and 90 days"
    for path in sorted((MONITORING / "loki/overlays").glob("*.yaml")):
        assert {**yaml.safe_load(path.read_text()), "limits_config": loki["limits_config"]} == loki, "whole, since Loki takes one file"
    rules = (MONITORING / "loki/rules/fake/titanic.yaml").read_text()
    assert re.search(re.search(r'\|~ "(\^bulkhead.*?)"', rules)[1], "bulkhead: SIGSEGV in people 1.0.0, step GET /people/{uuid}, request 7"), "a line of core/telemetry/crash.cpp"
    jobs = {job["job_name"].removesuffix("-ready") for job in yaml.safe_load((MONITORING / "prometheus/prometheus.yaml").read_text())["scrape_configs"]}
    files = [MONITORING / "kubernetes/service-monitor.yaml", ROOT / "deploy/k8s/base/pod-monitor.yaml"]
    monitors = {item["spec"].get("jobName") or item["metadata"]["name"] for path in files for item in yaml.safe_load_all(path.read_text())}
    assert jobs - {"prometheus"} == monitors, "the operator watches the same"
    promtail = yaml.safe_load((MONITORING / "promtail/promtail.yaml").read_text())
    assert any(stage.get("labels") == {"level": None} for stage in promtail["scrape_configs"][0]["pipeline_stages"])
    for path in [*MONITORING.rglob("*.yaml"), *GRAFANA.rglob("*.yaml")]:
        list(yaml.safe_load_all(path.read_text()))
