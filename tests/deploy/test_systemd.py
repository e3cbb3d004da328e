"""The shipped unit: what systemd says of it, and a host with every plugin that lives within what it allows."""

import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from test_auth import bearer, make_key  # noqa: E402
from test_owasp import ONE, from_, production  # noqa: E402
from support.servers import BULKHEAD, PRESET, ROOT, OpenIdProvider, Redis, wait_until  # noqa: E402
from support.skips import SANITIZED  # noqa: E402

UNIT = ROOT / "deploy/systemd/bulkhead.service"
pytestmark = pytest.mark.skipif(PRESET != "release", reason=SANITIZED)


def test_systemd_understands_it(tmp_path):
    unit = tmp_path / "bulkhead.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/bulkhead", str(BULKHEAD)))
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert str(unit) not in run.stdout + run.stderr and "Unknown" not in run.stderr, run.stderr
    security = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)], capture_output=True, text=True)
    exposure = float(re.search(r"Overall exposure level for bulkhead.service: ([\d.]+)", security.stdout)[1])
    print(f"exposure {exposure}")
    assert exposure < 2.0, security.stdout


def test_systemd_understands_the_backup_of_every_night(tmp_path):
    for name in ("titanic-backup.service", "titanic-backup.timer"):
        (tmp_path / name).write_text((ROOT / "deploy/postgres" / name).read_text().replace("/opt/titanic", str(ROOT)))
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "titanic-backup.timer"), str(tmp_path / "titanic-backup.service")], capture_output=True, text=True)
    assert "titanic-backup" not in run.stdout + run.stderr and "Unknown" not in run.stderr, run.stderr


def test_every_plugin_lives_within_it(postgres, tmp_path):
    """Killed at the first call that the unit does not allow."""
    from support.servers import Host

    provider, redis = OpenIdProvider("ES256"), Redis()
    try:
        outside = production(tmp_path, postgres.create(f"p{uuid.uuid4().hex[:12]}"), provider.url, REDIS_URL=redis.url)
        outside.wait_ready()
        key = make_key(outside, "people:read,people:write,keys:admin", "--expires", "1d")
        outside.stop()
        outside.wrapper = ("/usr/bin/python3", str(ROOT / "tests/support/confined.py"), str(UNIT))
        host = outside.start()
        host.wait_ready()
        status = pathlib.Path(f"/proc/{host.process.pid}/status").read_text()
        assert re.search(r"NoNewPrivs:\t1", status) and re.search(r"Seccomp:\t2", status) and re.search(r"CapEff:\t0+\n", status), status
        assert os.geteuid() != 0 or re.search(r"CapBnd:\t0+\n", status), "only who has capabilities can drop them"
        assert not any(line.split()[1][2:3] == "x" and "w" in line.split()[1] for line in open(f"/proc/{host.process.pid}/maps")), "no memory is written and executed"
        for _ in range(3):
            assert host.get(ONE, headers=from_("192.0.2.1", key)).status == 200
        assert host.get(ONE, headers=from_("192.0.2.1", provider.token("people:read"))).status == 200
        assert host.get("/people?limit=1000", headers=from_("192.0.2.1", key, **{"accept-encoding": "br"})).headers["content-encoding"] == "br"
        assert host.request("PATCH", ONE, {"age": 22}, headers=from_("192.0.2.1", key)).status == 200
        assert host.request("POST", "/auth/keys", {"name": "n", "scopes": ["people:read"], "expiresIn": "1d"}, headers=from_("192.0.2.1", key)).status == 201
        for path in ("/metrics", "/openapi.json", "/docs", "/health/ready"):
            assert host.get(path, headers=from_("192.0.2.1")).status == 200, path
        (tmp_path / "pepper").write_text("another")
        wait_until(lambda: "configured anew" in host.log(), what="the new pepper")
        host.process.send_signal(1)
        wait_until(lambda: "SIGHUP" in host.log(), what="SIGHUP")
        redis.kill()
        assert host.get(ONE, headers=from_("192.0.2.2", key)).status == 200
        redis.start()
        threads = [threading.Thread(target=lambda: [host.get("/people?limit=5", headers=from_("192.0.2.3", key)) for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)
        assert host.process.poll() is None, host.log()
    finally:
        outside.stop()
        provider.stop()
        redis.close()
