#!/usr/bin/env python3
"""Makes the recording rules and alerts: prometheus/rules/*.yaml and kubernetes/prometheus-rules.yaml.

    rules.py                          writes the committed files
    rules.py --check                  says whether they are what this script makes
    rules.py --divide 60 --out DIR    the same rules with every duration divided, for a rehearsal

Durations are written {5m}; a rehearsal divides each, down to --shortest. The reason for an alert stands beside it: its
threshold, why that threshold, and its page in runbooks/.
"""

import argparse
import pathlib
import re
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
BUDGET = "0.0005"  # of requests that may fail: 99.95 % must not
LATENCY_OBJECTIVE = 0.99  # of requests within half a second
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# What users see: probes and scrapes are no part of the service's level.
SERVED = 'endpoint!~"/health/.*|/metrics"'
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d")
LONG_WINDOWS = ("3d", "14d")  # two weeks are what 15 days of retention can show


def errors_ratio(matchers, window):
    """0 while there are requests and no error, so that panels have a line."""
    total = f"sum by (job) (rate(api_requests_total{{{matchers}}}[{{{window}}}]))"
    failed = ",".join(filter(None, [matchers, 'status=~"5.."']))
    return f"(sum by (job) (rate(api_requests_total{{{failed}}}[{{{window}}}])) or 0 * {total}) / {total}"


def recording():
    """Named level:metric:operations, as Prometheus' documentation asks."""
    rules = [
        ("job:api_requests:rate5m", "sum by (job) (rate(api_requests_total[{5m}]))"),
        ("job_method:api_requests:rate5m", "sum by (job, method) (rate(api_requests_total[{5m}]))"),
        ("job_status:api_requests:rate5m", "sum by (job, status) (rate(api_requests_total[{5m}]))"),
        ("job_endpoint:api_requests:rate5m", "sum by (job, endpoint) (rate(api_requests_total[{5m}]))"),
        ("job_le:api_response_latency_seconds_bucket:rate5m", "sum by (job, le) (rate(api_response_latency_seconds_bucket[{5m}]))"),
    ]
    for quantile in ("0.5", "0.95", "0.99"):
        name = f"job:api_response_latency_seconds:p{quantile[2:].ljust(2, '0')}_5m"
        rules.append((name, f"histogram_quantile({quantile}, job_le:api_response_latency_seconds_bucket:rate5m)"))
    rules += [
        ("job:api_errors:ratio_rate5m", errors_ratio("", "5m")),
        ("job_plugin:bulkhead_step_seconds:mean5m", "sum by (job, plugin) (rate(bulkhead_step_seconds_total[{5m}])) / sum by (job, plugin) (rate(bulkhead_steps_total[{5m}]))"),
        ("job_instance:db_pool_available:ratio", "sum by (job, instance) (db_pool_available_connections) / sum by (job, instance) (db_pool_size)"),
        ("job:cache_hits:ratio_rate5m", 'sum by (job) (rate(cache_requests_total{result=~"hit|revalidated|collapsed"}[{5m}])) / sum by (job) (rate(cache_requests_total[{5m}]))'),
    ]
    return [{"record": name, "expr": expr} for name, expr in rules]


def slo(windows=WINDOWS):
    rules = []
    for window in windows:
        rules.append({"record": f"job:slo_errors:ratio_rate{window}", "expr": errors_ratio(SERVED, window)})
        count = f"sum by (job) (rate(api_response_latency_seconds_count{{{SERVED}}}[{{{window}}}]))"
        fast = f'sum by (job) (rate(api_response_latency_seconds_bucket{{{SERVED},le="0.5"}}[{{{window}}}]))'
        rules.append({"record": f"job:slo_slow:ratio_rate{window}", "expr": f"1 - {fast} / {count}"})
    return rules


def slo_long():
    return [*slo(LONG_WINDOWS), {"record": "job:slo_error_budget_remaining:ratio", "expr": f"1 - job:slo_errors:ratio_rate14d / {BUDGET}"}]


