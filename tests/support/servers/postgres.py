"""Private PostgreSQL servers."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from support.servers.build import POSTGRES_BIN
from support.servers.ports import free_port, wait_until


def as_postgres(*command):
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


class Postgres:
    """A private PostgreSQL 15."""

    def __init__(self, environment=None, parent="/tmp"):
        self.environment = environment or {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-pg-", dir=parent))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.data = self.folder / "data"
        self.port = free_port()
        self._run("initdb", "-D", self.data, "-U", "titanic", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, program, *arguments, check=True):
        return subprocess.run(
            as_postgres(str(POSTGRES_BIN / program), *map(str, arguments)), cwd="/tmp", check=check, capture_output=True, text=True
        )

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{self.folder}' -c max_connections=200"
        subprocess.run(
            as_postgres(str(POSTGRES_BIN / "pg_ctl"), "-D", str(self.data), "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options, "start"),
            cwd="/tmp", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **self.environment},
        )

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop", check=False)

    def signal(self, number):
        """To every process of the server."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        for each in [pid, *map(int, children)]:
            try:
                os.kill(each, number)
            except ProcessLookupError:
                pass
        return pid

    def kill(self):
        """As if the machine had gone."""
        pid = self.signal(signal.SIGKILL)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what="the server's end")

    def sql(self, text, database="postgres"):
        return subprocess.run(
            [str(POSTGRES_BIN / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "titanic", "-d", database, "-Atqc", text],
            check=True, capture_output=True, text=True,
        ).stdout.strip()

    def create(self, name):
        self.sql(f'create database "{name}"')
        return self.url(name)

    def url(self, name):
        return f"postgresql://titanic@127.0.0.1:{self.port}/{name}"

    def close(self):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


class Replica(Postgres):
    """A streaming replica of a private PostgreSQL."""

    def __init__(self, primary):
        self.environment = {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.data = self.folder / "data"
        self.port = free_port()
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", primary.port, "-U", "titanic", "-D", self.data, "-R", "-X", "stream", "-c", "fast")
        self.start()
