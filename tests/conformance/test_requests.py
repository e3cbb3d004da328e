"""What comes before a route: bytes of the target, fields of one value, content codings, who calls and by which scheme."""

import gzip
import json
import os
import re
import socket
import stat
import subprocess
import time

import pytest

from support.http import check, contract_config, refused
from support.servers import BUILD, Host, Raw, wait_until

BUILD_LIB = f"{BUILD}/lib/bulkhead"
BODY = json.dumps({"a": "é" * 500}).encode()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    host = Host(contract_config("mirror"), tmp_path_factory.mktemp("mirror"))
    yield host
    host.stop()


def ask(host, head, body=b""):
    with Raw(host.port) as raw:
        return raw.send(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body).answer()


# ------------------------------------------------------------------ targets


@pytest.mark.parametrize("byte", ['"', "<", ">", "\x01", "\x7f", "é", "\xff", "\t"])
@pytest.mark.parametrize("place", ["/mirror/{}", "/mirror/a?b={}", "/mirror/a?{}"])
def test_bytes_a_target_must_encode(mirror, byte, place):
    """RFC 3986 has none of them; raw, they come back in Link and Location as syntax."""
    assert ask(mirror, f"GET {place.format(byte)} HTTP/1.1\nHost: x").status == 400


@pytest.mark.parametrize("byte", list("|^`{}\\[]"))
def test_bytes_that_browsers_send_all_the_same(mirror, byte):
    answer = ask(mirror, f"GET /mirror/a{byte}b?c={byte} HTTP/1.1\nHost: x")
    assert answer.status == 200 and answer.json["query"] == f"c={byte}" and answer.json["path"] == f"/mirror/a{byte}b"


# -------------------------------------------------------------- single fields


@pytest.mark.parametrize("field", ["Host", "Content-Type", "Authorization", "Origin", "X-API-Key", "Content-Length"])
def test_a_field_of_one_value_is_given_once(mirror, field):
    for second in ("1", "2"):
        lines = ["POST /mirror HTTP/1.1", f"{field}: 1", f"{field.lower()}: {second}"] + (["Host: x"] if field != "Host" else [])
        answer = ask(mirror, "\n".join(lines), b"1")
        assert answer.status == 400, (field, second)


def test_lists_may_come_in_pieces(mirror):
    answer = ask(mirror, "GET /mirror HTTP/1.1\nHost: x\nAccept: a/b\nAccept: c/d\nIf-Match: \"1\"\nIf-Match: \"2\"")
    assert answer.status == 200 and [value for name, value in answer.json["headers"] if name == "accept"] == ["a/b", "c/d"]


# ------------------------------------------------------------ content codings


def coded(coding, data):
    if coding in ("gzip", "x-gzip"):
        return gzip.compress(data)
    tool = {"br": ["node", "-e", "process.stdout.write(require('zlib').brotliCompressSync(require('fs').readFileSync(0)))"], "zstd": ["zstd", "-q", "-c"]}[coding]
    return subprocess.run(tool, input=data, capture_output=True, check=True).stdout


def post(host, coding, data, chunked=False):
    head = f"POST /mirror HTTP/1.1\nHost: x\nContent-Encoding: {coding}\n"
    if not chunked:
        return ask(host, head + f"Content-Length: {len(data)}", data)
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(data[i:i + 7]), data[i:i + 7]) for i in range(0, len(data), 7))
    return ask(host, head + "Transfer-Encoding: chunked", pieces + b"0\r\n\r\n")


@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "br", "zstd", "identity", "identity, gzip"])
def test_bodies_are_decoded(mirror, coding, chunked):
    plain = coding.split(", ")[-1].lower()
    answer = post(mirror, coding, BODY if plain == "identity" else coded(plain, BODY), chunked)
    assert answer.status == 200 and answer.json["body"].encode() == BODY


def test_members_and_frames_may_follow_each_other(mirror):
    for coding in ("gzip", "zstd"):
        answer = post(mirror, coding, coded(coding, BODY[:300]) + coded(coding, BODY[300:]))
        assert answer.status == 200 and answer.json["body"].encode() == BODY


@pytest.mark.parametrize("coding", ["deflate", "compress", "exi", "gzip, br", "gzip, gzip", "x"])
def test_other_codings_are_415(mirror, coding):
    answer = post(mirror, coding, b"abc")
    assert answer.status == 415 and answer.headers["accept-encoding"] == "gzip, br, zstd"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_what_is_no_such_coding_is_400(mirror, coding):
    whole = coded(coding, BODY)
    for damaged in (b"abc", BODY, whole[:-5], whole + b"garbage", whole[:1]):
        assert post(mirror, coding, damaged).status == 400, damaged[:20]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_is_refused_at_the_limit(mirror, coding):
    bomb = coded(coding, b"0" * 200_000_000)
    before = mirror.resources()[2]
    answer = post(mirror, coding, bomb[:1_000_000])
    assert answer.status == 413 and "1048576" in answer.json["detail"]
    assert mirror.resources()[2] - before < 32 * 1024, "KiB: the limit's worth, not the bomb's"
    just = post(mirror, coding, coded(coding, b"0" * 1_048_576))
    assert just.status == 200 and len(just.json["body"]) == 1_048_576
    assert post(mirror, coding, coded(coding, b"0" * 1_048_577)).status == 413