def alert(name, expr, hold, severity, summary, description, dashboard="overview", **labels):
    return {"alert": f"TitanicAPI{name}", "expr": expr, **({"for": f"{{{hold}}}"} if hold else {}),
            "labels": {"severity": severity, "service": "titanic-api", **labels},
            "annotations": {"summary": summary, "description": description,
                            "runbook_url": f"@runbooks@/TitanicAPI{name}.md", "dashboard_url": f"@grafana@/d/titanic-{dashboard}"}}


CONTAINER = 'container="titanic-api"'
POD = 'pod=~"titanic-api-.*"'


def original():
    """The ten of the first deployment, with its thresholds."""
    return [
        alert("HighErrorRate", "job:api_errors:ratio_rate5m > 0.05", "5m", "critical",
              "{{ $value | humanizePercentage }} of the answers of {{ $labels.job }} are errors",
              "More than 5 % of all answers had a status of 500 or above for 5 minutes."),
        alert("HighLatencyP95", "job:api_response_latency_seconds:p95_5m > 2", "5m", "warning",
              "One request in twenty of {{ $labels.job }} takes longer than {{ $value | humanizeDuration }}",
              "The 95th percentile of the latency was above 2 s for 5 minutes; it is usually a few milliseconds."),
        alert("PodRestartBurst", f"sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total{{{CONTAINER}}}[{{15m}}])) > 3", "", "critical",
              "{{ $labels.pod }} was restarted {{ $value | humanize }} times in 15 minutes",
              "A container that is restarted more than three times in 15 minutes does not recover by itself."),
        alert("HighMemoryUsage", f'max by (namespace, pod) (container_memory_working_set_bytes{{{CONTAINER}}}) / max by (namespace, pod) (kube_pod_container_resource_limits{{{CONTAINER},resource="memory"}}) > 0.85', "5m", "warning",
              "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory",
              "Memory was above 85 % of the limit for 5 minutes. At the limit the kernel kills the container."),
        alert("HighCPUUsage", f'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{CONTAINER}}}[{{5m}}])) / max by (namespace, pod) (kube_pod_container_resource_limits{{{CONTAINER},resource="cpu"}}) > 0.8', "5m", "warning",
              "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its CPU",
              "CPU was above 80 % of the limit for 5 minutes. At the limit the container is throttled and latency rises."),
        alert("DBConnectionPoolLow", "job_instance:db_pool_available:ratio < 0.1", "2m", "warning",
              "Only {{ $value | humanizePercentage }} of the database sessions of {{ $labels.instance }} are free",
              "Fewer than a tenth of the sessions were free for 2 minutes: queries are slow, or there are too many.", "database"),
        alert("PodCrashLoop", f"sum by (namespace, pod) (rate(kube_pod_container_status_restarts_total{{{CONTAINER}}}[{{15m}}])) * 60 > 0.1", "5m", "critical",
              "{{ $labels.pod }} crashes again and again",
              "More than 0.1 restarts a minute over 15 minutes: Kubernetes waits up to five minutes before each restart."),
        alert("DeploymentReplicasMismatch", 'kube_deployment_spec_replicas{deployment="titanic-api"} != kube_deployment_status_replicas_available{deployment="titanic-api"}', "5m", "warning",
              "{{ $labels.deployment }} does not have the {{ $value }} replicas it should",
              "Wanted and available replicas differ for 5 minutes: pods do not start, do not become ready, or find no node."),
        alert("OTELCollectorHighErrorRate", "sum by (exporter) (rate(otelcol_exporter_send_failed_spans[{5m}])) / (sum by (exporter) (rate(otelcol_exporter_send_failed_spans[{5m}])) + sum by (exporter) (rate(otelcol_exporter_sent_spans[{5m}]))) > 0.1", "5m", "warning",
              "{{ $value | humanizePercentage }} of the spans that {{ $labels.exporter }} sends are lost",
              "The collector could not pass on more than 10 % of the spans for 5 minutes.", "plugins"),
        alert("OTELCollectorQueueFull", "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity) > 0.95", "2m", "critical",
              "The queue of the collector's exporter {{ $labels.exporter }} is full",
              "The queue was full for 2 minutes: the collector drops new spans.", "plugins"),
    ]


