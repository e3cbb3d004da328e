#!/usr/bin/env python3
"""Makes dashboards/*.json.

    make.py            writes them
    make.py --check    says whether the committed ones are what this script makes
"""

import json
import pathlib
import sys

from panels import bars, dashboard, gauge, heatmap, logs, queries, query, series, stat, table, traces

HERE = pathlib.Path(__file__).resolve().parent
J = 'job="$service"'
R = "[$__rate_interval]"
WRITES = 'operation!~"read|list|search"'
ERRORS = (("green", None), ("orange", 0.01), ("red", 0.05))


def rate(metric, by="", more=""):
    matchers = ",".join(filter(None, [J, more]))
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{matchers}}}{R}))"


def quantile(q, metric, by="", more=""):
    return f"histogram_quantile({q}, {rate(metric + '_bucket', f'le, {by}' if by else 'le', more)})"


def overview():
    failed = rate("api_requests_total", more='status=~"5.."')
    errors = f'({failed} or 0 * {rate("api_requests_total")}) / {rate("api_requests_total")}'
    running = f'sum(up{{{J}}})'
    return dashboard("overview", "Titanic overview", "Is the service well, and since when not? Every picture leads to traces and log lines of its time.", [
        ("Now", [
            stat("Current Request Rate", [query(rate("api_requests_total"))], "All answers a second.", "reqps"),
            stat("Current Error Rate", [query(errors)], "Share of answers of status 500 and above.", "percentunit", steps=ERRORS),
            stat("P95 Latency", [query(quantile(0.95, "api_response_latency_seconds"))], "Nineteen of twenty requests are faster.", "s", steps=(("green", None), ("orange", 0.5), ("red", 2))),
            stat("Running Pods", [query(running)], "Instances that answer Prometheus.", steps=(("red", None), ("orange", 1), ("green", 2))),
            stat("Error Budget Left", [query(f"job:slo_error_budget_remaining:ratio{{{J}}}")], "Of 0.05 % of two weeks' requests.", "percentunit", steps=(("red", None), ("orange", 0.25), ("green", 0.5))),
            stat("Open Connections", [query(f"sum(bulkhead_connections{{{J}}})")], "Of clients, on all instances."),
        ]),
        ("Traffic", [
            series("Request Rate by Method", queries((rate("api_requests_total", "method"), "{{method}}")), "Answers a second.", "reqps", stack=True),
            series("Response Latency Percentiles", queries((quantile(0.5, "api_response_latency_seconds"), "p50"), (quantile(0.95, "api_response_latency_seconds"), "p95"), (quantile(0.99, "api_response_latency_seconds"), "p99"), exemplar=True),
                   "From the first byte of a request to the last of its answer. Points are exemplars: each leads to its trace.", "s", limit=2),
            series("Error Rate by Status Code", queries((rate("api_requests_total", "status", 'status=~"[45].."'), "{{status}}")), "Answers of status 400 and above a second.", "reqps"),
            series("Resource Utilization", queries((f"sum by (instance) (rate(process_cpu_seconds_total{{{J}}}{R}))", "CPU {{instance}}"), (f"sum by (instance) (process_resident_memory_bytes{{{J}}}) / 2^30", "memory GiB {{instance}}")),
                   "Cores and GiB of each instance."),
        ]),
        ("Routes", [
            bars("Busiest Routes", [query(f"topk(8, {rate('api_requests_total', 'endpoint')})", "{{endpoint}}", instant=True)], "Answers a second.", "reqps"),
            bars("Slowest Routes", [query(f"topk(8, {quantile(0.95, 'api_response_latency_seconds', 'endpoint')} > 0)", "{{endpoint}}", instant=True)], "95th percentile.", "s"),
            heatmap("Latency Distribution", [query(rate("api_response_latency_seconds_bucket", "le"), "{{le}}")], "Where requests lie.", width=8),
        ]),
        ("What happened", [
            logs("Failed Requests", '{service_name="$service"} | json | http_status >= 500 | line_format "{{.message}} {{.http_status}} {{.http_duration_ms}} ms {{.trace_id}}"', "Lines of the access log; `trace_id` leads to the trace.", 12),
            traces("Failed and Slow Traces", '{ resource.service.name = "$service" && kind = server && (status = error || duration > 1s) }', "Kept whatever the sampling.", 12),
        ]),
    ])


