"""Plugins outside of this repository, built against the installed SDK: the template and the examples."""

import shutil
import subprocess

import pytest

from support.http import contract_config
from support.servers import ABI, BUILD, CONTRACT, PRESET, ROOT

pytestmark = pytest.mark.skipif(PRESET != "release", reason="once is enough, and without a sanitizer's runtime")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdk")
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(folder)], check=True, capture_output=True)
    return folder


def built(sdk, source, tmp_path):
    """The plugin of a folder of sdk/, copied away and built."""
    project = tmp_path / source.name
    shutil.copytree(source, project)
    subprocess.run(["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={sdk}", "-DCMAKE_BUILD_TYPE=Release"], check=True, capture_output=True)
    build = subprocess.run(["cmake", "--build", project / "build"], capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr
    tested = subprocess.run(["ctest", "--test-dir", project / "build", "--output-on-failure", "--no-tests=error"], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    return next((project / "build/lib/bulkhead").glob("*.so"))


def test_the_host_says_its_version(sdk):
    said = subprocess.run([sdk / "bin/bulkhead", "version"], capture_output=True, text=True)
    assert said.returncode == 0 and f"plugin ABI {ABI}\n" in said.stdout


def test_the_template(hosts, sdk, tmp_path):
    library = built(sdk, ROOT / "sdk/template", tmp_path)
    config = contract_config(("hello", "hello", "{ greeting: welcome }")).replace(f"{CONTRACT}/hello.so", str(library))
    assert hosts(config).get("/hello/world").body == b"welcome world"


def test_the_example_with_a_database(hosts, sdk, tmp_path, postgres):
    library = built(sdk, ROOT / "sdk/examples/visits", tmp_path)
    for url in (f"sqlite:///{tmp_path}/visits.db", postgres.create("visits")):
        extra = f"  - id: health\n  - id: database\n    config: {{ url: '{url}' }}\n"
        host = hosts(contract_config("visits", extra=extra).replace(f"{CONTRACT}/visits.so", str(library))).wait_ready()
        for count in (1, 2):
            assert host.request("POST", "/visits/home").json == {"page": "home", "visits": count}
        host.stop()