def burn_rates():
    """Multiwindow, multi-burn-rate: Google's SRE workbook, chapter 5. A page spends 2 % of the month in an hour or 5 % in six; a
    ticket 10 % in one day or in three."""
    made = []
    for name, sli, budget, what in (("ErrorBudgetBurn", "job:slo_errors", BUDGET, "errors"),
                                    ("LatencyBudgetBurn", "job:slo_slow", f"{1 - LATENCY_OBJECTIVE:.2f}", "answers slower than half a second")):
        for speed, long, short, factor, hold, severity in (("Fast", "1h", "5m", "14.4", "2m", "critical"), ("Medium", "6h", "30m", "6", "15m", "critical"),
                                                           ("Slow", "1d", "2h", "3", "1h", "warning"), ("Creeping", "3d", "6h", "1", "3h", "warning")):
            limit = f"({factor} * {budget})"
            made.append(alert(f"{name}{speed}", f"{sli}:ratio_rate{long} > {limit} and {sli}:ratio_rate{short} > {limit}", hold, severity,
                              f"{{{{ $labels.job }}}} spends its budget of {what} {factor} times too fast",
                              f"More than {float(factor) * float(budget):.3%} of the requests of the last {long}, and of the last {short}, were {what}; the objective allows {float(budget):.2%}.", "slo"))
    return made


def availability():
    return [
        alert("Down", 'up{job="titanic-api"} == 0', "1m", "critical", "{{ $labels.instance }} cannot be scraped",
              "Prometheus got no answer from /metrics for a minute: the process is gone, hangs, or the network is cut."),
        alert("Absent", 'absent(up{job="titanic-api"})', "5m", "critical", "There is no titanic-api at all",
              "Prometheus knows no target of the job: the deployment is gone, or the scrape configuration no longer finds it."),
        alert("PluginNotReady", 'max by (job, instance, plugin, state) (bulkhead_plugin_state{state=~"failed|degraded"}) == 1', "2m", "warning",
              "The plugin {{ $labels.plugin }} on {{ $labels.instance }} is {{ $labels.state }}",
              "A plugin has reported for 2 minutes that it cannot do its work, or only part of it. /health/ready has the reason.", "plugins"),
        alert("SyntheticCheckFailing", 'probe_success{job="titanic-synthetic"} == 0', "2m", "critical", "The check of {{ $labels.instance }} fails",
              "For 2 minutes, the probe that acts as a user from outside has failed."),
        alert("DatabaseDown", 'pg_up{job="titanic-postgres"} == 0', "1m", "critical", "PostgreSQL does not answer its exporter",
              "The exporter could not connect for a minute.", "database"),
        alert("TargetDown", 'up{job=~"titanic-postgres|titanic-synthetic|otel-collector|pushgateway"} == 0', "5m", "warning", "{{ $labels.job }} on {{ $labels.instance }} cannot be scraped",
              "A monitoring component is down: alerts that depend on it cannot fire."),
        alert("RequestsRefused", 'sum by (job, reason) (rate(bulkhead_refused_total[{5m}])) > 10', "5m", "warning",
              "{{ $value | humanize }} requests a second are refused: {{ $labels.reason }}",
              "A limit, a deadline or the parser turns away more than 10 requests a second for 5 minutes."),
        alert("ExecutorQueueLong", "max by (job, instance) (bulkhead_executor_queue) > 512", "2m", "warning",
              "{{ $value }} steps wait for a thread on {{ $labels.instance }}",
              "Half of the executor's queue is used for 2 minutes; when it is full the answer is 503.", "plugins"),
        alert("LoopLag", "max by (job, instance) (bulkhead_loop_lag_seconds) > 0.25", "2m", "warning",
              "An I/O thread of {{ $labels.instance }} is {{ $value | humanizeDuration }} late",
              "Something blocks or computes on an I/O thread: every connection of that thread waits.", "plugins"),
    ]


