"""The nginx and HAProxy examples as they stand, in front of two hosts: TLS, who called, a host that goes."""

import json
import re
import shutil
import ssl
import subprocess
import threading
import time
import urllib.request

import pytest

from support.certificates import Authority
from support.http import contract_config
from support.servers import PRESET, ROOT, free_port, wait_until
from support.skips import OTHER_BUILD

pytestmark = pytest.mark.skipif(PRESET != "release", reason=OTHER_BUILD)
PROXY = ROOT / "deploy/proxy"
TRUST = "  trusted_proxies: [ 127.0.0.1 ]\n"


@pytest.fixture(params=("nginx", "haproxy"))
def proxy(request, hosts, tmp_path):
    """Its URL, a TLS context, and the two hosts."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("localhost")
    shutil.copy(certificate, tmp_path / "certificate.pem")
    shutil.copy(key, tmp_path / "key.pem")
    (tmp_path / "both.pem").write_text((tmp_path / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text())
    logs = [tmp_path / f"access-{number}.log" for number in (1, 2)]
    both = [hosts(contract_config("mirror", server=TRUST, extra=f"  - id: health\n  - id: accesslog\n    config: {{ file: {log} }}\n")) for log in logs]
    port, plain = free_port(), free_port()
    name = "nginx.conf" if request.param == "nginx" else "haproxy.cfg"
    text = (PROXY / name).read_text()
    for old, new in (("127.0.0.1:5000", f"127.0.0.1:{both[0].port}"), ("127.0.0.1:5010", f"127.0.0.1:{both[1].port}"), ("0.0.0.0:443", f"127.0.0.1:{port}"), ("0.0.0.0:80", f"127.0.0.1:{plain}"), ("/etc/bulkhead/tls", str(tmp_path))):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / name
    if request.param == "nginx":
        path.write_text(f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\n" + text.replace("http {\n", "http {\n" + "".join(f"  {kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")), 1))
        command = ["nginx", "-c", str(path), "-p", str(tmp_path), "-e", f"{tmp_path}/error.log"]
    else:
        path.write_text(text)
        command = ["haproxy", "-db", "-f", str(path)]
    server = subprocess.Popen(command, stderr=open(tmp_path / "proxy.log", "w"))
    context = ssl.create_default_context(cafile=authority.file)

    def get(path, **headers):
        return urllib.request.urlopen(urllib.request.Request(f"https://localhost:{port}{path}", headers=headers), timeout=20, context=context)

    try:
        wait_until(lambda: ready(get), what=(tmp_path / "proxy.log").read_text() or request.param)
        get.hosts, get.logs, get.plain, get.port, get.cafile = both, logs, plain, port, authority.file
        yield get
    finally:
        server.terminate()
        server.wait(timeout=20)


def ready(get):
    try:
        return get("/mirror").status == 200
    except OSError:
        return False


def test_who_called(proxy):
    answer = proxy("/mirror?who", **{"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.10"})
    lines = lambda: [json.loads(line) for log in proxy.logs for line in log.read_text().splitlines() if "who" in line]
    wait_until(lines, what="the line of the access log")
    assert lines()[0]["http"]["peer"] == "127.0.0.1", "the proxy's word, not the caller's"
    assert answer.headers["strict-transport-security"] == "max-age=63072000"


def test_tls_alone(proxy):
    run = subprocess.run(["curl", "-si", f"http://127.0.0.1:{proxy.plain}/people"], capture_output=True, text=True)
    assert run.stdout.startswith("HTTP/1.1 301") and re.search(r"location: https://127.0.0.1(:\d+)?/people", run.stdout, re.I)
    two = subprocess.run(["curl", "-s", "--http2", "--cacert", proxy.cafile, "-w", "%{http_version} %{http_code}", "-o", "/dev/null", f"https://localhost:{proxy.port}/mirror"], capture_output=True, text=True)
    assert two.stdout == "2 200"
    old = subprocess.run(["curl", "-s", "--tls-max", "1.1", "--cacert", proxy.cafile, f"https://localhost:{proxy.port}/mirror"], capture_output=True)
    assert old.returncode != 0
    hidden = subprocess.run(["curl", "-s", "--cacert", proxy.cafile, "-w", "%{http_code}", "-o", "/dev/null", f"https://localhost:{proxy.port}/metrics"], capture_output=True, text=True)
    assert hidden.stdout == "404"


def test_a_host_goes_and_comes_back(proxy):
    """Reads under way all the time; one host is stopped, started, then the other: nobody notices."""
    failures, asked, stop = [], [0], threading.Event()

    def read():
        while not stop.is_set():
            try:
                assert proxy("/mirror").status == 200
            except Exception as error:  # noqa: BLE001: whatever it is, a caller saw it
                failures.append(repr(error))
            asked[0] += 1

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for host in proxy.hosts:
            before = asked[0]
            wait_until(lambda: asked[0] > before + 50, what="requests")
            host.stop()
            before = asked[0]
            wait_until(lambda: asked[0] > before + 50, what="requests of the other one")
            host.start()
            time.sleep(6)  # nginx tries it again after five seconds, HAProxy after two
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == [] and asked[0] > 200