def plugins():
    seconds, steps = "bulkhead_step_seconds_total", "bulkhead_steps_total"
    return dashboard("plugins", "Titanic plugins", "Whose time it is, and how the host's threads and queues are.", [
        ("Plugins", [
            series("Time by Plugin", queries((rate(seconds, "plugin"), "{{plugin}}")), "Seconds of wall time a second, waiting included.", "s", stack=True, many=True),
            series("Mean Step by Plugin", queries((f"{rate(seconds, 'plugin')} / ({rate(steps, 'plugin')} > 0)", "{{plugin}}")), "Of one step of a request.", "s", many=True),
            bars("Where the Time Goes", [query(f"topk(10, {rate(seconds, 'plugin, phase, route')} > 0)", "{{plugin}} {{phase}} {{route}}", instant=True)], "Seconds a second.", "s", width=12),
            table("States", [query(f"bulkhead_plugin_state{{{J}}} == 1")], "What each plugin says of itself.", hide=("Time", "Value", "__name__", "job")),
        ]),
        ("Threads and queues", [
            series("I/O Threads", queries((f"sum by (instance) (rate(bulkhead_loop_busy_seconds_total{{{J}}}{R}))", "busy {{instance}}"), (f"max by (instance) (bulkhead_loop_lag_seconds{{{J}}})", "lag {{instance}}")), "Cores in use, and how late the latest one is.", "s"),
            series("Executor", queries((f"sum by (instance) (bulkhead_executor_queue{{{J}}})", "waiting {{instance}}"), (rate("bulkhead_executor_tasks_total"), "steps a second")), "Steps that block."),
            series("Connections and Exchanges", queries((f"sum(bulkhead_connections{{{J}}})", "connections"), (f"sum(bulkhead_exchanges{{{J}}})", "requests in the air"))),
            series("Bytes", queries((rate("bulkhead_received_bytes_total"), "in"), (rate("bulkhead_sent_bytes_total"), "out")), unit="Bps"),
            series("Refused", queries((rate("bulkhead_refused_total", "reason"), "{{reason}}")), "Turned away by a limit, a deadline or the parser.", "reqps", many=True),
            series("Descriptors and Threads", queries((f"sum by (instance) (process_open_fds{{{J}}})", "descriptors {{instance}}"), (f"sum by (instance) (process_threads{{{J}}})", "threads {{instance}}"))),
        ]),
        ("Telemetry", [
            series("Traces by Decision", queries((rate("tracing_traces_total", "decision"), "{{decision}}")), "What was decided when a request ended.", "reqps", stack=True, many=True),
            series("Exported", queries((rate("otlp_exported_total", "signal"), "{{signal}}"), (rate("otlp_dropped_total", "signal, reason"), "{{signal}} lost: {{reason}}")), "Spans and log lines a second.", many=True),
            series("Access Log", queries((rate("accesslog_lines_total"), "lines"), (rate("accesslog_dropped_total", "reason"), "lost: {{reason}}")), "Lines a second."),
            series("Sampling Factor", queries((f"min(tracing_sampling_factor_ratio{{{J}}})", "factor")), "1: the share is as configured; less: the budget lowers it.", "percentunit", maximum=1),
        ]),
    ])


