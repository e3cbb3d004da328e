"""Servers the tests start on free loopback ports and stop by pid."""

import base64
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESET = os.environ.get("BULKHEAD_PRESET", "release")
BUILD = ROOT / "build" / PRESET
BULKHEAD = BUILD / "bin" / "bulkhead"
CONTRACT = BUILD / "lib" / "contract"
POSTGRES_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
# Where tests keep what needs no disk: a database for each of hundreds of tests takes a minute to delete from one. Docker gives 64 MB here.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 8e9 else "/tmp"
# A sanitized build takes longer to start and to answer: bounds are for liveness, not for speed.
PATIENCE = 30 if PRESET == "release" else 90


def ports():
    """Below the ephemeral range, so that no outgoing connection takes one first; none twice, nor one of another worker's share."""
    worker, workers = (int(os.environ.get(name, default).removeprefix("gw")) for name, default in (("PYTEST_XDIST_WORKER", "gw0"), ("PYTEST_XDIST_WORKER_COUNT", "1")))
    share = [port for port in range(12000, 32000) if port % workers == worker]
    random.shuffle(share)
    return itertools.cycle(share)


PORTS = ports()


def free_port():
    for port in PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def wait_until(condition, seconds=PATIENCE, what="the condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {seconds} s")


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

    def __init__(self, config, folder, environment=None, start=True, wrapper=()):
        self.wrapper = wrapper
        self.port, self.admin = free_port(), free_port()
        self.folder = pathlib.Path(folder)
        self.config = self.folder / f"host-{self.port}.yaml"
        self.config.write_text(config.replace("{port}", str(self.port)).replace("{admin}", str(self.admin)))
        self.log_path = self.folder / f"host-{self.port}.log"
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        if start:
            self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, wait=True):
        self.log_file = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.wrapper, str(BULKHEAD), "serve", str(self.config)], cwd=ROOT, env=self.environment, stderr=self.log_file, stdout=self.log_file
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

    def stop(self, expect=0):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
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


class Raw:
    """A socket, for what an HTTP client would not send."""

    def __init__(self, port, timeout=PATIENCE, tls=None, session=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost", session=session, suppress_ragged_eofs=False)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, head=False):
        """The next answer; None where the connection ended instead."""
        while b"\r\n\r\n" not in self.buffer:
            try:
                if not self._more():
                    return None
            except ConnectionResetError:
                return None
        block, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = block.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        headers = [tuple(line.split(": ", 1)) for line in lines]
        if status == 100:
            return Answer(100, headers, b"")
        length = 0 if head else int(dict(headers).get("content-length", 0))
        while len(self.buffer) < length:
            if not self._more():
                raise AssertionError("the connection ended inside a body")
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body)

    def ended(self):
        """True where the server closed and nothing more came."""
        if self.buffer:
            return False
        try:
            return not self._more()
        except ConnectionResetError:
            return True


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


class PgBouncer:
    """A private PgBouncer in transaction mode before a PostgreSQL, with few server connections."""

    def __init__(self, postgres):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-pgb-", dir="/tmp"))
        self.port = free_port()
        (self.folder / "users").write_text('"titanic" ""\n')
        (self.folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {self.folder}/users\npool_mode = transaction\ndefault_pool_size = 3\nserver_idle_timeout = 5\nmax_client_conn = 2000\nlogfile = {self.folder}/log\n"
        )
        for path in (self.folder, self.folder / "users", self.folder / "ini"):
            if os.geteuid() == 0:
                shutil.chown(path, "postgres")
        self.process = subprocess.Popen(as_postgres("pgbouncer", str(self.folder / "ini")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, what="pgbouncer")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def url(self, name):
        return f"postgresql://titanic@127.0.0.1:{self.port}/{name}"

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


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


class OpenIdProvider:
    """A real one, from npm, whose keys change with each start."""

    def __init__(self, algorithm="RS256", kid="first"):
        self.port, self.algorithm, self.process = free_port(), algorithm, None
        self.start(kid)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, kid):
        self.process = subprocess.Popen(["node", "oidc.mjs", str(self.port), kid, self.algorithm], cwd=ROOT / "tests/node", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline().strip() == "ready"

    def rotate(self, kid):
        self.stop()
        self.start(kid)

    def ask(self, path, form=None):
        request = urllib.request.Request(self.url + path, data=urllib.parse.urlencode(form).encode() if form else None)
        if form:
            request.add_header("authorization", "Basic " + base64.b64encode(b"importer:secret").decode())
        return json.loads(urllib.request.urlopen(request, timeout=PATIENCE).read())

    def token(self, scope="people:read", audience="https://titanic.example"):
        """By client credentials."""
        return self.ask("/token", {"grant_type": "client_credentials", "scope": scope, "resource": audience})["access_token"]

    def keys(self):
        return self.ask("/jwks")["keys"]

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
