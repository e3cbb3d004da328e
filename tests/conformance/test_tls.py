"""TLS on a listener, from outside: Python's ssl, openssl s_client and curl."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from support.certificates import Authority
from support.http import PLUGINS, becomes_quiet, contract_config, cpu_seconds, refused
from support.servers import BUILD, PATIENCE, Host, Raw, free_port, wait_until

HELLO = "GET /hello/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
MIRROR = "GET /mirror HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_config(certificate, more="", server=""):
    text = contract_config(*PLUGINS, server=server)
    return text.replace("listen: 127.0.0.1:{port}", f"listen: [{{ address: 127.0.0.1:{{port}}, tls: {{ certificate: {certificate[0]}, key: {certificate[1]}{more} }} }}]")


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    host = Host(tls_config(authority.issue("localhost"), server="  timeouts: { header: 1s, idle: 2s }\n"), tmp_path_factory.mktemp("tls"))
    yield host
    host.stop()


# ------------------------------------------------------------------ protocol

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_over_tls(server, authority, version):
    with Raw(server.port, tls=authority.client(version=version)) as raw:
        seen = raw.send(MIRROR).answer().json
        assert seen["scheme"] == "https" and seen["tls"] is True and seen["subject"] == ""
        raw.send(HELLO * 40)
        assert [raw.answer().body for _ in range(40)] == [b"hello x"] * 40
        # Bodies of many records, both ways, and an answer built of many small parts.
        body = os.urandom(500_000).hex().encode()[:900_000]
        raw.send(b"POST /chained/c/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert raw.answer().body == body
        assert raw.send("GET /mirror/bytes/1048576 HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO).answer().body == b"x" * 1048576
        assert raw.answer().body == b"hello x"
        assert raw.send("GET /hello/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").answer().status == 200
        assert raw.ended(), "close_notify came, or Python would have said so"


def test_rfc7301_alpn(server, authority):
    with Raw(server.port, tls=authority.client(alpn=["h2", "http/1.1"])) as raw:
        assert raw.socket.selected_alpn_protocol() == "http/1.1"
    with Raw(server.port, tls=authority.client()) as raw:
        assert raw.socket.selected_alpn_protocol() is None
    with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        Raw(server.port, tls=authority.client(alpn=["h2"]))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_rfc8446_s2_2_sessions_resume(server, authority, version):
    context = authority.client(version=version)
    with Raw(server.port, tls=context) as raw:
        assert raw.send(HELLO).answer().status == 200  # with 1.3 the ticket comes after the handshake
        assert raw.socket.session_reused is False
        session = raw.socket.session
        assert session.has_ticket
    with Raw(server.port, tls=context, session=session) as raw:
        assert raw.socket.session_reused is True
        assert raw.send(HELLO).answer().status == 200


def s_client(host, *words, data=HELLO):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{host.port}", "-servername", "localhost", *map(str, words)]
    return subprocess.run(command, input=data, capture_output=True, text=True, timeout=60)


def test_openssl_s_client(server, authority):
    closing = HELLO.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    shown = s_client(server, "-CAfile", authority.file, "-verify_return_error", "-alpn", "http/1.1", "-ign_eof", data=closing).stdout
    assert "Verify return code: 0 (ok)" in shown and "ALPN protocol: http/1.1" in shown and "TLSv1.3" in shown and "hello x" in shown
    assert "Secure Renegotiation IS" in s_client(server, "-tls1_2", "-ign_eof", data=closing).stdout
    for old in ("-tls1", "-tls1_1"):
        shown = s_client(server, old, "-cipher", "ALL:@SECLEVEL=0")
        assert shown.returncode != 0 and "alert protocol version" in shown.stderr
    weak = s_client(server, "-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")
    assert weak.returncode != 0, "no cipher without forward secrecy"
    assert "no renegotiation" in s_client(server, "-tls1_2", data="R\n").stderr


def test_curl(server, authority):
    shown = subprocess.run(["curl", "-sv", "--cacert", str(authority.file), "--resolve", f"localhost:{server.port}:127.0.0.1", f"https://localhost:{server.port}/hello/x", f"https://localhost:{server.port}/hello/y"], capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stdout == "hello xhello y" and "SSL certificate verify ok" in shown.stderr
    assert "Re-using existing connection" in shown.stderr


def test_plain_http_on_a_tls_port_is_told_so(server):
    with Raw(server.port) as raw:
        answer = raw.send(HELLO).answer()
        assert answer.status == 400 and b"https" in answer.body
        assert raw.ended()


# ----------------------------------------------------------------- abuse

def test_a_handshake_in_single_bytes(hosts, authority):
    """And requests that come so: a record in pieces is no request yet, and blocks nothing."""
    server = hosts(tls_config(authority.issue("localhost")))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush():
            for byte in outgoing.read():
                plain.sendall(bytes([byte]))

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flush()
                incoming.write(plain.recv(65536))
        flush()
        tls.write(HELLO.encode())
        flush()
        got = b""
        while b"hello x" not in got:
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(65536))


def test_stalled_handshakes_delay_nobody_and_end(server, authority):
    descriptors = server.resources()[0]
    silent = [Raw(server.port) for _ in range(100)]
    for index, raw in enumerate(silent):
        raw.send(b"\x16\x03\x01\x02\x00\x01"[: index % 7])
    before = cpu_seconds(server)
    started = time.monotonic()
    for _ in range(20):
        with Raw(server.port, tls=authority.client()) as raw:
            assert raw.send(HELLO).answer().status == 200
    assert time.monotonic() - started < 10, "twenty handshakes while a hundred stall"
    # A byte now and then of a good ClientHello does not buy more time.
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.client().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    dribbling, begun = Raw(server.port), time.monotonic()
    with pytest.raises(OSError):
        for byte in outgoing.read()[:-1]:
            dribbling.send(bytes([byte]))
            time.sleep(0.1)
    assert 0.9 < time.monotonic() - begun < 10, "the deadline of one second, not the client's pace"
    wait_until(lambda: server.resources()[0] <= descriptors + 2, what="the silent ones to be let go")
    assert cpu_seconds(server) - before < 3
    for raw in silent:
        raw.socket.close()


def test_garbage_and_resets(server, authority):
    for data in (b"\x00" * 600, b"\x16\x03\x01\xff\xff" + b"a" * 2000, b"\x80\x2e\x01\x00\x02" + b"z" * 100, b"\x15\x03\x03\x00\x02\x02\x28"):
        with Raw(server.port) as raw:
            raw.send(data)
            raw.socket.settimeout(10)
            try:
                while raw.socket.recv(4096):
                    pass
            except ConnectionError:
                pass
    context = authority.client()
    for _ in range(50):
        Raw(server.port, tls=context).socket.close()  # without a word
    with Raw(server.port, tls=context) as raw:
        assert raw.send(HELLO).answer().status == 200, "one bad peer does not break others"


def test_slow_readers_over_tls(server, authority):
    context = authority.client()
    slow = []
    for _ in range(20):
        raw = Raw(server.port, tls=context)
        slow.append(raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\n"))
    becomes_quiet(server)
    with Raw(server.port, tls=context) as raw:
        assert raw.send(HELLO).answer().status == 200
    for raw in slow[:5]:
        assert len(raw.answer().body) == 8 * 1024 * 1024
    for raw in slow:
        raw.socket.close()


def test_a_slow_client_of_late_answers(server, authority):
    """More requests in one record than may run at once: what TLS has taken already is not forgotten."""
    with Raw(server.port, tls=authority.client()) as raw:
        raw.send("".join(f"GET /async/{n % 3} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(300)))
        assert [raw.answer().body for _ in range(300)] == [f"/async/{n % 3}".encode() for n in range(300)]


def test_the_end_of_a_large_answer_to_a_slow_reader(server, authority):
    """close_notify waits for room in the socket as everything else does."""
    for _ in range(3):
        with Raw(server.port, tls=authority.client()) as raw:
            raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.1)
            assert len(raw.answer().body) == 8 * 1024 * 1024 and raw.ended()


def test_100_continue_to_a_full_socket(server, authority):
    """A record that OpenSSL has begun is the one that goes on, or the answer behind it would be torn."""
    with Raw(server.port, tls=authority.client()) as raw:
        raw.send("GET /noisy/large HTTP/1.1\r\nHost: x\r\n\r\nPOST /mirror HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(0.2)
        assert len(raw.answer().body) == 8 * 1024 * 1024 and raw.answer().status == 100
        assert raw.send("ok").answer().json["body"] == "ok"


def test_rfc8446_s4_6_3_a_flood_of_key_updates(server, authority):
    """They carry no data and each asks for an answer that nobody reads: neither a loop nor a wait may come of it."""
    floods = [subprocess.Popen([str(BUILD / "bin/key_updates"), str(server.port), "3"], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    context = authority.client()
    while any(flood.poll() is None for flood in floods):
        started = time.monotonic()
        with Raw(server.port, tls=context) as raw:
            assert raw.send(HELLO).answer().status == 200
        assert time.monotonic() - started < PATIENCE / 3
    assert all(int(flood.stdout.read()) > 100 for flood in floods)
    becomes_quiet(server)


def test_rfc8446_s6_1_idle_connections_end_with_close_notify(server, authority):
    """Python raises SSLEOFError where the end comes without it."""
    with Raw(server.port, tls=authority.client()) as raw:
        assert raw.send(HELLO).answer().status == 200
        assert raw.ended(), "after the idle deadline"


def test_a_half_closed_connection(server, authority):
    with Raw(server.port, tls=authority.client()) as raw:
        raw.send("GET /async/100 HTTP/1.1\r\nHost: x\r\n\r\n")
        threading.Timer(0.02, lambda: socket.socket.shutdown(raw.socket, socket.SHUT_WR)).start()
        assert raw.answer().body == b"/async/100"


# ------------------------------------------------------------- certificates

def subject_of(port, authority):
    with Raw(port, tls=authority.client()) as raw:
        return dict(pair[0] for pair in raw.socket.getpeercert()["subject"])["organizationName"]


def test_a_renewed_certificate_is_taken_without_a_restart(hosts, tmp_path):
    authority = Authority(tmp_path / "ca")
    first = authority.issue("localhost", "/O=First/CN=localhost")
    host = hosts(tls_config(first))
    assert subject_of(host.port, authority) == "First"
    with Raw(host.port, tls=authority.client()) as old:
        assert old.send(HELLO).answer().status == 200
        authority.issue("localhost", "/O=Second/CN=localhost")
        wait_until(lambda: subject_of(host.port, authority) == "Second", what="the new certificate")
        assert old.send(HELLO).answer().status == 200, "connections go on under the old one"
    # A broken one is refused and the good one stays.
    first[1].write_text("no key\n")
    wait_until(lambda: any("the new certificate is not used" in line["message"] for line in host.log_lines()), what="the complaint")
    assert subject_of(host.port, authority) == "Second"
    authority.issue("localhost", "/O=Third/CN=localhost")
    host.process.send_signal(signal.SIGHUP)
    wait_until(lambda: subject_of(host.port, authority) == "Third", what="the third certificate")


def test_client_certificates(hosts, tmp_path):
    authority, strangers = Authority(tmp_path / "ca"), Authority(tmp_path / "strangers", "strangers")
    alice = authority.issue("alice", "/O=Ünder Writers/CN=alice")
    mallory = strangers.issue("mallory")
    server = authority.issue("localhost")

    def subject(host, certificate, version=None):
        context = authority.client(certificate, version)
        with Raw(host.port, tls=context) as raw:
            first = raw.send(MIRROR).answer().json["subject"]
            session = raw.socket.session
        with Raw(host.port, tls=context, session=session) as raw:
            assert raw.send(MIRROR).answer().json["subject"] == first, "the same in a resumed session"
            assert raw.socket.session_reused
        return first

    optional = hosts(tls_config(server, f", client_ca: {authority.file}, client_certificate: optional"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert subject(optional, alice, version) == "CN=alice,O=Ünder Writers"
        assert subject(optional, None, version) == ""
    with pytest.raises((ssl.SSLError, ConnectionError, AttributeError)):
        subject(optional, mallory)
    required = hosts(tls_config(server, f", client_ca: {authority.file}, client_certificate: required"))
    assert subject(required, alice) == "CN=alice,O=Ünder Writers"
    for bad in (None, mallory):
        with pytest.raises((ssl.SSLError, ConnectionError, AttributeError)):
            subject(required, bad)
    shown = s_client(required, "-cert", alice[0], "-key", alice[1], "-ign_eof", data=MIRROR.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).stdout
    assert '"subject":"CN=alice' in shown


def test_a_subject_cannot_be_sent_as_a_header(server, authority):
    with Raw(server.port, tls=authority.client()) as raw:
        assert raw.send("GET /mirror HTTP/1.1\r\nHost: x\r\ntls.client.subject: CN=root\r\n\r\n").answer().json["subject"] == ""


# ------------------------------------------------------------ configuration

def test_what_a_configuration_may_get_wrong(tmp_path):
    authority = Authority(tmp_path / "ca")
    one, two = authority.issue("one"), authority.issue("two")
    message = refused(tmp_path, tls_config((one[0], two[1])))
    assert "/server/listen/0/tls/key" in message and "belongs to" in message and "checked.yaml:" in message
    assert "/server/listen/0/tls/certificate" in refused(tmp_path, tls_config((tmp_path / "absent.pem", one[1])))
    assert "no certificate in PEM" in refused(tmp_path, tls_config((one[1], one[1])))
    assert "/server/listen/0/tls/client_ca" in refused(tmp_path, tls_config(one, ", client_certificate: required"))
    assert "client_ca" in refused(tmp_path, tls_config(one, f", client_ca: {authority.file}"))
    assert "did you mean 'certificate'" in refused(tmp_path, tls_config(one).replace("certificate:", "certificat:"))
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-in", one[1], "-aes128", "-passout", "pass:x", "-out", locked], check=True, capture_output=True)
    assert "without a passphrase" in refused(tmp_path, tls_config((one[0], locked)))


def test_several_listeners(hosts, tmp_path):
    authority = Authority(tmp_path / "ca")
    certificate = authority.issue("localhost")
    plain, secure_admin = free_port(), free_port()
    tls = f"tls: {{ certificate: {certificate[0]}, key: {certificate[1]} }}"
    config = tls_config(certificate).replace("listen: [", f"listen: [127.0.0.1:{plain}, ")
    config = config.replace("admin: 127.0.0.1:{admin}", f"admin: {{ address: 127.0.0.1:{secure_admin}, {tls} }}")
    host = hosts(config)
    with Raw(plain) as raw:
        assert raw.send(MIRROR).answer().json["scheme"] == "http"
    with Raw(host.port, tls=authority.client()) as raw:
        assert raw.send(MIRROR).answer().json["scheme"] == "https"
    with Raw(secure_admin, tls=authority.client()) as raw:
        assert len(raw.send("GET /_host/plugins HTTP/1.1\r\nHost: x\r\n\r\n").answer().json) == len(PLUGINS)
        rows = raw.send("GET /_host/latency HTTP/1.1\r\nHost: x\r\n\r\n").answer().json
        assert [row for row in rows if row["plugin"] == "mirror" and row["phase"] == "step" and row["route"] == "/mirror" and row["count"] == 2]
    serving = next(line for line in host.log_lines() if line["message"] == "serving")
    assert re.search(rf"http://127.0.0.1:{plain} https://127.0.0.1:{host.port}", str(serving))