# ---------------------------------------------------------------- who calls


def behind(hosts, *, forwarded=False, more=""):
    return hosts(contract_config("mirror", server=f"  trusted_proxies: [127.0.0.1, 10.0.0.0/8]\n  forwarded_header: {'forwarded' if forwarded else 'x-forwarded-for'}\n{more}",
                                 extra=f"  - id: security-headers\n    library: {BUILD_LIB}/security-headers.so\n"))


@pytest.mark.parametrize("fields, peer, scheme", [
    ([], "127.0.0.1", "http"),
    (["X-Forwarded-Proto: https"], "127.0.0.1", "https"),
    (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"], "192.0.2.1", "https"),
    (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: HTTPS"], "192.0.2.1", "https"),
    (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: ftp"], "192.0.2.1", "http"),
    (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"], "192.0.2.1", "http"),  # the caller's own word stands first
    (["X-Forwarded-For: 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: https, http"], "192.0.2.1", "https"),
    (["X-Forwarded-For: 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: https"], "192.0.2.1", "https"),
    (["X-Forwarded-For: 198.51.100.9, 192.0.2.1", "X-Forwarded-Proto: http, https"], "192.0.2.1", "https"),
    (["Forwarded: for=192.0.2.1;proto=https"], "127.0.0.1", "http"),
])
def test_the_scheme_is_by_the_same_hop_as_the_address(hosts, fields, peer, scheme):
    host = behind(hosts)
    answer = ask(host, "\n".join(["GET /mirror HTTP/1.1", "Host: x", *fields]))
    assert (answer.json["peer"], answer.json["scheme"]) == (peer, scheme)
    assert ("strict-transport-security" in answer.headers) == (scheme == "https")


@pytest.mark.parametrize("field, peer, scheme", [
    ("for=192.0.2.1;proto=https", "192.0.2.1", "https"),
    ('Proto="https";For="[2001:db8::1]:4711"', "2001:db8::1", "https"),
    ("for=192.0.2.1;proto=https, for=10.0.0.7;proto=http", "192.0.2.1", "https"),
    ("for=9.9.9.9;proto=https, for=192.0.2.1;proto=http", "192.0.2.1", "http"),
    ("for=unknown;proto=https", "127.0.0.1", "https"),
    ("for=192.0.2.1", "192.0.2.1", "http"),
])
def test_forwarded_names_scheme_and_address_in_one_element(hosts, field, peer, scheme):
    answer = ask(behind(hosts, forwarded=True), f"GET /mirror HTTP/1.1\nHost: x\nForwarded: {field}\nX-Forwarded-Proto: https")
    assert (answer.json["peer"], answer.json["scheme"]) == (peer, scheme)


def test_a_strangers_word_is_no_scheme(mirror):
    answer = ask(mirror, "GET /mirror HTTP/1.1\nHost: x\nX-Forwarded-Proto: https\nX-Forwarded-For: 192.0.2.1")
    assert (answer.json["peer"], answer.json["scheme"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize("address, peer", [
    ("64:ff9b::192.0.2.33", "192.0.2.33"), ("2001:db8:64::c000:221", "192.0.2.33"), 
    ("2001:db8:122:c000:2:2100::", "192.0.2.33"), ("2002:c000:221::1", "2002:c000:221::1"), ("2001:db8:65::1", "2001:db8:65::1"),
])
def test_addresses_behind_a_nat64_are_ipv4(hosts, address, peer):
    """The examples of RFC 6052 §2.4."""
    host = behind(hosts, more="  nat64_prefixes: ['2001:db8:64::/96', '2001:db8:122::/48']\n")
    assert ask(host, f"GET /mirror HTTP/1.1\nHost: x\nX-Forwarded-For: {address}").json["peer"] == peer


@pytest.mark.parametrize("prefix", ["2001:db8::/97", "2001:db8::", "10.0.0.0/8", "x/96"])
def test_what_is_no_nat64_prefix(tmp_path, prefix):
    assert "is no prefix of a NAT64" in refused(tmp_path, contract_config("mirror", server=f"  nat64_prefixes: ['{prefix}']\n"))


# ---------------------------------------------------------------- listeners


@pytest.mark.parametrize("address, why", [
    ("127.0.0.1:70000", "'70000' is no port"), ("127.0.0.1:-1", "'-1' is no port"), ("127.0.0.1:http", "'http' is no port"), ("127.0.0.1:", "'' is no port"),
    ("127.0.0.1", "has no port"), ("::1:5000", "stands in brackets"), ("[::1%lo]:5000", "names no address"), ("no.such.host.invalid:5000", "names no address"),
    ("unix:x.sock", "begins with a slash"), ("unix:/x/", "begins with a slash"), ("unix:/" + "x" * 120, "at most 107 bytes"), ("unix:/no/such/folder/x", "the folder /no/such/folder/ does not exist"), ("", "has no port"),
])
def test_check_refuses_where_nobody_can_listen(tmp_path, address, why):
    error = refused(tmp_path, contract_config("mirror").replace("127.0.0.1:{port}", f"'{address}'"))
    assert why in error and re.search(r"checked\.yaml:2:\d+: /server/listen: ", error), error


def test_a_port_of_all_addresses(hosts):
    host = hosts(contract_config("mirror").replace("127.0.0.1:{port}", "':{port}'"))
    assert host.get("/mirror").json["peer"] == "127.0.0.1"
    with socket.socket(socket.AF_INET6) as six:
        try:
            six.connect(("::1", host.port))
        except OSError:
            return  # no IPv6 here
        six.sendall(b"GET /mirror HTTP/1.0\r\n\r\n")
        assert b'"peer":"::1"' in b"".join(iter(lambda: six.recv(65536), b""))


def by_unix(path, request="GET /mirror HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(request.encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def test_a_unix_socket(hosts, tmp_path):
    path = tmp_path / "x.sock"
    config = contract_config("mirror", server="  trusted_proxies: ['unix:']\n").replace("listen: 127.0.0.1:{port}", f"listen: ['127.0.0.1:{{port}}', 'unix:{path}']")
    host = hosts(config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert '"peer":"unix:"' in by_unix(path)
    forwarded = by_unix(path, "GET /mirror HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
    assert '"peer":"192.0.2.1"' in forwarded and '"scheme":"https"' in forwarded
    assert f"unix:{path}" in next(line["listen"] for line in wait_until(host.log_lines) if line["message"] == "serving")
    second = hosts(config, start=False).start(wait=False)
    assert second.process.wait(timeout=30) == 1 and "another program listens there" in second.log()
    second.process = None
    assert '"peer":"unix:"' in by_unix(path), "the first one still has it"
    host.stop()
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_file_is_not(hosts, tmp_path):
    path = tmp_path / "x.sock"
    config = contract_config("mirror").replace("listen: 127.0.0.1:{port}", f"listen: ['127.0.0.1:{{port}}', {{ address: 'unix:{path}', socket_mode: '0600' }}]")
    first = hosts(config)
    first.process.kill()
    first.process.wait()
    first.process = None
    assert path.exists(), "what a host leaves that is killed"
    second = hosts(config)
    assert '"peer":"unix:"' in by_unix(path) and stat.S_IMODE(path.stat().st_mode) == 0o600
    second.stop()
    path.write_text("mine")
    assert "is a file, not a socket" in refused(tmp_path, config)
    assert path.read_text() == "mine"
    assert "is for a unix socket only" in refused(tmp_path, config.replace(f"unix:{path}", "127.0.0.1:1"))
    assert "is not accepted" in refused(tmp_path, config.replace("'0600'", "'rw'"))


# ------------------------------------------------------------ half a connection


def test_a_caller_who_half_closes_is_answered(mirror):
    with Raw(mirror.port) as raw:
        raw.send("GET /mirror/bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.socket.shutdown(socket.SHUT_WR)
        assert len(raw.answer().body) == 300_000 and raw.ended()


def test_a_caller_who_has_closed_counts_as_gone(hosts):
    """A FIN alone may be half a close: it is the answer that finds out."""
    log = f"  - id: accesslog\n    library: {BUILD_LIB}/accesslog.so\n    config: {{ format: json }}\n"
    host = hosts(contract_config("async", extra=log))
    statuses = lambda path: [line["http"]["status"] for line in host.log_lines() if line.get("http", {}).get("path") == path]
    with Raw(host.port) as raw:
        raw.send("GET /async/300 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
    wait_until(lambda: statuses("/async/300") == [499], what="the line of a caller who left")
    with Raw(host.port) as raw:
        raw.send("GET /async/299 HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.answer().status == 200
    wait_until(lambda: statuses("/async/299") == [200], what="the line of one who had half closed")


# ------------------------------------------------------------------- the rest


def test_a_404_says_where_to_look(hosts, mirror):
    assert "/openapi.json" not in mirror.get("/x").json["detail"], "this host has none"
    admin = mirror.get("/x", admin=True).json["detail"]
    assert "/_host/plugins" in admin and "/openapi.json" not in admin
    described = hosts(contract_config("cpp_hello", extra=f"  - id: openapi\n    library: {BUILD_LIB}/openapi.so\n"))
    assert "/openapi.json lists what is" in described.get("/x").json["detail"]


def test_a_second_document_and_a_fifo(tmp_path):
    error = refused(tmp_path, contract_config("mirror") + "---\nplugins: []\n")
    assert "a second document begins here" in error and re.search(r"checked\.yaml:\d\d?:", error), error
    fifo = tmp_path / "plugin.so"
    os.mkfifo(fifo)
    assert "is no regular file" in refused(tmp_path, contract_config("mirror", extra=f"  - id: x\n    library: {fifo}\n"))
    missing = check(tmp_path, contract_config("mirror"))
    assert missing.returncode == 0
    run = subprocess.run([str(BUILD / "bin/bulkhead"), "check", str(tmp_path / "none.yaml")], capture_output=True, text=True)
    assert run.returncode == 1 and "cannot read the file: No such file or directory" in run.stderr
