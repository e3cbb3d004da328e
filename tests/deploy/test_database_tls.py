"""What deploy/k8s asks of the database's certificate, by a real PostgreSQL that has one: hosts and backups take the right one, and no other."""

import os
import shutil
import subprocess
import urllib.parse

import pytest

from conftest import titanic_config
from support.certificates import Authority
from support.kubernetes import K8S, objects, of, one, pod_templates
from support.servers import PRESET, ROOT, Postgres, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One whose certificate names 127.0.0.1 and db.example."""
    server = Postgres()
    server.authority = Authority(tmp_path_factory.mktemp("roots"))
    for made, name in zip(server.authority.issue("db.example"), ("server.crt", "server.key")):
        shutil.chown(shutil.copy(made, server.data / name), "postgres")
        (server.data / name).chmod(0o600)
    server.sql("alter system set ssl = on")
    server.sql("select pg_reload_conf()")
    wait_until(lambda: server.sql("show ssl") == "on", what="TLS")
    url = server.create("titanic")
    server.sql("create table people (uuid text primary key); insert into people values ('u')", "titanic")
    yield server, url
    server.close()


def query(roots):
    """As production asks."""
    lines = dict(line.split("=", 1) for line in (K8S / "overlays/prod/environment.env").read_text().splitlines())
    _, _, asked = lines["DATABASE_DIRECT_URL"].partition("?")
    assert asked.count(ROOTS) == 1
    return "?" + asked.replace(ROOTS, str(roots))


@pytest.fixture
def wrong(database, tmp_path):
    """What is refused: (roots, the server's name, why)."""
    return ((Authority(tmp_path / "other").file, "127.0.0.1", "certificate verify failed"), (database[0].authority.file, "localhost", 'does not match host name "localhost"'), (tmp_path / "none.pem", "127.0.0.1", "does not exist"))


@pytest.mark.parametrize("overlay", ("staging", "prod", "prod-eu"))
def test_the_database_is_known_by_its_certificate(overlay):
    """By roots that are there: in the hosts' image, and from it for whoever else asks the database."""
    everything = objects(K8S / "overlays" / overlay)
    environment = next(each["data"] for name, each in of(everything, "ConfigMap").items() if name.startswith("titanic-environment-"))
    for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"):
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(environment[name]).query)
        assert (asked["sslmode"], asked["sslrootcert"]) == (["verify-full"], [ROOTS]), name
    assert " ca-certificates " in (ROOT / "deploy/container/Containerfile").read_text()
    hosts = one(everything, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    clients = {name: template["spec"] for name, template in pod_templates(everything).items() if template["metadata"]["labels"].get("titanic.example/database") == "client"}
    assert set(clients) == {"Deployment/titanic-api", "Job/titanic-migrate", "CronJob/titanic-backup"}
    for name, spec in clients.items():
        (container,) = spec["containers"]
        mounted = [mount["name"] for mount in container["volumeMounts"] if ROOTS.startswith(mount["mountPath"] + "/")]
        if container["image"] == hosts:
            assert not mounted, f"{name}: nothing lies over the image's own"
        else:
            (first,) = spec["initContainers"]
            (mount,) = first["volumeMounts"]
            assert first["image"] == hosts and first["command"] == ["cp", ROOTS, mount["mountPath"]] and mounted == [mount["name"]], name


def backup(url, folder):
    return subprocess.run(["bash", str(K8S / "components/backup/backup.sh")], env={"PATH": os.environ["PATH"], "BACKUP_FOLDER": str(folder), "DATABASE_DIRECT_URL": url, "PASSWORD_FILE": "/nowhere", "LC_ALL": "C"}, capture_output=True, text=True, timeout=60)


def test_a_backup_knows_the_database(database, wrong, tmp_path):
    server, url = database
    made = backup(url + query(server.authority.file), tmp_path)
    assert made.returncode == 0 and "data of 1 tables" in made.stdout, made.stderr
    for roots, name, why in wrong:
        refused = backup(url.replace("127.0.0.1", name) + query(roots), tmp_path)
        assert refused.returncode != 0 and why in refused.stderr, refused.stderr
    assert len(list(tmp_path.glob("*.dump"))) == 1


def test_a_host_knows_the_database(database, wrong, hosts):
    """What goes past the pooler: migrations, and the session that listens for the cache."""
    server, _ = database
    cache = "  - id: cache\n    config: { routes: [{ route: '/people*' }] }"
    host = lambda url, direct: hosts(titanic_config(f"{url}?sslmode=disable", cache, database=f', direct_url: "{direct}"'))
    url = server.create("verified")
    host(url, url + query(server.authority.file)).wait_ready()
    # After a second of silence it asks whether the server is still there.
    listening = "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where datname = 'verified' and (query like 'listen %' or query = 'select 1')"
    wait_until(lambda: server.sql(listening) == "t", what="a session by TLS that listens")
    for number, (roots, name, why) in enumerate(wrong):
        url = server.create(f"refused{number}")
        refused = host(url, url.replace("127.0.0.1", name) + query(roots))
        wait_until(lambda: why in refused.why("database"), what=why)
        assert server.sql("select count(*) from pg_tables where tablename = 'people'", f"refused{number}") == "0"
