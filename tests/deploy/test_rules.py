"""Alerts, each by promtool: one course of its series at which it fires, and one at which it must not."""

import re
import subprocess
import sys

import pytest
import yaml

from support.servers import PRESET, ROOT

sys.path.insert(0, str(ROOT / "deploy/monitoring"))
import rules  # noqa: E402

pytestmark = pytest.mark.skipif(PRESET != "release", reason="the same files whatever the build")
MONITORING = ROOT / "deploy/monitoring"
RULES = {rule["alert"]: rule for content in rules.make("https://runbooks.titanic.example", "https://grafana.titanic.example").values()
         for group in content["groups"] for rule in group["rules"] if "alert" in rule}
JOB = {"job": "titanic-api"}
POD = {"namespace": "titanic", "pod": "titanic-api-1"}


def requests(good, failed, count=60, endpoint="/people"):
    """Counters that grow by so many each step."""
    labels = f'job="titanic-api",endpoint="{endpoint}",method="GET"'
    return {f'api_requests_total{{{labels},status="200"}}': f"0+{good}x{count}", f'api_requests_total{{{labels},status="500"}}': f"0+{failed}x{count}"}


def latency(within, count=60):
    """`within` is {le: growth of the cumulative bucket}."""
    labels = 'job="titanic-api",endpoint="/people",method="GET"'
    series = {f'api_response_latency_seconds_bucket{{{labels},le="{le}"}}': f"0+{growth}x{count}" for le, growth in within.items()}
    series[f"api_response_latency_seconds_count{{{labels}}}"] = f"0+{within['+Inf']}x{count}"
    return series


def constant(series, value, count=60):
    return {series: f"{value}x{count}" if isinstance(value, str) else f"{value}+0x{count}"}


def wave(series, last, days_in_minutes=240):
    """100 and 101 in turn, then `last` for 20 steps."""
    return {series: " ".join(str(100 + i % 2) for i in range(days_in_minutes)) + f" {last}+0x20"}


def weeks(now):
    """An hourly rate of 100 for two weeks, 500 for some hours a week ago, and `now` at the end. Steps are 30 minutes."""
    week = 2 * 24 * 7
    past = ["100"] * (2 * week + 6)
    past[week - 4:week + 12] = ["500"] * 16  # a rush is no measure
    return {'job:api_requests:rate5m{job="titanic-api"}': " ".join(past + [str(now)] * 6)}


RESTARTS = 'kube_pod_container_status_restarts_total{namespace="titanic",pod="titanic-api-1",container="titanic-api"}'
MEMORY = 'container_memory_working_set_bytes{namespace="titanic",pod="titanic-api-1",container="titanic-api"}'
CPU = 'container_cpu_usage_seconds_total{namespace="titanic",pod="titanic-api-1",container="titanic-api"}'
LIMIT = 'kube_pod_container_resource_limits{namespace="titanic",pod="titanic-api-1",container="titanic-api",resource="%s"}'
DEPLOYMENT = 'kube_deployment_%s{deployment="titanic-api",namespace="titanic"}'
SPANS = 'otelcol_exporter_%s{exporter="otlp/tempo"}'
STATE = 'bulkhead_plugin_state{job="titanic-api",instance="a:5000",plugin="database",state="%s"}'
SLO_SUMMARY = "titanic-api spends its budget of %s %s times too fast"

