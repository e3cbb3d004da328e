"""The Debian packages: what is in them, that they are the same each time, and that what they bring runs."""

import os
import re
import subprocess

import pytest

from support.servers import BUILD, PRESET, ROOT, free_port, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
PACKAGES = ROOT / "build/release/package"


@pytest.fixture(scope="module")
def packages():
    for path in PACKAGES.glob("*.deb"):
        path.unlink()
    run = subprocess.run([ROOT / "deploy/package/build"], capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout + run.stderr
    return {path.name.split("_")[0]: path for path in PACKAGES.glob("*.deb")}


@pytest.fixture(scope="module")
def unpacked(packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    for path in packages.values():
        subprocess.run(["dpkg-deb", "--extract", str(path), str(folder)], check=True)
    return folder


def field(path, name):
    return subprocess.run(["dpkg-deb", "--field", str(path), name], check=True, capture_output=True, text=True).stdout.strip()


def test_what_they_say(packages):
    assert set(packages) == {"bulkhead", "bulkhead-dev"}
    needs = field(packages["bulkhead"], "Depends")
    for library in ("libpistache0", "libsoci-core4.0", "libpq5", "libssl3", "libhiredis0.14", "libprometheus-cpp-core1.0", "ca-certificates", "libc6 (>="):
        assert library in needs, needs
    assert {field(package, "Architecture") for package in packages.values()} == {"amd64"}
    control = subprocess.run(["dpkg-deb", "--ctrl-tarfile", str(packages["bulkhead"])], capture_output=True, check=True).stdout
    names = subprocess.run(["tar", "-t"], input=control, capture_output=True, check=True).stdout.decode().split()
    assert {"./conffiles", "./postinst", "./prerm", "./postrm", "./md5sums"} <= set(names)


def test_what_is_where(unpacked):
    plugins = {path.stem for path in (unpacked / "usr/lib/bulkhead").glob("*.so")}
    assert plugins == {path.stem for path in (ROOT / "build/release/lib/bulkhead").glob("*.so")} and len(plugins) >= 13
    for name in ("usr/bin/bulkhead", "usr/lib/systemd/system/bulkhead.service", "etc/bulkhead/production.yaml", "etc/bulkhead/environment", "usr/share/bulkhead/titanic891.csv", "usr/share/doc/bulkhead/README.md", "usr/include/bulkhead/plugin.h"):
        assert (unpacked / name).exists(), name
    production = (unpacked / "etc/bulkhead/production.yaml").read_text()
    assert "/run/secrets/" not in production and "${file:/run/credentials/bulkhead.service/secrets_database}" in production, "where the unit's LoadCredential puts them"
    for path in [unpacked / "usr/bin/bulkhead", *(unpacked / "usr/lib/bulkhead").glob("*.so")]:
        run = subprocess.run(["readelf", "-S", "-d", str(path)], capture_output=True, text=True, check=True).stdout
        assert ".debug_info" not in run and not re.search(r"R(UN)?PATH", run), path


def test_they_are_the_same_each_time(packages, tmp_path):
    before = {name: path.read_bytes() for name, path in packages.items()}
    subprocess.run([ROOT / "deploy/package/build"], check=True, capture_output=True, timeout=900)
    for name, path in packages.items():
        assert path.read_bytes() == before[name], name


def test_what_they_bring_serves(unpacked, tmp_path):
    port = free_port()
    environment = {**os.environ, "LISTEN": f"127.0.0.1:{port}", "ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "DATABASE_URL": f"sqlite:///{tmp_path}/t.db"}
    text = (unpacked / "usr/share/bulkhead/titanic.yaml").read_text().replace("plugins/people/data/", f"{unpacked}/usr/share/bulkhead/")
    (tmp_path / "c.yaml").write_text(text)
    host = subprocess.Popen([str(unpacked / "usr/bin/bulkhead"), "serve", str(tmp_path / "c.yaml")], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: subprocess.run(["curl", "-fs", f"http://127.0.0.1:{port}/people?limit=1"], capture_output=True).returncode == 0, what="the first answer")
    finally:
        host.terminate()
        assert host.wait(timeout=60) == 0


def test_the_scripts_of_dpkg(tmp_path):
    """On a machine without systemd: secrets are made once, for root alone, and go with a purge."""
    for name in ("postinst", "prerm", "postrm"):
        text = (ROOT / "deploy/package" / name).read_text().replace("/etc/bulkhead", f"{tmp_path}/etc").replace("/run/systemd/system", f"{tmp_path}/none").replace("/var/lib", f"{tmp_path}/lib")
        (tmp_path / name).write_text(text)
    run = lambda *words: subprocess.run(["sh", str(tmp_path / words[0]), *words[1:]], check=True)
    run("postinst", "configure", "")
    pepper = tmp_path / "etc/secrets/pepper"
    first = pepper.read_text()
    assert len(first.strip()) >= 44 and pepper.stat().st_mode & 0o777 == 0o600 and pepper.parent.stat().st_mode & 0o777 == 0o700
    run("postinst", "configure", "0.0.9")
    assert pepper.read_text() == first, "an upgrade keeps it: another pepper would end every API key"
    run("prerm", "remove")
    run("postrm", "remove")
    assert pepper.exists()
    run("postrm", "purge")
    assert not pepper.parent.exists()


def test_what_is_installed_stays_below_its_prefix(tmp_path):
    run = subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(tmp_path / "to")], capture_output=True, text=True, check=True)
    places = re.findall(r"^-- (?:Installing|Up-to-date): (.*)$", run.stdout, re.M)
    assert len(places) > 40 and all(place.startswith(f"{tmp_path}/to") for place in places), [place for place in places if not place.startswith(str(tmp_path))]
    assert (tmp_path / "to/etc/bulkhead/production.yaml").exists() and (tmp_path / "to/include/bulkhead/text/json.hpp").exists()
