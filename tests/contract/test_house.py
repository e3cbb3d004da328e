"""How the tree is built: which way includes run, and that no file grows past what one can read."""

import collections
import re
import subprocess

from support.servers import ROOT
from support.servers.build import BUILD

# Each folder of core may include those before it.
LAYERS = ["runtime", "exchange", "telemetry", "chain", "http", "config", "hosting", "app"]
MOST_LINES = 400


def sources(*folders):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [path for path in listed if path.endswith((".cpp", ".hpp", ".h")) and (ROOT / path).exists()]


def included(path):
    return re.findall(r'^#include "([^"]+)"', (ROOT / path).read_text(), re.M)


def test_core_runs_one_way():
    graph = collections.defaultdict(set)
    for path in sources("core"):
        folder = path.split("/")[1]
        for header in included(path):
            assert header.startswith(("bulkhead/", "core/")) or header.endswith("_embedded.hpp") or header == "host_config.hpp", f"{path}: {header}"
            if header.startswith("core/") and header != "core/version.hpp":
                graph[folder].add(header.split("/")[1])
    assert set(graph) | {"runtime"} >= set(LAYERS), "the list is the tree's"
    for folder, targets in graph.items():
        above = [target for target in targets if LAYERS.index(target) > LAYERS.index(folder)]
        assert not above, f"core/{folder} includes {above}"


def test_one_file_knows_the_event_loop():
    assert [path for path in sources("core") if "pistache" in (ROOT / path).read_text().lower().replace("pistache's reactor", "")] == ["core/http/loop.cpp"]


def test_one_file_knows_the_grammar():
    assert [path for path in sources("core") if "boost/beast" in (ROOT / path).read_text()] == ["core/http/http1/parser.cpp"]


def test_the_chain_knows_no_protocol():
    for path in sources("core/chain", "core/exchange"):
        text = (ROOT / path).read_text().lower().replace("-", "_")
        assert "keep_alive" not in text and "pipelin" not in text and "expect_continue" not in text, path


def test_plugins_know_the_sdk_alone():
    for path in sources("plugins"):
        own = {file.name for file in (ROOT / "plugins" / path.split("/")[1]).rglob("*.hpp")}
        for header in included(path):
            assert header.startswith("bulkhead/") or header.split("/")[-1] in own or header.endswith(("_embedded.hpp", "_config.hpp", "_migrations.hpp")), f"{path}: {header}"


def test_a_database_is_known_in_its_folder():
    for path in sources("plugins/database"):
        drivers = re.findall(r"#include <(libpq-fe|soci/\w+|sqlite3)", (ROOT / path).read_text())
        assert not drivers or path.split("/")[2] in ("postgresql", "sqlite"), f"{path}: {drivers}"


def test_the_sdk_knows_nobody():
    for path in sources("sdk/include"):
        assert all(header.startswith("bulkhead/") for header in included(path)), path


def test_plugins_stay_on_the_face():
    """What is missing in C++ belongs into the SDK, for everybody."""
    for path in sources("plugins"):
        text = (ROOT / path).read_text()
        assert ".raw()" not in text and not re.search(r"\.size = sizeof", text), path


def test_configuration_is_read_by_its_struct():
    """Keys, types and defaults stand in schema.json; the build makes struct Config of it."""
    for path in sources("plugins"):
        assert not re.search(r'\bconfig\.(at|value|contains)\("', (ROOT / path).read_text()), path


def test_files_can_be_read_at_once():
    assert not [path for path in sources("core", "sdk", "plugins") if len((ROOT / path).read_text().splitlines()) > MOST_LINES]


def test_comments_wrap_at_100_columns():
    for path in sources("core", "sdk", "plugins"):
        if path.endswith(".h"):
            continue  # the contract's tables stand beside their members
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            assert len(line) <= 100 or not line.lstrip().startswith("//"), f"{path}:{number}"


def test_pages_wrap_at_100_columns():
    pages = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for path in pages:
        fenced = False
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            fenced ^= line.lstrip().startswith("```")
            text = not fenced and not line.lstrip().startswith(("|", "<", "![", "```", "#"))
            unbroken = re.sub(r"`[^`]*`|\]\([^)]*\)", lambda match: match[0].replace(" ", "_"), line)
            assert not text or len(line) <= 100 or any(len(word) > 60 for word in unbroken.split()), f"{path}:{number}"


def test_each_plugin_has_a_part():
    """tests/run --only NAME runs the tests of every plugin."""
    parts = subprocess.run(["ctest", "--test-dir", BUILD, "--print-labels"], capture_output=True, text=True, check=True).stdout.split()
    assert {path.parent.name for path in ROOT.glob("plugins/*/CMakeLists.txt")} <= set(parts)


def test_each_fuzz_target_is_described():
    described = re.findall(r"^\| ([a-z_, ]+) \|", (ROOT / "tests/fuzz/README.md").read_text(), re.M)
    names = {name for names in described for name in names.split(", ")}
    assert {path.name for path in (ROOT / "tests/fuzz/corpus").iterdir()} <= names
