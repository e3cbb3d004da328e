"""Secrets from files: read, changed under load without a failed request, and shown nowhere."""

import subprocess
import time
import uuid

import pytest

from conftest import titanic_config
from support.http import check
from support.servers import BULKHEAD, ROOT, wait_until
from test_auth import ONE, bearer, make_key
from test_database import Readers


def replace(path, text):
    """As Kubernetes does: another file, by rename."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def role(postgres):
    """A user with a password, asked for over TCP, who owns a database."""
    name, first = f"r{uuid.uuid4().hex[:8]}", "MARKER: p@ss/w\\rd'=1"
    url = postgres.create(name)
    set_password = lambda word: postgres.sql("alter role {} password {}".format(name, "'" + word.replace("'", "''") + "'"))
    postgres.sql(f"create role {name} login")
    set_password(first)
    postgres.sql(f"alter database {name} owner to {name}")
    postgres.sql(f"grant all on schema public to {name}", name)
    postgres.sql("select 1")
    yield name, first, set_password, url
    hba = postgres.data / "pg_hba.conf"
    hba.write_text("".join(line for line in hba.read_text().splitlines(True) if name not in line))
    postgres.sql("select pg_reload_conf()")


def ask_for_passwords(postgres, name):
    hba = postgres.data / "pg_hba.conf"
    hba.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\nlocal all {name} scram-sha-256\n" + hba.read_text())
    postgres.sql("select pg_reload_conf()")


def test_a_database_password_changes_under_load(hosts, postgres, role, tmp_path):
    name, first, set_password, _ = role
    ask_for_passwords(postgres, name)
    secret = tmp_path / "password"
    secret.write_text(first + "\n")
    url = f"postgresql://{name}@127.0.0.1:{postgres.port}/{name}"
    config = titanic_config(url, database=f', password: "${{file:{secret}}}", pool: {{ min: 2, max: 6 }}')
    host = hosts(config).wait_ready()
    words = [f"MARKER second {i} ü" for i in range(3)]
    with Readers(host) as readers:
        for i, word in enumerate(words, 1):
            # The new word is in the file when it comes into force, as a rotation does it.
            replace(secret, word)
            set_password(word)
            wait_until(lambda: host.log().count('"message":"configured anew"') == i, what="the new password to be read")
            # Those that were open are cut, one after the other: those that follow must show the new one.
            old = lambda: postgres.sql(f"select pid from pg_stat_activity where usename = '{name}' and backend_start < '{begin}'").split()
            begin = postgres.sql("select clock_timestamp()").strip()
            while pids := old():
                before = sum(readers.good)
                postgres.sql(f"select pg_terminate_backend({pids[0]})")
                wait_until(lambda: sum(readers.good) > before + 20 and pids[0] not in old(), what="answers")
    # A read whose session is cut while it runs is asked again elsewhere.
    assert not readers.bad, readers.bad[:3]
    plugins = host.get("/_host/plugins", admin=True).body.decode()
    assert "MARKER" not in host.log() + plugins + host.get("/health/ready").body.decode()


def test_a_wrong_password_is_not_shown(hosts, postgres, role, tmp_path):
    name, _, _, _ = role
    ask_for_passwords(postgres, name)
    secret = tmp_path / "password"
    secret.write_text("MARKER wrong")
    host = hosts(titanic_config(f"postgresql://{name}@127.0.0.1:{postgres.port}/{name}", database=f', password: "${{file:{secret}}}"'))
    wait_until(lambda: "database down" in host.log() or "password authentication failed" in host.log(), what="the refusal")
    assert "MARKER" not in host.log() + host.get("/health/ready").body.decode()
    command = subprocess.run([str(BULKHEAD), "run", "-c", str(host.config), "people", "import", "nothing.csv"], cwd=ROOT, capture_output=True, text=True)
    assert "MARKER" not in command.stdout + command.stderr


def test_a_pepper_changes_under_load(hosts, tmp_path):
    pepper = tmp_path / "pepper"
    pepper.write_text("one")
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db").replace("scopes: ignore", "scopes: enforce") + f"  - id: auth\n    config: {{ keys: {{ pepper: '${{file:{pepper}}}', new_pepper_after_s: 0 }} }}\n").wait_ready()
    keys = [make_key(host, "people:read") for _ in range(3)]
    for i, word in enumerate(("two", "three", "four"), 1):
        replace(pepper, word)
        end = time.monotonic() + 30
        while host.log().count('"message":"configured anew"') < i:
            assert time.monotonic() < end
            assert [host.get(ONE, headers=bearer(key)).status for key in keys] == [200] * 3
        assert [host.get(ONE, headers=bearer(key)).status for key in keys] == [200] * 3
    fresh = make_key(host, "people:read")
    assert host.get(ONE, headers=bearer(fresh)).status == 200


@pytest.mark.parametrize("content, said", [
    (None, "cannot be read: No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"x" * 70000, "larger than 64 KiB"), (b"a\0b", "NUL character; write it in base64"), (b"\xff\xfe\x01", "is not UTF-8; write it in base64"),
])
def test_a_file_that_is_no_secret(tmp_path, content, said):
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    run = check(tmp_path, f'service: "${{file:{secret}}}"\nplugins:\n  - id: health\n')
    assert run.returncode == 1 and said in run.stderr and "checked.yaml:1:" in run.stderr and "/service" in run.stderr, run.stderr


def test_no_message_shows_a_secret(tmp_path):
    for word in ("MARKER", "secret", "e", '"MARKER" \\ x', "0123456789", "1e400"):
        (tmp_path / "secret").write_text(word)
        for text in ('log: { level: "${file:%s}" }\nplugins:\n  - id: health\n', "server: { listen: '${file:%s}' }\nplugins:\n  - id: health\n", "server: { timeouts: { idle: '${file:%s}' } }\nplugins:\n  - id: health\n",
                     "plugins:\n  - id: database\n    config: { url: '${file:%s}' }\n", "plugins:\n  - id: database\n    config: { url: 'sqlite:///x', queue: '${file:%s}' }\n", "plugins:\n  - id: database\n    optional: true\n    config: { url: 'sqlite:///x', queue: '${file:%s}' }\n", "plugins:\n  - id: ratelimit\n    config: { limits: [ { name: a, requests: 1 } ], redis: '${file:%s}' }\n"):
            run = check(tmp_path, text % (tmp_path / "secret"))
            said = (run.stdout + run.stderr).upper()
            assert "MARKER" not in said and "0123456789" not in said, run.stderr
            assert word == "e" or ("PLUGINS" in said or "/SERVER" in said or "/LOG" in said), "what is wrong is said all the same"
            assert len(said) < 5000
            assert run.returncode in (0, 1)


def test_a_bad_change_is_told_once_and_the_old_one_stays(hosts, tmp_path):
    pepper = tmp_path / "pepper"
    pepper.write_text("one")
    host = hosts(titanic_config(f"sqlite:///{tmp_path}/t.db").replace("scopes: ignore", "scopes: enforce") + f"  - id: auth\n    config: {{ keys: {{ pepper: '${{file:{pepper}}}' }} }}\n").wait_ready()
    key = make_key(host, "people:read")
    pepper.write_bytes(b"\xff\xff")
    wait_until(lambda: "a changed secret is not used, the old one stays" in host.log(), what="a word of it")
    time.sleep(2.5)
    assert host.log().count("a changed secret is not used") == 1 and host.get(ONE, headers=bearer(key)).status == 200
    pepper.unlink()
    time.sleep(1.5)
    assert host.get(ONE, headers=bearer(key)).status == 200, "gone: it is about to come back"
    pepper.write_text("two")
    wait_until(lambda: "configured anew" in host.log(), what="the next one")
    assert host.get(ONE, headers=bearer(key)).status == 200


def test_what_takes_a_restart_says_so(hosts, tmp_path):
    name = tmp_path / "name"
    name.write_text(f"sqlite:///{tmp_path}/t.db")
    host = hosts(titanic_config("${file:%s}" % name)).wait_ready()
    name.write_text(f"sqlite:///{tmp_path}/other.db")
    wait_until(lambda: "the change needs a restart" in host.log(), what="a word of it")
    assert host.get(ONE).status == 200
