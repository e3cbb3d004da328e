"""buildah and podman on a machine without a registry: a base image made from Debian's packages, storage of their own below build/."""

import json
import os
import signal
import subprocess

from support.servers import ROOT, wait_until

FOLDER = ROOT / "build/container"
BASE = "localhost/debian:bookworm-slim"


class Engine:
    def __init__(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        storage, settings, registries, policy = (FOLDER / name for name in ("storage.conf", "containers.conf", "registries.conf", "policy.json"))
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{FOLDER}/storage"\nrunroot = "/run/bulkhead-containers"\n')
        # runc, since crun wants another kind of cgroups; limits this user may set.
        settings.write_text('[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        registries.write_text('unqualified-search-registries = ["docker.io"]\n')
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        self.environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(settings), "CONTAINERS_REGISTRIES_CONF": str(registries)}
        self.options = f"--isolation chroot --pull-never --signature-policy {policy}"
        self.policy = policy

    def run(self, *words, timeout=600, check=True, input=None, **more):
        run = subprocess.run([str(word) for word in words], env={**self.environment, **more}, capture_output=True, text=True, input=input, timeout=timeout, cwd=ROOT)
        assert not check or run.returncode == 0, f"{words}: {run.stdout[-3000:]}{run.stderr[-3000:]}"
        return run

    def base(self):
        """What docker.io/library/debian:bookworm-slim is: Debian's smallest system."""
        if BASE in self.run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").stdout:
            return BASE
        tar, partial = FOLDER / "base.tar", FOLDER / "partial-base.tar"
        if not tar.exists():
            self.run("mmdebstrap", "--variant=minbase", "--include=ca-certificates", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", partial, timeout=1200)
            partial.rename(tar)
        container = self.run("buildah", "from", "scratch").stdout.strip()
        self.run("buildah", "add", container, tar, "/")
        self.run("buildah", "config", "--cmd", "bash", container)
        self.run("buildah", "commit", "--rm", "--signature-policy", self.policy, container, BASE)
        return BASE

    def build(self, name, options=""):
        return self.run("deploy/container/build", name, timeout=3000, BASE=self.base(), OPTIONS=f"{self.options} {options}")

    def inspect(self, name):
        return json.loads(self.run("podman", "image", "inspect", name).stdout)[0]

    def start(self, *words):
        return self.run("podman", "run", "--detach", *words).stdout.strip()

    def remove(self, container):
        self.run("podman", "rm", "--force", "--time", "5", container, check=False)


class Isolated(Engine):
    """Every command in a network, and with mounts, of its own: podman's bridges, rules, names and addresses are one for a machine otherwise."""

    INSIDE = """
mount -t tmpfs tmpfs /run/containers
ip link set lo up && ip address add 192.0.2.53/32 dev lo
echo 'nameserver 192.0.2.53' >"$WORK/resolv.conf"
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
exec /usr/bin/python3 {root}/tests/support/nxdomain.py 192.0.2.53
"""

    def __init__(self, work):
        super().__init__()
        os.makedirs("/run/containers", exist_ok=True)
        self.work = work
        self.environment = {**self.environment, "WORK": str(work)}
        with open(work / "isolated.log", "wb") as log:
            words = ["unshare", "--net", "--mount", "bash", "-euc", self.INSIDE.format(root=ROOT)]
            self.process = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: (work / "resolv.conf").exists() and b"nxdomain" in self._command(), what="a network of its own")

    def _command(self):
        with open(f"/proc/{self.process.pid}/cmdline", "rb") as file:
            return file.read()

    @property
    def within(self):
        return ["nsenter", "-t", str(self.process.pid), "-m", "-n", "env", "-C", str(ROOT)]  # its own would be /

    def run(self, *words, **more):
        return super().run(*self.within, *words, **more)

    def spawn(self, *words, log, **more):
        return subprocess.Popen([*self.within, *map(str, words)], env={**self.environment, **more}, stdout=log, stderr=log, start_new_session=True)

    def close(self):
        self.run("podman", "pod", "rm", "--all", "--force", "--time", "1", check=False)
        self.run("podman", "rm", "--all", "--force", "--time", "1", check=False)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
