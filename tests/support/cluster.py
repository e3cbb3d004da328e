"""deploy/postgres/cluster on one machine: three nodes of etcd, Patroni and PostgreSQL, HAProxy and PgBouncer before them.

The shipped files run as they stand, but for addresses (a loopback network of its own, with the standard ports) and folders.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.request

from support.certificates import Authority
from support.servers import POSTGRES_BIN, ROOT, as_postgres, wait_until

FILES = ROOT / "deploy/postgres"
PASSWORDS = {"PATRONI_SUPERUSER_PASSWORD": "super-3", "PATRONI_REPLICATION_PASSWORD": "replicate-4", "PATRONI_REWIND_PASSWORD": "rewind-5"}
DATABASE_PASSWORD, POOLER_PASSWORD = "the 'hosts: own", "pooler-6"


def hand_over(path):
    """To the user postgres, whose programs these are."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres", str(path)], check=True)


class Node:
    NAMES = ("one", "two", "three")

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.address = f"{cluster.network}.1{1 + self.NAMES.index(name)}"
        self.folder = cluster.folder / name
        self.data = self.folder / "data"
        (self.folder / "tls").mkdir(parents=True)
        for made, wanted in zip(cluster.authority.issue(name, address=self.address), ("node.pem", "node.key")):
            made.rename(self.folder / "tls" / wanted)
        shutil.copy(cluster.authority.file, self.folder / "tls/authority.pem")
        self.pgbackrest = self._write("pgbackrest.conf", FILES / "pgbackrest.conf")
        self.pgbackrest.write_text(self.pgbackrest.read_text().replace("[global]\n", f"[global]\nlock-path={self.folder}/lock\n", 1))
        self._write("postgresql.conf", FILES / "postgresql.conf")
        self.config = self._write("patroni.yaml", FILES / "cluster/patroni.yaml")
        for each in ("logs", "lock"):
            (self.folder / each).mkdir()
        hand_over(self.folder)
        (self.folder / "tls/node.key").chmod(0o600)
        self.processes = {}

    def _write(self, name, source):
        text = self.cluster.placed(source.read_text())
        for old, new in (
            ("0.0.0.0", self.address),
            ("/etc/patroni/tls", f"{self.folder}/tls"),
            ("/var/lib/postgresql/15/titanic", str(self.data)),
            ("/var/lib/postgresql/15/main", str(self.data)),
            ("/etc/postgresql/titanic.conf", f"{self.folder}/postgresql.conf"),
            ("/var/lib/postgresql/.pgpass-patroni", f"{self.folder}/.pgpass"),
            ("/var/run/postgresql", str(self.folder)),
            ("/etc/pgbackrest/pgbackrest.conf", f"{self.folder}/pgbackrest.conf"),
            ("/var/lib/pgbackrest", f"{self.cluster.folder}/repository"),
            ("/var/log/pgbackrest", f"{self.folder}/logs"),
        ):
            text = text.replace(old, new)
        path = self.folder / name
        path.write_text(text)
        return path

    def _environment(self, file):
        text = self.cluster.placed(file.read_text()).replace("/etc/patroni/tls", f"{self.folder}/tls")
        values = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
        for key, value in values.items():  # the file is the first node's
            if key != "ETCD_INITIAL_CLUSTER":
                values[key] = self.name if value == "one" else value.replace(f"{self.cluster.network}.11", self.address)
        return values

    def _spawn(self, name, environment, *words):
        with open(self.folder / f"{name}.log", "ab") as log:
            keys = [f"{key}={value}" for key, value in environment.items()]
            self.processes[name] = subprocess.Popen(as_postgres("env", *keys, *words), cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def start(self):
        self._spawn("etcd", {**self._environment(FILES / "cluster/etcd.env"), "ETCD_DATA_DIR": f"{self.folder}/etcd"}, "etcd")
        self._spawn("patroni", {**self._environment(FILES / "cluster/patroni.env"), **PASSWORDS}, "patroni", str(self.config))
        return self

    def pids(self, names=("etcd", "patroni")):
        """What runs on this node: of these, and PostgreSQL."""
        found = set()
        for process in (self.processes[name] for name in names):
            listing = subprocess.run(["ps", "-o", "pid=", "--sid", str(process.pid)], capture_output=True, text=True).stdout
            found |= {int(pid) for pid in listing.split()}
        try:
            postmaster = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout
            found |= {postmaster, *map(int, children.split())}
        except (OSError, ValueError):
            pass
        return found

    def signal(self, number, names=("etcd", "patroni")):
        for pid in self.pids(names):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """As if the machine had gone."""
        self.signal(signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def sql(self, text, database="postgres"):
        return subprocess.run(as_postgres(str(POSTGRES_BIN / "psql"), "-h", str(self.folder), "-U", "postgres", "-d", database, "-Atqc", text), check=True, capture_output=True, text=True, cwd="/tmp", timeout=60).stdout.strip()

    def role(self):
        """What it says of itself to HAProxy."""
        try:
            with urllib.request.urlopen(f"https://{self.address}:8008/patroni", context=self.cluster.tls, timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return {}

    def __str__(self):
        return self.name


class Cluster:
    def __init__(self):
        self.network = f"127.{random.randint(1, 254)}.20"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-ha-", dir="/tmp"))
        self.folder.chmod(0o755)
        (self.folder / "repository").mkdir()
        hand_over(self.folder / "repository")
        self.authority = Authority(self.folder / "authority")
        self.tls = ssl.create_default_context(cafile=self.authority.file)
        self.nodes = [Node(self, name) for name in Node.NAMES]
        self.before = []
        for node in self.nodes:
            node.start()

    def placed(self, text):
        return text.replace("10.10.20", self.network).replace("127.0.0.1", f"{self.network}.1")

    def patronictl(self, node, *words):
        return subprocess.run(as_postgres("patronictl", "-c", str(node.config), *words), cwd="/tmp", capture_output=True, text=True, timeout=120)

    def restore(self, node, moment):
        """Started, and a session of its own."""
        environment = [f"CONFIG={node.pgbackrest}", f"PATRONI={node.config}"]
        return subprocess.Popen(as_postgres("env", *environment, str(FILES / "restore"), moment), cwd="/tmp", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def leader(self):
        leaders = [node for node in self.nodes if node.role().get("role") == "master"]
        return leaders[0] if leaders else None

    def whole(self):
        """One leads, one of the others has every commit on disk, the third streams too."""
        leader = self.leader()
        if leader is None:
            return False
        members = {each["application_name"]: each["sync_state"] for each in leader.role().get("replication", []) if each["state"] == "streaming"}
        return len(members) == 2 and "sync" in members.values()

    def wait_whole(self):
        wait_until(self.whole, 120, "three nodes, one of them in step")
        return self.leader()

    def make_roles(self):
        passwords = [f"database={DATABASE_PASSWORD}", f"pgbouncer={POOLER_PASSWORD}"]
        psql = [str(POSTGRES_BIN / "psql"), "-h", str(self.leader().folder), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qf", str(FILES / "cluster/roles.sql")]
        subprocess.run(as_postgres("env", *passwords, *psql), check=True, cwd="/tmp", capture_output=True, text=True)

    def start_before(self):
        """HAProxy and PgBouncer, which stand beside a host."""
        folder = self.folder / "before"
        folder.mkdir()
        shutil.copy(self.authority.file, folder)
        for name in ("haproxy.cfg", "pgbouncer.ini"):
            text = self.placed((FILES / "cluster" / name).read_text()).replace("/etc/patroni/tls", str(folder)).replace("/etc/pgbouncer", str(folder))
            (folder / name).write_text(text + ("unix_socket_dir =\n" if name == "pgbouncer.ini" else ""))
        (folder / "userlist.txt").write_text(f'"pgbouncer" "{POOLER_PASSWORD}"\n')
        hand_over(folder)
        for words in (["haproxy", "-db", "-f", "haproxy.cfg"], ["pgbouncer", "pgbouncer.ini"]):
            with open(folder / f"{words[0]}.log", "ab") as log:
                self.before.append(subprocess.Popen(as_postgres("env", f"PATH=/usr/sbin:{os.environ['PATH']}", *words), cwd=folder, stdout=log, stderr=log))

    def url(self, port):
        return f"postgresql://titanic@{self.network}.1:{port}/titanic"

    def close(self):
        for process in self.before:
            process.terminate()
            process.wait()
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