def anomalies():
    """Against the service's own past: how far from its mean in deviations, and from the same hour of the last two weeks (more is not kept)."""
    rate = "job:api_requests:rate5m"
    one, two = (f"avg_over_time({rate}[{{1h}}] offset {{{week}w}})" for week in (1, 2))
    expected = f"({one} < {two}) or {two}"  # the smaller: a week with a rush is no measure
    latency = "job:api_response_latency_seconds:p95_5m"
    return [
        {"record": "job:api_requests:zscore1d", "expr": f"({rate} - avg_over_time({rate}[{{1d}}])) / (stddev_over_time({rate}[{{1d}}]) > 0)"},
        {"record": "job:api_response_latency_seconds:zscore1d", "expr": f"({latency} - avg_over_time({latency}[{{1d}}])) / (stddev_over_time({latency}[{{1d}}]) > 0)"},
        {"record": "job:api_requests:expected_rate1h", "expr": expected},
        alert("TrafficAnomaly", f"abs(job:api_requests:zscore1d) > 4 and avg_over_time({rate}[{{1d}}]) > 1", "10m", "warning",
              "The traffic of {{ $labels.job }} is {{ $value | humanize }} deviations from its mean",
              "The request rate left the range of the last day for 10 minutes."),
        alert("LatencyAnomaly", f"job:api_response_latency_seconds:zscore1d > 4 and {latency} > 0.05", "10m", "warning",
              "The latency of {{ $labels.job }} is {{ $value | humanize }} deviations above its mean",
              "The 95th percentile left the range of the last day for 10 minutes, and is above 50 ms."),
        alert("TrafficSeasonalDrop", "job:api_requests:rate5m < 0.5 * job:api_requests:expected_rate1h and job:api_requests:expected_rate1h > 1", "15m", "warning",
              "{{ $labels.job }} has less than half of the traffic usual at this hour",
              "The rate is below half of what the same hour of the last two weeks had, for 15 minutes: callers cannot reach the service, or stopped calling."),
    ]


def housekeeping():
    return [
        alert("MetricCardinality", "sum by (job, metric) (increase(bulkhead_metrics_dropped_total[{15m}])) > 0", "", "warning",
              "The metric {{ $labels.metric }} has more series than may be kept",
              "Recordings are dropped: a label has values without bound.", "plugins"),
        alert("ScrapeCardinality", 'scrape_samples_post_metric_relabeling{job="titanic-api"} > 10000', "15m", "warning",
              "{{ $labels.instance }} exposes {{ $value | humanize }} samples",
              "More than 10,000 samples a scrape for 15 minutes: Prometheus pays for each.", "cost"),
        alert("CertificateExpiresSoon", "min by (job, instance, listen) (bulkhead_certificate_expiry_timestamp_seconds) - time() < {14d!} or min by (job, instance) (probe_ssl_earliest_cert_expiry) - time() < {14d!}", "1h", "warning",
              "A certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}",
              "The certificate should have been renewed a month before it expires: renewal has failed."),
        alert("CertificateExpires", "min by (job, instance, listen) (bulkhead_certificate_expiry_timestamp_seconds) - time() < {3d!} or min by (job, instance) (probe_ssl_earliest_cert_expiry) - time() < {3d!}", "5m", "critical",
              "A certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}",
              "Fewer than three days are left; then every client refuses the service."),
        alert("BackupTooOld", "time() - max by (database) (titanic_backup_last_success_timestamp_seconds) > {26h!}", "15m", "critical",
              "The last backup of {{ $labels.database }} is {{ $value | humanizeDuration }} old",
              "Backups are daily; the last one that succeeded is more than 26 hours old.", "database"),
        alert("BackupUnknown", "absent(titanic_backup_last_success_timestamp_seconds)", "1h", "warning",
              "No job reports backups", "No job reports a last success: assume that there is no backup.", "database"),
        alert("TelemetryDropped", 'sum by (job, signal, reason) (rate(otlp_dropped_total[{5m}])) > 1', "10m", "warning",
              "{{ $value | humanize }} {{ $labels.signal }} a second are lost: {{ $labels.reason }}",
              "Spans or log lines do not reach the collector, or overflow the queue of the tracing plugin.", "plugins"),
        alert("LogsDropped", 'sum by (job, instance) (rate({__name__=~"accesslog_dropped_total|bulkhead_log_dropped_total"}[{5m}])) > 0', "5m", "warning",
              "{{ $labels.instance }} loses log lines", "The disk is full or slow, or no process reads standard output.", "plugins"),
    ]


