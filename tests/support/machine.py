"""A Debian machine with systemd, up in seconds: namespaces over a copy-on-write view of this machine's own files.

What is installed here is installed there, but of its services none runs. It has no way out: what `apt-get` is to
install there is taken off before (`without`), and lies where apt keeps what it has downloaded.
Nothing it does is seen here, and with this process it ends.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile
import uuid

from support.servers import ROOT, wait_until

PACKAGES = ROOT / "build/packages"

# Waits for the end of its input, which is that of the process that started it, whatever ended that one.
KEEPER = """
"$@" </dev/null >&2 &
trap '' INT TERM HUP
echo $!
read -r
{ kill -KILL $!; wait $!; } 2>/dev/null
[ -n "$GROUP" ] || exit 0
echo 1 >"$GROUP/cgroup.kill"
until find "$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.01; done
"""

# The file systems, then systemd in the place of this shell.
BOOT = r"""
echo 0 >"$GROUP/cgroup.procs"
exec unshare --cgroup bash -euc '
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/{root,upper,work,source,source-work}
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mkdir -p ".$SOURCE"
mount -t overlay -o "lowerdir=$SOURCE,upperdir=/mnt/source,workdir=/mnt/source-work" overlay ".$SOURCE"

mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "dev/$(cut -d, -f$((number + 1)) <<<stdin,stdout,stderr)"; done

# Services start when they are told to; packages may start theirs, and apt is told yes; /tmp may be where the source is.
rm -rf etc/systemd/system/*.wants etc/rc?.d/* usr/sbin/policy-rc.d etc/apt/apt.conf.d/docker-clean var/lib/man-db/auto-update
echo "APT::Get::Assume-Yes true;" >etc/apt/apt.conf.d/90-yes
ln -sf /dev/null etc/systemd/system/systemd-sysctl.service
ln -sf /dev/null etc/systemd/system/getty.target
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
echo "d /tmp 1777 root root -" >etc/tmpfiles.d/tmp.conf
: >etc/machine-id
hostname "$NAME"
echo "$NAME" >etc/hostname
printf "127.0.0.1 localhost\n%s\n" "$HOSTS" >etc/hosts
ip link set lo up

mkdir mnt/old
pivot_root . mnt/old
umount -l /mnt/old
rmdir /mnt/old
mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd --log-target=journal
'
"""


class Kept:
    """A process, all that it starts, and its control group, which end with this process."""

    def __init__(self, *command, group="", **environment):
        self.keeper = subprocess.Popen(
            ["bash", "-c", KEEPER, "keeper", "setpriv", "--pdeathsig", "KILL", *command], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GROUP": str(group), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.pid = int(self.keeper.stdout.readline())

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait()
        self.keeper.stdout.close()


class Network:
    """A switch between machines that know each other by name, also those that are named with an address."""

    def __init__(self, *names, **addresses):
        self.addresses = {name: f"192.0.2.{number}" for number, name in enumerate(names, 1)} | addresses
        self.kept = Kept("unshare", "--net", "sleep", "infinity")
        wait_until(lambda: pathlib.Path(f"/proc/{self.kept.pid}/ns/net").readlink() != pathlib.Path("/proc/self/ns/net").readlink(), what="a network of its own")
        self._ip("link", "add", "switch", "type", "bridge")
        self._ip("link", "set", "switch", "up")

    def _ip(self, *words):
        subprocess.run(["nsenter", f"--net=/proc/{self.kept.pid}/ns/net", "ip", *map(str, words)], check=True)

    def join(self, machine):
        self._ip("link", "add", f"to-{machine.name}", "type", "veth", "peer", "name", "eth0", "netns", machine.pid)
        self._ip("link", "set", f"to-{machine.name}", "master", "switch", "up")
        machine.run(f"ip address add {self.addresses[machine.name]}/8 dev eth0 && ip link set eth0 up")

    def cable(self, name, plugged):
        self._ip("link", "set", f"to-{name}", "up" if plugged else "down")

    def close(self):
        self.kept.close()


class Machine:
    """`without`: packages that are not installed yet. In a network it has that one's name and address for it."""

    def __init__(self, name="debian", network=None, without=()):
        self.name, self.pid = name, None
        cgroups = next(words[1] for words in map(str.split, open("/proc/mounts")) if words[2] == "cgroup2")
        group = pathlib.Path(cgroups, f"machine-{uuid.uuid4().hex[:12]}")
        group.mkdir()
        hosts = "\n".join(f"{address} {known}" for known, address in (network.addresses if network else {name: "127.0.1.1"}).items())
        self.kept = Kept(
            "unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "bash", "-euc", BOOT,
            group=group, NAME=name, HOSTS=hosts, SOURCE=str(ROOT),
        )
        try:
            wait_until(self._up, what="systemd")
            if network:
                network.join(self)
            if without:
                self._take_off(" ".join(without))
        except BaseException:
            self.close()
            raise

    def _up(self):
        children = pathlib.Path(f"/proc/{self.kept.pid}/task/{self.kept.pid}/children").read_text().split()
        if not children or pathlib.Path(f"/proc/{children[0]}/comm").read_text() != "systemd\n":
            return False
        self.pid = int(children[0])
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def _take_off(self, packages):
        self.run(f"apt-get purge -q {packages} && systemctl daemon-reload")
        PACKAGES.mkdir(parents=True, exist_ok=True)
        for address, name in re.findall(r"^'(\S+)' (\S+)", self.run(f"apt-get install -q --print-uris {packages}").stdout, re.M):
            if not (PACKAGES / name).exists():
                subprocess.run(["/usr/lib/apt/apt-helper", "download-file", address, str(PACKAGES / name)], check=True, stdout=subprocess.DEVNULL)
            shutil.copy(PACKAGES / name, pathlib.Path("/proc", str(self.pid), "root", "var/cache/apt/archives"))

    def run(self, script, timeout=120, check=True, input=None):
        """By bash, as root, in root's home."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root"]
        shell = ["env", "-i", "--chdir=/root", "HOME=/root", "USER=root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        # Not pipes: a service that a script leaves behind would hold them open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            command = [*inside, *shell, "timeout", "--kill-after=5", str(timeout), "bash", "-euo", "pipefail", "-c", script]
            run = subprocess.run(command, stdout=out, stderr=err, input=input, text=True, stdin=None if input is not None else subprocess.DEVNULL)
            for file in (out, err):
                file.seek(0)
            run.stdout, run.stderr = out.read(), err.read()
        assert not check or run.returncode == 0, f"{self.name}: {script}\nended with {run.returncode}\n{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
        return run

    def close(self):
        self.kept.close()
