"""buildah and podman on a machine without a registry: a base image made from Debian's packages, storage of their own below build/."""

import json
import os
import subprocess

from support.servers import ROOT

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

    def run(self, *words, timeout=600, check=True, **more):
        run = subprocess.run([str(word) for word in words], env={**self.environment, **more}, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
        assert not check or run.returncode == 0, f"{words}: {run.stdout[-3000:]}{run.stderr[-3000:]}"
        return run

    def base(self):
        """What docker.io/library/debian:bookworm-slim is: Debian's smallest system."""
        if BASE in self.run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").stdout:
            return BASE
        tar = FOLDER / "base.tar"
        if not tar.exists():
            self.run("mmdebstrap", "--variant=minbase", "--include=ca-certificates", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", tar, timeout=1200)
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