def database():
    return dashboard("database", "Titanic database", "Sessions, queries and batches, and PostgreSQL itself.", [
        ("Pool", [
            gauge("Free Sessions", [query(f"sum(db_pool_available_connections{{{J}}}) / sum(db_pool_size{{{J}}})")], "Of all.", steps=(("red", None), ("orange", 0.1), ("green", 0.3)), width=6, height=8),
            series("Sessions", queries((f"sum(db_pool_size{{{J}}})", "open"), (f"sum(db_pool_available_connections{{{J}}})", "free")), width=18),
        ]),
        ("Queries", [
            series("Query Rate", queries((rate("db_query_latency_seconds_count", "query_type"), "{{query_type}}")), "Statements a second; a batch is one.", "ops", stack=True, many=True),
            series("Query Latency P95", queries((quantile(0.95, "db_query_latency_seconds", "query_type"), "{{query_type}}"), exemplar=True), "From the session's taking to its answer.", "s", many=True),
            series("Batch Sizes", queries((f"{rate('db_batch_size_sum', 'query_type')} / ({rate('db_batch_size_count', 'query_type')} > 0)", "{{query_type}}")), "Lookups in one query, writes in one transaction."),
            heatmap("Latency Distribution", [query(rate("db_query_latency_seconds_bucket", "le"), "{{le}}")]),
        ]),
        ("PostgreSQL", [
            stat("Up", [query('max(pg_up{job="titanic-postgres"})')], steps=(("red", None), ("green", 1)), mappings=[{"type": "value", "options": {"0": {"text": "down", "index": 0}, "1": {"text": "up", "index": 1}}}]),
            series("Connections by State", queries(('sum by (state) (pg_stat_activity_count{job="titanic-postgres"})', "{{state}}")), width=10, many=True),
            series("Transactions", queries((f'sum(rate(pg_stat_database_xact_commit{{job="titanic-postgres"}}{R}))', "committed"), (f'sum(rate(pg_stat_database_xact_rollback{{job="titanic-postgres"}}{R}))', "rolled back")), width=10, unit="ops"),
        ]),
        ("Traces", [traces("Slow Queries", '{ resource.service.name = "$service" && span.db.system.name != nil && duration > 100ms }')]),
    ])


def cache():
    hits = 'result=~"hit|revalidated|collapsed"'
    return dashboard("cache", "Titanic cache", "What is answered without the database.", [
        ("Answers", [
            gauge("Hit Rate", [query(f"({rate('cache_requests_total', more=hits)} or 0 * {rate('cache_requests_total')}) / {rate('cache_requests_total')}")], "Of what could have been kept.", steps=(("red", None), ("orange", 0.5), ("green", 0.8)), width=6, height=8),
            series("Requests by Result", queries((rate("cache_requests_total", "result"), "{{result}}")), unit="reqps", stack=True, width=18, many=True),
        ]),
        ("Memory", [
            series("Entries", queries((f"sum by (instance) (cache_entries{{{J}}})", "{{instance}}"))),
            series("Bytes", queries((f"sum by (instance) (cache_bytes{{{J}}})", "{{instance}}")), unit="bytes"),
            series("Evictions", queries((rate("cache_evictions_total"), "evicted")), unit="ops"),
        ]),
        ("Coherence", [
            series("Invalidations", queries((rate("cache_invalidations_total", "origin"), "{{origin}}")), "Changes made here, and heard of from elsewhere.", "ops"),
            series("Hears of Others", queries((f"min by (instance) (cache_coherent{{{J}}})", "{{instance}}")), "While it is 0 nothing kept is used.", maximum=1),
        ]),
    ])


def slo():
    windows = ("5m", "1h", "6h", "1d", "3d")
    budget = f"job:slo_error_budget_remaining:ratio{{{J}}}"
    return dashboard("slo", "Titanic SLO", "99.95 % of requests without a 5xx and 99 % within half a second, over two weeks.", [
        ("Availability", [
            stat("Availability", [query(f"1 - job:slo_errors:ratio_rate14d{{{J}}}")], "Of two weeks.", "percentunit", 6, 8, (("red", None), ("orange", 0.9995), ("green", 0.9998)), decimals=3),
            gauge("Budget Left", [query(budget)], "0: the objective is missed.", width=6, height=8, steps=(("red", None), ("orange", 0.25), ("green", 0.5))),
            series("Burn Rate", queries(*[(f"job:slo_errors:ratio_rate{window}{{{J}}} / 0.0005", window) for window in windows]), "1 spends the month's budget in a month; 14.4 in two days.", limit=14.4, many=True),
        ]),
        ("Latency", [
            stat("Within Half a Second", [query(f"1 - job:slo_slow:ratio_rate14d{{{J}}}")], "Of two weeks.", "percentunit", 6, 8, (("red", None), ("orange", 0.99), ("green", 0.995)), decimals=3),
            stat("P99 Now", [query(f"job:api_response_latency_seconds:p99_5m{{{J}}}")], "", "s", 6, 8),
            series("Burn Rate of Latency", queries(*[(f"job:slo_slow:ratio_rate{window}{{{J}}} / 0.01", window) for window in windows]), limit=14.4, many=True),
        ]),
        ("Budget over time", [series("Budget Left over Time", queries((budget, "left")), unit="percentunit", width=24, maximum=1, minimum=None)]),
        ("Alerts", [table("Alerts", [query('ALERTS{service="titanic-api"}')], "Pending and firing.", width=24, hide=("Time", "Value", "__name__", "service"))]),
    ], span="now-7d")


