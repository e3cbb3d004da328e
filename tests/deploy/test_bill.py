"""deploy/container/sbom: what it writes is CycloneDX by CycloneDX's own schema, and another program reads in it what dpkg says."""

import json
import shutil
import subprocess

import pytest

from support.kubernetes import NODE
from support.servers import PRESET, ROOT
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
NAME = "registry.example:5000/titanic-api:0.1.0"


def bill(folder, status):
    run = subprocess.run([str(ROOT / "deploy/container/sbom"), NAME, str(status)], check=True, capture_output=True, text=True)
    path = folder / "sbom.json"
    path.write_text(run.stdout)
    return path, json.loads(run.stdout)


def read(path):
    """The parts of each component's package URL."""
    run = subprocess.run(["node", "bill.mjs", str(path)], cwd=NODE, capture_output=True, text=True, timeout=60)
    return run, [json.loads(line) for line in run.stdout.splitlines()]


def test_it_says_what_dpkg_says(tmp_path):
    """Of this machine's packages, of which many have an epoch, a + or a ~."""
    (tmp_path / "updates").mkdir()
    status = shutil.copy("/var/lib/dpkg/status", tmp_path)  # which may change meanwhile
    path, made = bill(tmp_path, status)
    run, (host, *packages) = read(path)
    assert run.returncode == 0, run.stderr
    assert (host["type"], host["name"]) == ("generic", "bulkhead") and all((each["type"], each["namespace"]) == ("deb", "debian") for each in packages)
    listed = subprocess.run(["dpkg-query", f"--admindir={tmp_path}", "-W", "-f", "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"], check=True, capture_output=True, text=True).stdout.splitlines()
    installed = sorted(line.split("\t")[1:] for line in listed if line.startswith("installed\t"))
    assert sorted([each["name"], each["version"], each["qualifiers"]["arch"], each["qualifiers"].get("upstream", each["name"])] for each in packages) == installed
    assert sorted([each["name"], each["version"]] for each in made["components"][1:]) == [each[:2] for each in installed]
    for sign in (":", "+", "~"):
        assert any(sign in version for _, version, _, _ in installed), f"else {sign} is not tried"


STATUS = """\
Package: {name}
Status: install ok installed
Version: {version}
Architecture: amd64
Source: {source}
Description: {name}
 Version: of another line
"""
PACKAGE_URLS = (  # by purl's rules: letters, digits, . _ ~ - and the colon stay, all else is escaped
    ("libstdc++6", "12.2.0-14+deb12u1", "gcc-12", "libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12"),
    ("libgtk-3-0", "3.24.38-2~deb12u3", "gtk+3.0 (3.24.38-2)", "libgtk-3-0@3.24.38-2~deb12u3?arch=amd64&distro=debian-12&upstream=gtk%2B3.0"),
    ("bsdutils", "1:2.38.1-5", "util-linux (2.38.1-5)", "bsdutils@1:2.38.1-5?arch=amd64&distro=debian-12&upstream=util-linux"),
)


def test_package_urls(tmp_path):
    status = tmp_path / "status"
    status.write_text("\n".join(STATUS.format(name=name, version=version, source=source) for name, version, source, _ in PACKAGE_URLS))
    path, made = bill(tmp_path, status)
    assert {each["purl"] for each in made["components"][1:]} == {f"pkg:deb/debian/{url}" for *_, url in PACKAGE_URLS}
    run, parts = read(path)
    assert run.returncode == 0, run.stderr
    assert sorted((each["name"], each["version"], each["qualifiers"]["upstream"]) for each in parts[1:]) == sorted((name, version, source.split(" ")[0]) for name, version, source, _ in PACKAGE_URLS)
    assert bill(tmp_path, status)[1] == made, "the same packages give the same file"


@pytest.mark.parametrize("right, wrong", (('"type": "library"', '"type": "libary"'), ('"bom-ref"', '"bomref"'), ('"1970-01-01T', '"1970-13-01T'), ('"Apache-2.0"', '"Apache-2"')))
def test_mistakes_are_found(right, wrong, tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS.format(name="a", version="1", source="a"))
    path, _ = bill(tmp_path, status)
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    run, parts = read(path)
    assert run.returncode == 1 and not parts and "instancePath" in run.stderr, run.stderr
