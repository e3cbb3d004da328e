"""A plugin outside of this repository, built against the installed SDK."""

import subprocess

import pytest

from support.http import contract_config
from support.servers import BUILD, CONTRACT, PRESET, ROOT

SOURCE = ROOT / "tests/contract/plugins/cpp_hello.cpp"


@pytest.mark.skipif(PRESET != "release", reason="the SDK is headers: once is enough, and without a sanitizer's runtime")
def test_out_of_tree(hosts, tmp_path):
    sdk = tmp_path / "sdk"
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(sdk)], check=True, capture_output=True)
    project = tmp_path / "project"
    project.mkdir()
    (project / "hello.cpp").write_text(SOURCE.read_text())
    (project / "schema.json").write_text("{}")
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(hello CXX)\nfind_package(Bulkhead REQUIRED)\n"
        "bulkhead_add_plugin(hello SOURCES hello.cpp SCHEMA schema.json)\n"
    )
    configure = ["cmake", "-S", str(project), "-B", str(project / "build"), f"-DCMAKE_PREFIX_PATH={sdk}", "-DCMAKE_BUILD_TYPE=Release"]
    subprocess.run(configure, check=True, capture_output=True)
    built = subprocess.run(["cmake", "--build", str(project / "build")], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    config = contract_config("cpp_hello").replace(f"{CONTRACT}/cpp_hello.so", str(project / "build/lib/bulkhead/hello.so"))
    assert hosts(config).get("/hello/world").body == b"hello world"
    installed = subprocess.run([str(sdk / "bin/bulkhead"), "version"], capture_output=True, text=True)
    assert installed.returncode == 0 and "plugin ABI 1.0" in installed.stdout