def kpis():
    operation = "people_operations_total"
    return dashboard("kpis", "Titanic passengers", "What the service is for: the records and their use.", [
        ("Records", [
            stat("Records", [query(f"max(sum by (instance) (people_records{{{J}}}))")], "All passengers that are not deleted.", width=6),
            stat("Survivors", [query(f'max(sum by (instance) (people_records{{{J},survived="true"}}))')], width=6),
            gauge("Survival", [query(f'sum(people_records{{{J},survived="true"}}) / sum(people_records{{{J}}})')], "Share of all records.", width=6),
            stat("Operations", [query(rate(operation))], "A second.", "ops", 6),
        ]),
        ("Who survived", [
            bars("Survival by Class", [query(f'sum by (passenger_class) (people_records{{{J},survived="true"}}) / sum by (passenger_class) (people_records{{{J}}})', "class {{passenger_class}}", instant=True)], unit="percentunit"),
            series("Records by Class and Survival", queries((f"max by (passenger_class, survived) (people_records{{{J}}})", "class {{passenger_class}}, survived {{survived}}")), stack=True, width=16, many=True),
        ]),
        ("Use", [
            series("Operations by Kind", queries((rate(operation, "operation"), "{{operation}}")), "Reads, lists, searches and writes.", "ops", stack=True),
            series("Share of Writes", queries((f'({rate(operation, more=WRITES)} or 0 * {rate(operation)}) / {rate(operation)}', "writes")), unit="percentunit", maximum=1),
        ]),
    ])


def cost():
    cpu, memory = f"sum(rate(process_cpu_seconds_total{{{J}}}{R}))", f"sum(process_resident_memory_bytes{{{J}}})"
    requests = rate("api_requests_total")
    # A node of 4 cores and 16 GiB is 185 dollars a month (deploy/monitoring/README.md): half for its cores, half for its memory.
    core, gib, month = 185 / 2 / 4, 185 / 2 / 16, 30 * 86400
    dollars = f"({cpu} * {core} + {memory} / 2^30 * {gib:.2f})"
    return dashboard("cost", "Titanic cost", "What a request costs: cores, memory, and what telemetry takes. Dollars are by a node's list price, for what is used.", [
        ("Requests", [
            stat("CPU a Request", [query(f"{cpu} / {requests}")], unit="s", width=6),
            stat("Bytes a Request", [query(f"{rate('bulkhead_sent_bytes_total')} / {requests}")], unit="bytes", width=6),
            stat("Dollars a Month", [query(dollars)], "Of the cores and memory in use.", "currencyUSD", 6),
            stat("Dollars a Million Requests", [query(f"{dollars} / ({requests} * {month}) * 1e6")], unit="currencyUSD", width=6, decimals=4),
        ]),
        ("Machines", [
            series("Cores", queries((f"sum by (instance) (rate(process_cpu_seconds_total{{{J}}}{R}))", "{{instance}}")), "In use."),
            series("Memory", queries((f"sum by (instance) (process_resident_memory_bytes{{{J}}})", "{{instance}}")), unit="bytes"),
        ]),
        ("Telemetry", [
            series("Samples a Scrape", queries((f"scrape_samples_post_metric_relabeling{{{J}}}", "{{instance}}")), limit=10000),
            bars("Samples by Metric", [query(f"topk(10, count by (__name__) ({{{J}}}))", "{{__name__}}", instant=True)]),
            stat("Series in Prometheus", [query("sum(prometheus_tsdb_head_series)")], width=4, height=8),
            series("Spans and Lines Exported", queries((rate("otlp_exported_total", "signal"), "{{signal}}")), unit="ops"),
            series("Bytes of the Network", queries((rate("bulkhead_sent_bytes_total"), "out"), (rate("bulkhead_received_bytes_total"), "in")), unit="Bps"),
        ]),
    ])


def main():
    for make in (overview, plugins, database, cache, slo, kpis, cost):
        path, text = HERE / f"dashboards/{make.__name__}.json", json.dumps(make(), indent=1) + "\n"
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                sys.exit(f"{path} is not what grafana/make.py makes: run it")
        else:
            path.write_text(text)


if __name__ == "__main__":
    main()
