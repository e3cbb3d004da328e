"""A private PgBouncer."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from support.servers.ports import free_port, wait_until
from support.servers.postgres import as_postgres


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
