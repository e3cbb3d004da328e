import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support.servers import Host, Postgres, ROOT  # noqa: E402


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


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


def titanic_config(url, extra="", seed=True):
    """The shipped plugins over one database."""
    csv = ROOT / "plugins/people/data/titanic891.csv"
    return f"""
service: titanic-api
server:
  listen: 127.0.0.1:{{port}}
  admin: 127.0.0.1:{{admin}}
  scopes: ignore
plugins:
  - id: database
    config: {{ url: "{url}" }}
  - id: people
    config: {{ seed: "{csv if seed else ''}" }}
  - id: health
  - id: openapi
{extra}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/titanic.db"
    return request.getfixturevalue("postgres").create(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
def titanic(hosts, database):
    return hosts(titanic_config(database)).wait_ready()
