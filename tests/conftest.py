import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support import skips  # noqa: E402
from support.servers import Host, MEMORY, PgBouncer, Postgres, ROOT  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also the tests that take minutes (tests/deploy/run)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A tool that is not there must not go unnoticed."""
    report = (yield).get_result()
    if report.skipped and item.path.parent.name == "deploy" and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not skips.allowed(reason):
            report.outcome, report.longrepr = "failed", f"skipped, and not one that may be (tests/deploy/may_be_missing): {reason}"


def pytest_collection_modifyitems(config, items):
    slow = [item for item in items if item.get_closest_marker("slow")]
    if config.getoption("--slow"):
        for item in slow:
            item.add_marker(pytest.mark.timeout(3600))
        return
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def postgres():
    server = Postgres(parent=MEMORY)
    yield server
    server.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres):
    server = PgBouncer(postgres)
    yield server
    server.close()


@pytest.fixture
def started():
    """Machines and networks (support/machine.py), all ended."""
    made = []

    def start(kind, *words, **more):
        made.append(kind(*words, **more))
        return made[-1]

    yield start
    for each in reversed(made):
        each.close()


class PooledUrl(str):
    """Of a database behind a pooler; `direct` leads past it."""

    direct = ""


@pytest.fixture
def hosts(tmp_path):
    """Starts hosts from YAML; every one must stop with status 0."""
    started = []

    def start(config, **more):
        host = Host(config, tmp_path, **more)
        started.append(host)
        return host

    yield start
    for host in started:
        host.stop()


def titanic_config(url, extra="", seed=True, database=""):
    """The shipped plugins over one database; `database` adds to that plugin's configuration."""
    direct = getattr(url, "direct", "")
    database += f', direct_url: "{direct}"' if direct else ""
    csv = ROOT / "plugins/people/data/titanic891.csv"
    return f"""
service: titanic-api
server:
  listen: 127.0.0.1:{{port}}
  admin: 127.0.0.1:{{admin}}
  scopes: ignore
plugins:
  - id: database
    config: {{ url: "{url}"{database} }}
  - id: people
    config: {{ seed: "{csv if seed else ''}" }}
  - id: health
  - id: openapi
{extra}
"""


DATABASES = ["sqlite", "postgresql", "pgbouncer"]


def fresh_database(request, folder):
    if request.param == "sqlite":
        return f"sqlite:///{folder}/titanic.db"
    name = f"t{uuid.uuid4().hex[:12]}"
    direct = request.getfixturevalue("postgres").create(name)
    if request.param == "postgresql":
        return direct
    url = PooledUrl(request.getfixturevalue("pgbouncer").url(name))
    url.direct = direct
    return url


@pytest.fixture(params=DATABASES)
def database(request, tmp_path):
    """A fresh database of each kind."""
    return fresh_database(request, tmp_path)


@pytest.fixture(scope="module", params=DATABASES)
def unchanged(request, tmp_path_factory):
    """The 891 passengers on each kind of database, one host for all tests of a file that only read."""
    folder = tmp_path_factory.mktemp("unchanged")
    host = Host(titanic_config(fresh_database(request, folder)), folder).wait_ready()
    yield host
    host.stop()


@pytest.fixture
def titanic(hosts, database):
    return hosts(titanic_config(database)).wait_ready()
