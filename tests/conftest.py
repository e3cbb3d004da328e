import pathlib
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support.servers import Host, PgBouncer, Postgres, ROOT  # noqa: E402


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres):
    server = PgBouncer(postgres)
    yield server
    server.close()


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


@pytest.fixture(params=["sqlite", "postgresql", "pgbouncer"])
def database(request, tmp_path):
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/titanic.db"
    name = f"t{uuid.uuid4().hex[:12]}"
    direct = request.getfixturevalue("postgres").create(name)
    if request.param == "postgresql":
        return direct
    url = PooledUrl(request.getfixturevalue("pgbouncer").url(name))
    url.direct = direct
    return url


@pytest.fixture
def titanic(hosts, database):
    return hosts(titanic_config(database)).wait_ready()
