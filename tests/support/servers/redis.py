"""A private Redis."""

import pathlib
import shutil
import signal
import subprocess
import tempfile

from support.servers.ports import free_port, wait_until


class Redis:
    """A private redis-server."""

    def __init__(self, *options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-redis-", dir="/tmp"))
        self.port, self.options, self.process = free_port(), options, None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--appendonly", "no", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.command("PING") in ("PONG", "NOAUTH Authentication required."), what="redis")

    def commands(self, *lines):
        return subprocess.run(["redis-cli", "-p", str(self.port)], input="\n".join(lines) + "\n", capture_output=True, text=True).stdout

    def command(self, *words):
        run = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True)
        return run.stdout.strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.go_on()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
