"""One bulkhead process."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from support.servers.build import BULKHEAD, PATIENCE, ROOT
from support.servers.ports import free_port, wait_until

# A process that does not wait for its threads: to ThreadSanitizer that is a leak.
ENDS_BY_FORCE = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"}


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Host:
    """One bulkhead process. `config` is YAML text; {port} and {admin} are filled in. `wrapper` runs the program."""

    def __init__(self, config, folder, environment=None, start=True, wrapper=(), program=BULKHEAD):
        self.wrapper, self.program = wrapper, program
        self.port, self.admin = free_port(), free_port()
        self.folder = pathlib.Path(folder)
        self.config = self.folder / f"host-{self.port}.yaml"
        self.config.write_text(config.replace("{port}", str(self.port)).replace("{admin}", str(self.admin)))
        self.log_path = self.folder / f"host-{self.port}.log"
        self.environment = {**os.environ, **(environment or {})}
        self.process, self.asked_to_stop = None, False
        if start:
            self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, wait=True):
        self.log_file, self.asked_to_stop = open(self.log_path, "ab"), False
        self.process = subprocess.Popen(
            [*self.wrapper, str(self.program), "serve", str(self.config)], cwd=ROOT, env=self.environment, stderr=self.log_file, stdout=self.log_file
        )
        if wait:
            wait_until(self.answers, what="the host's first answer")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the host ended with {self.process.returncode}:\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def terminate(self):
        self.asked_to_stop = True
        self.process.send_signal(signal.SIGTERM)

    def stop(self, expect=0):
        if self.process is None:
            return None
        if self.process.poll() is None and not self.asked_to_stop:
            self.terminate()  # once: a second signal means now
        status = self.process.wait(timeout=PATIENCE)
        self.process = None
        self.log_file.close()
        assert "Sanitizer" not in self.log(), self.log()
        if expect is not None:
            assert status == expect, f"exit status {status}:\n{self.log()}"
        return status

    def log(self):
        return self.log_path.read_text(errors="replace")

    def log_lines(self):
        lines = []
        for line in self.log().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                pass
        return lines

    def request(self, method, path, body=None, headers=None, admin=False, timeout=PATIENCE):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers = {"content-type": "application/json", **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        url = f"http://127.0.0.1:{self.admin if admin else self.port}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.getheaders(), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers.items(), error.read())

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def ready(self):
        return self.get("/health/ready").status == 200

    def why(self, plugin):
        """The reason of a plugin's health, which is told on the admin listener."""
        return next(each["why"] for each in self.get("/_host/plugins", admin=True).json if each["id"] == plugin)

    def wait_ready(self):
        wait_until(self.ready, what="readiness")
        return self

    def resources(self):
        """Descriptors, threads, resident KiB."""
        base = pathlib.Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (base / "status").read_text().splitlines())
        return len(list((base / "fd").iterdir())), int(status["Threads"]), int(status["VmRSS"].split()[0])

    def io_cpu_ms(self):
        """CPU time of the I/O threads."""
        tasks = [task for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir() if (task / "comm").read_text() == "bh-io\n"]
        assert tasks
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6