# name: (minutes to the look, series that fire, labels beside the rule's own, summary, series that must not)
CASES = {
    "HighErrorRate": (12, requests(90, 10), JOB, "10% of the answers of titanic-api are errors", requests(96, 4)),
    "HighLatencyP95": (12, latency({"1": 90, "2": 94, "5": 100, "+Inf": 100}), JOB, "One request in twenty of titanic-api takes longer than 2.5s", latency({"1": 90, "2": 96, "5": 100, "+Inf": 100})),
    "PodRestartBurst": (20, {RESTARTS: "0 0 0 0 0 1 2 3 4 5 5 5 5 5 5 5 5 5 5 5 5 5"}, POD, "titanic-api-1 was restarted 4 times in 15 minutes", {RESTARTS: "0 0 0 0 0 1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2"}),
    "HighMemoryUsage": (8, {**constant(MEMORY, 900), **constant(LIMIT % "memory", 1000)}, POD, "titanic-api-1 uses 90% of its memory", {**constant(MEMORY, 840), **constant(LIMIT % "memory", 1000)}),
    "HighCPUUsage": (12, {CPU: "0+54x30", **constant(LIMIT % "cpu", 1)}, POD, "titanic-api-1 uses 90% of its CPU", {CPU: "0+45x30", **constant(LIMIT % "cpu", 1)}),
    "DBConnectionPoolLow": (5, {**constant('db_pool_available_connections{job="titanic-api",instance="a"}', 1), **constant('db_pool_size{job="titanic-api",instance="a"}', 20), **constant('db_pool_available_connections{job="titanic-api",instance="b"}', 20), **constant('db_pool_size{job="titanic-api",instance="b"}', 20)}, {**JOB, "instance": "a"}, "Only 5% of the database sessions of a are free",
                            {**constant('db_pool_available_connections{job="titanic-api"}', 2), **constant('db_pool_size{job="titanic-api"}', 20)}),
    "PodCrashLoop": (45, {RESTARTS: " ".join(str(i * 2 // 11) for i in range(60))}, POD, "titanic-api-1 crashes again and again", {RESTARTS: "0+0x5 1+0x20"}),
    "DeploymentReplicasMismatch": (8, {**constant(DEPLOYMENT % "spec_replicas", 3), **constant(DEPLOYMENT % "status_replicas_available", 2)}, {"deployment": "titanic-api", "namespace": "titanic"},
                                   "titanic-api does not have the 3 replicas it should", {**constant(DEPLOYMENT % "spec_replicas", 3), **constant(DEPLOYMENT % "status_replicas_available", 3)}),
    "OTELCollectorHighErrorRate": (12, {SPANS % "send_failed_spans": "0+20x30", SPANS % "sent_spans": "0+80x30"}, {"exporter": "otlp/tempo"}, "20% of the spans that otlp/tempo sends are lost", {SPANS % "send_failed_spans": "0+9x30", SPANS % "sent_spans": "0+91x30"}),
    "OTELCollectorQueueFull": (5, {**constant(SPANS % "queue_size", 1000), **constant(SPANS % "queue_capacity", 1000)}, {"exporter": "otlp/tempo"}, "The queue of the collector's exporter otlp/tempo is full", {**constant(SPANS % "queue_size", 900), **constant(SPANS % "queue_capacity", 1000)}),
    "ErrorBudgetBurnFast": (90, requests(990, 10, 120), JOB, SLO_SUMMARY % ("errors", "14.4"), requests(995, 5, 120)),
    "ErrorBudgetBurnMedium": (400, requests(995, 5, 420), JOB, SLO_SUMMARY % ("errors", "6"), requests(998, 2, 420)),
    "ErrorBudgetBurnSlow": (1500, requests(998, 2, 1600), JOB, SLO_SUMMARY % ("errors", "3"), requests(999, 1, 1600)),
    "ErrorBudgetBurnCreeping": (1500, requests(999, 1, 1600), JOB, SLO_SUMMARY % ("errors", "1"), requests(9996, 4, 1600)),
    "LatencyBudgetBurnFast": (90, latency({"0.5": 80, "+Inf": 100}, 120), JOB, SLO_SUMMARY % ("answers slower than half a second", "14.4"), latency({"0.5": 90, "+Inf": 100}, 120)),
    "LatencyBudgetBurnMedium": (400, latency({"0.5": 90, "+Inf": 100}, 420), JOB, SLO_SUMMARY % ("answers slower than half a second", "6"), latency({"0.5": 95, "+Inf": 100}, 420)),
    "LatencyBudgetBurnSlow": (1500, latency({"0.5": 95, "+Inf": 100}, 1600), JOB, SLO_SUMMARY % ("answers slower than half a second", "3"), latency({"0.5": 98, "+Inf": 100}, 1600)),
    "LatencyBudgetBurnCreeping": (1500, latency({"0.5": 98, "+Inf": 100}, 1600), JOB, SLO_SUMMARY % ("answers slower than half a second", "1"), latency({"0.5": 995, "+Inf": 1000}, 1600)),
    "Down": (3, constant('up{job="titanic-api",instance="a:5000"}', 0), {**JOB, "instance": "a:5000"}, "a:5000 cannot be scraped", constant('up{job="titanic-api",instance="a:5000"}', 1)),
    "Absent": (8, constant('up{job="another"}', 1), JOB, "There is no titanic-api at all", constant('up{job="titanic-api",instance="a:5000"}', 1)),
    "PluginNotReady": (4, {**constant(STATE % "failed", 1), **constant(STATE % "ready", 0)}, {**JOB, "instance": "a:5000", "plugin": "database", "state": "failed"}, "The plugin database on a:5000 is failed", {**constant(STATE % "failed", 0), **constant(STATE % "starting", 1)}),
    "SyntheticCheckFailing": (4, constant('probe_success{job="titanic-synthetic",instance="https://titanic.example/people"}', 0), {"job": "titanic-synthetic", "instance": "https://titanic.example/people"},
                              "The check of https://titanic.example/people fails", constant('probe_success{job="titanic-synthetic",instance="x"}', 1)),
    "DatabaseDown": (3, constant('pg_up{job="titanic-postgres",instance="db"}', 0), {"job": "titanic-postgres", "instance": "db"}, "PostgreSQL does not answer its exporter", constant('pg_up{job="titanic-postgres",instance="db"}', 1)),
    "TargetDown": (8, constant('up{job="otel-collector",instance="c"}', 0), {"job": "otel-collector", "instance": "c"}, "otel-collector on c cannot be scraped", constant('up{job="otel-collector",instance="c"}', 1)),
    "RequestsRefused": (12, {'bulkhead_refused_total{job="titanic-api",reason="pipeline"}': "0+1200x30"}, {**JOB, "reason": "pipeline"}, "20 requests a second are refused: pipeline", {'bulkhead_refused_total{job="titanic-api",reason="pipeline"}': "0+540x30"}),
    "ExecutorQueueLong": (4, constant('bulkhead_executor_queue{job="titanic-api",instance="a"}', 600), {**JOB, "instance": "a"}, "600 steps wait for a thread on a", constant('bulkhead_executor_queue{job="titanic-api",instance="a"}', 500)),
    "LoopLag": (4, constant('bulkhead_loop_lag_seconds{job="titanic-api",instance="a"}', 0.5), {**JOB, "instance": "a"}, "An I/O thread of a is 500ms late", constant('bulkhead_loop_lag_seconds{job="titanic-api",instance="a"}', 0.2)),
    "TrafficAnomaly": (252, wave('job:api_requests:rate5m{job="titanic-api"}', 0), JOB, None, wave('job:api_requests:rate5m{job="titanic-api"}', 101)),
    "LatencyAnomaly": (252, wave('job:api_response_latency_seconds:p95_5m{job="titanic-api"}', 150), JOB, None, wave('job:api_response_latency_seconds:p95_5m{job="titanic-api"}', 60)),
    "TrafficSeasonalDrop": (30 * (2 * 336 + 10), weeks(30), JOB, "titanic-api has less than half of the traffic usual at this hour", weeks(60)),
    "MetricCardinality": (20, {'bulkhead_metrics_dropped_total{job="titanic-api",metric="people_x"}': "0+1x30"}, {**JOB, "metric": "people_x"}, "The metric people_x has more series than may be kept", constant('bulkhead_metrics_dropped_total{job="titanic-api",metric="people_x"}', 5)),
    "ScrapeCardinality": (18, constant('scrape_samples_post_metric_relabeling{job="titanic-api",instance="a"}', 12000), {**JOB, "instance": "a"}, "a exposes 12k samples", constant('scrape_samples_post_metric_relabeling{job="titanic-api",instance="a"}', 9000)),
    "CertificateExpiresSoon": (70, constant('bulkhead_certificate_expiry_timestamp_seconds{job="titanic-api",instance="a",listen="a:443"}', 868200, 100), {**JOB, "instance": "a", "listen": "a:443"},
                               "A certificate of a expires in 10d 0h 0m 0s", constant('bulkhead_certificate_expiry_timestamp_seconds{job="titanic-api",instance="a",listen="a:443"}', 2000000, 100)),
    "CertificateExpires": (10, constant('probe_ssl_earliest_cert_expiry{job="titanic-synthetic",instance="a"}', 173400), {"job": "titanic-synthetic", "instance": "a"},
                           "A certificate of a expires in 2d 0h 0m 0s", constant('probe_ssl_earliest_cert_expiry{job="titanic-synthetic",instance="a"}', 868200)),
    "BackupTooOld": (27 * 60, constant('titanic_backup_last_success_timestamp_seconds{database="titanic"}', 0, 1700), {"database": "titanic"}, "The last backup of titanic is 1d 3h 0m 0s old", constant('titanic_backup_last_success_timestamp_seconds{database="titanic"}', 86400, 1700)),
    "BackupUnknown": (70, constant('up{job="another"}', 1, 100), {}, "No job reports backups", constant('titanic_backup_last_success_timestamp_seconds{database="titanic"}', 0, 100)),
    "TelemetryDropped": (18, {'otlp_dropped_total{job="titanic-api",signal="traces",reason="queue_full"}': "0+120x30"}, {**JOB, "signal": "traces", "reason": "queue_full"}, "2 traces a second are lost: queue_full",
                         {'otlp_dropped_total{job="titanic-api",signal="traces",reason="queue_full"}': "0+30x30"}),
    "LogsDropped": (15, {'bulkhead_log_dropped_total{job="titanic-api",instance="a"}': "0+60x30"}, {**JOB, "instance": "a"}, "a loses log lines",
                    {'accesslog_dropped_total{job="titanic-api",instance="a",reason="buffer_full"}': "7+0x30", 'bulkhead_log_dropped_total{job="titanic-api",instance="a"}': "3+0x30"}),
}


def test_every_alert_has_a_case_and_a_runbook():
    assert {f"TitanicAPI{name}" for name in CASES} == set(RULES)
    pages = {page.stem for page in (MONITORING / "runbooks").glob("TitanicAPI*.md")}
    assert pages == set(RULES)
    for name, rule in RULES.items():
        page = (MONITORING / "runbooks" / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n") and all(part in page for part in ("## What it means", "## Look", "## Do")), name
        assert {"summary", "description", "runbook_url", "dashboard_url"} == set(rule["annotations"]), name
        assert rule["annotations"]["runbook_url"].endswith(f"/{name}.md")


def test_committed_files_are_what_the_script_makes():
    subprocess.run([MONITORING / "rules.py", "--check"], check=True, timeout=60)
    found = subprocess.run(["promtool", "check", "rules", "--lint=all", *sorted((MONITORING / "prometheus/rules").glob("*.yaml"))], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


def test_no_rule_looks_further_back_than_what_is_kept():
    """15 days: promtool keeps everything, so that its tests could not see it."""
    text = "".join(path.read_text() for path in (MONITORING / "prometheus/rules").glob("*.yaml"))
    days = {"d": 1, "w": 7}
    spans = [int(number) * days[unit] for number, unit in re.findall(r"(?:\[|offset )(\d+)([dw])", text)]
    retention = int(re.search(r"retention.time=(\d+)d", (MONITORING / "prometheus/prometheus.yaml").read_text())[1])
    assert spans and max(spans) < retention


def rendered(name, summary):
    """The annotations of the rule with its summary filled in; no other has a variable."""
    annotations = dict(RULES[f"TitanicAPI{name}"]["annotations"])
    assert not any("{{" in text for key, text in annotations.items() if key != "summary"), name
    return {**annotations, "summary": summary}


@pytest.mark.parametrize("name", CASES)
def test_alert(name, tmp_path):
    minutes, fires, labels, summary, quiet = CASES[name]
    step = "30m" if name == "TrafficSeasonalDrop" else "5m" if minutes > 300 else "1m"
    rule = RULES[f"TitanicAPI{name}"]

    def series(given):
        return [{"series": key, "values": values} for key, values in given.items()]

    alert = f'ALERTS{{alertname="TitanicAPI{name}",alertstate="firing"}}'
    all_labels = {**rule["labels"], **labels}
    shown = ",".join(f'{key}="{value}"' for key, value in sorted({**all_labels, "alertname": f"TitanicAPI{name}", "alertstate": "firing"}.items()))
    good = {"interval": step, "input_series": series(fires), "promql_expr_test": [{"expr": alert, "eval_time": f"{minutes}m", "exp_samples": [{"labels": f"ALERTS{{{shown}}}", "value": 1}]}]}
    if summary:
        good["alert_rule_test"] = [{"eval_time": f"{minutes}m", "alertname": f"TitanicAPI{name}", "exp_alerts": [{"exp_labels": all_labels, "exp_annotations": rendered(name, summary)}]}]
    bad = {"interval": step, "input_series": series(quiet), "promql_expr_test": [{"expr": f"ALERTS{{alertname=\"TitanicAPI{name}\"}}", "eval_time": f"{minutes}m", "exp_samples": []}]}
    test = {"rule_files": [str(path) for path in sorted((MONITORING / "prometheus/rules").glob("*.yaml"))], "evaluation_interval": step, "tests": [good, bad]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test, width=10000))
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, re.sub(r"\n\s*\n", "\n", run.stdout + run.stderr)[:3000]
