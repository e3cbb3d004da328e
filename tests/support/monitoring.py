"""The monitoring of deploy/monitoring, run for real: its own files, with other addresses and every duration divided."""

import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse
import urllib.request

import yaml

from support.servers import ROOT, free_port, wait_until

MONITORING = ROOT / "deploy/monitoring"
DIVIDE = 60
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def shorten(duration):
    number, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()
    return f"{max(int(int(number) * UNITS[unit] / DIVIDE * 1000), 200)}ms"


class Receiver:
    """PagerDuty, Slack and a mail server, as Alertmanager sees them: what they are sent, by path."""

    def __init__(self):
        self.sent = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.sent.append((self.path.strip("/"), json.loads(body)))
                answer = b'{"status":"success"}' if "pagerduty" in self.path else b"ok"
                self.send_response(202 if "pagerduty" in self.path else 200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.port = free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def of(self, who):
        return [message for to, message in self.sent if to == who]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Stack:
    """Prometheus, Alertmanager, blackbox and PostgreSQL exporters around one host."""

    def __init__(self, folder, host, database_url):
        self.folder, self.processes, self.receiver = pathlib.Path(folder), [], Receiver()
        self.prometheus_port, self.alertmanager_port, blackbox, exporter = (free_port() for _ in range(4))
        self.url, self.alertmanager = f"http://127.0.0.1:{self.prometheus_port}", f"http://127.0.0.1:{self.alertmanager_port}"
        subprocess.run([MONITORING / "rules.py", "--divide", str(DIVIDE), "--out", self.folder / "rules"], check=True, timeout=60)
        self.write_prometheus(host, blackbox, exporter)
        self.write_alertmanager()
        self.run("blackbox", ["prometheus-blackbox-exporter", f"--config.file={MONITORING}/blackbox/blackbox.yaml", f"--web.listen-address=127.0.0.1:{blackbox}"])
        self.run("exporter", ["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{exporter}"], {"DATA_SOURCE_NAME": database_url + "?sslmode=disable"})
        self.run("alertmanager", ["prometheus-alertmanager", f"--config.file={self.folder}/alertmanager.yaml", f"--storage.path={self.folder}/alertmanager", f"--web.listen-address=127.0.0.1:{self.alertmanager_port}", "--cluster.listen-address="])
        self.run("prometheus", ["prometheus", f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/tsdb", f"--web.listen-address=127.0.0.1:{self.prometheus_port}", "--enable-feature=exemplar-storage"])
        wait_until(lambda: self.answers(f"{self.url}/-/ready"), what="Prometheus")
        wait_until(lambda: self.answers(f"{self.alertmanager}/-/ready"), what="Alertmanager")

    def write_prometheus(self, host, blackbox, exporter):
        config = yaml.safe_load((MONITORING / "prometheus/prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [f"{self.folder}/rules/*.yaml"]
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{self.alertmanager_port}"]
        targets = {"titanic-api": f"127.0.0.1:{host.port}", "titanic-postgres": f"127.0.0.1:{exporter}", "prometheus": f"127.0.0.1:{self.prometheus_port}",
                   "titanic-synthetic": f"{host.url}/people?limit=1", "titanic-synthetic-ready": f"{host.url}/health/ready"}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in targets]
        assert len(config["scrape_configs"]) == len(targets)
        for job in config["scrape_configs"]:
            job["scrape_timeout"] = "1s"
            if job["job_name"] == "titanic-postgres":  # the exporter tries for a second before it says that it failed
                job["scrape_interval"] = job["scrape_timeout"] = "2s"
            job.pop("dns_sd_configs", None)
            job.setdefault("static_configs", [{}])[0]["targets"] = [targets[job["job_name"]]]
            for relabel in job.get("relabel_configs", []):
                if "blackbox" in relabel.get("replacement", ""):
                    relabel["replacement"] = f"127.0.0.1:{blackbox}"
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config))

    def write_alertmanager(self):
        config = yaml.safe_load((MONITORING / "alertmanager/alertmanager.yaml").read_text())
        slack, key = self.folder / "slack-url", self.folder / "pagerduty-key"
        slack.write_text(f"http://127.0.0.1:{self.receiver.port}/slack")
        key.write_text("0123456789abcdef0123456789abcdef")
        config["global"] = {"resolve_timeout": "5s", "slack_api_url_file": str(slack), "pagerduty_url": f"http://127.0.0.1:{self.receiver.port}/pagerduty"}
        config["templates"] = [f"{MONITORING}/alertmanager/templates/*.tmpl"]
        for route in [config["route"], *config["route"]["routes"]]:
            for key_name in ("group_wait", "group_interval", "repeat_interval"):
                if key_name in route:
                    route[key_name] = shorten(route[key_name])
            route.pop("mute_time_intervals", None)  # whatever day the tests run on
        for receiver in config["receivers"]:
            for pagerduty in receiver.get("pagerduty_configs", []):
                pagerduty["routing_key_file"] = str(key)
            if "email_configs" in receiver:
                del receiver["email_configs"]
                receiver["webhook_configs"] = [{"url": f"http://127.0.0.1:{self.receiver.port}/email"}]
        (self.folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))

    def run(self, name, command, environment=None):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes.append((name, subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env={**os.environ, **(environment or {})})))

    @staticmethod
    def answers(url):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expr):
        return self.ask("query", query=expr)["result"]

    def firing(self, alert):
        return self.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}')

    def close(self):
        for _, process in reversed(self.processes):
            process.terminate()
        for name, process in reversed(self.processes):
            assert process.wait(timeout=30) in (0, -15, 2), name
        self.receiver.close()