GROUPS = {"recording": [("titanic-recording", "15s", recording)],
          "slo": [("titanic-slo", "30s", slo), ("titanic-slo-long", "5m", slo_long), ("titanic-slo-alerts", "30s", burn_rates)],
          "alerts": [("titanic-original", "15s", original), ("titanic-availability", "15s", availability), ("titanic-housekeeping", "1m", housekeeping)],
          "anomalies": [("titanic-anomalies", "1m", anomalies)]}


def duration(text, divide, shortest):
    """{5m} divided; {14d!} is a number of seconds and a moment of the calendar, which no rehearsal shortens."""
    number, unit, absolute = re.fullmatch(r"(\d+)([smhdw])(!?)", text).groups()
    if absolute:
        return str(int(number) * UNITS[unit])
    if divide == 1:
        return f"{number}{unit}"
    return f"{max(round(int(number) * UNITS[unit] / divide * 1000), shortest)}ms"


def rewrite(node, change):
    if isinstance(node, dict):
        return {key: rewrite(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [rewrite(value, change) for value in node]
    return change(node) if isinstance(node, str) else node


def make(runbooks, grafana, divide=1, shortest=1000):
    """{file name: content}"""
    def change(text):
        text = re.sub(r"\{(\d+[smhdw]!?)\}", lambda found: duration(found[1], divide, shortest), text)
        return text.replace("@runbooks@", runbooks).replace("@grafana@", grafana)

    return {name: {"groups": [{"name": group, "interval": change("{%s}" % interval) if divide == 1 else "1s", "rules": rewrite(rules(), change)}
                              for group, interval, rules in groups]} for name, groups in GROUPS.items()}


def dump(content):
    return "# Made by deploy/monitoring/rules.py.\n" + yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runbooks", default="https://runbooks.titanic.example", help="where the pages of runbooks/ are served")
    parser.add_argument("--grafana", default="https://grafana.titanic.example", help="where Grafana is")
    parser.add_argument("--divide", type=float, default=1)
    parser.add_argument("--shortest", type=int, default=1000, help="milliseconds")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    made = make(arguments.runbooks, arguments.grafana, arguments.divide, arguments.shortest)
    folder = arguments.out or HERE / "prometheus/rules"
    files = {folder / f"{name}.yaml": dump(content) for name, content in made.items()}
    if arguments.out is None:
        groups = [group for content in made.values() for group in content["groups"]]
        files[HERE / "kubernetes/prometheus-rules.yaml"] = dump({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": {"name": "titanic-api", "namespace": "titanic", "labels": {"app.kubernetes.io/name": "titanic-api", "release": "prometheus"}},
            "spec": {"groups": groups}})
    for path, text in files.items():
        if arguments.check:
            if not path.exists() or path.read_text() != text:
                sys.exit(f"{path} is not what deploy/monitoring/rules.py makes: run it")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
