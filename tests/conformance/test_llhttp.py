"""Two parsers, the same bytes: what ours takes for a whole message, Node's llhttp takes for the same one.

Refusing more is fine, and so is an unknown method or minor version, which frame nothing: those end the comparison of
their message. Everything else that only one of two servers accepts is how requests are smuggled between them.
"""

import json
import random
import subprocess

import pytest

from support.servers import BUILD, ROOT

COUNT = 40_000
NOT_FRAMING = {"HPE_INVALID_METHOD", "HPE_INVALID_VERSION"}


class Generator:
    """Messages that are nearly right: each part usually good, sometimes of the odd kinds, then bytes of it changed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, good, odd, chance=0.1):
        return self.random.choice(odd if self.random.random() < chance else good)

    def request_line(self):
        method = self.pick(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"], ["get", "BREW", "", "CONNECT", "G T", "TRACE"], 0.05)
        target = self.pick(["/", "/a/b?c=d", "*", "http://x/y"], ["", "/a b", "/a\tb", "x", "http://", "/\x7f", "/%zz", "/#a", "/\xe9"], 0.05)
        version = self.pick(["HTTP/1.1", "HTTP/1.0"], ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/11", "HTTP/1.", ""], 0.04)
        return f"{method}{self.pick([' '], ['  ', chr(9), ''], 0.03)}{target} {version}"

    def fields(self, body):
        out = ["Host: x"] if self.random.random() < 0.95 else []
        kind = self.random.random()
        if kind < 0.4:
            length = self.pick([str(len(body))], [f"+{len(body)}", f"{len(body)}, {len(body)}", "", "x", f"0{len(body)}", f" {len(body)} ", str(len(body) + 1), str(max(len(body) - 1, 0)), "-1", f"0x{len(body):x}", "9" * 25, f"{len(body)};"], 0.3)
            out.append(f"Content-Length:{self.pick([' '], ['', chr(9), '  '])}{length}")
            if self.random.random() < 0.1:
                out.append(f"Content-Length: {len(body)}")
        if kind > 0.35 and kind < 0.8:
            coding = self.pick(["chunked"], ["Chunked", "gzip, chunked", "chunked, gzip", "chunked, chunked", "xchunked", "chunkedx", "identity", "", ",chunked", "chunked,", "chunked;q=1", "\"chunked\"", "gzip", "\x0bchunked", "chunked\x0c"], 0.3)
            out.append(f"{self.pick(['Transfer-Encoding'], ['transfer-encoding', 'Transfer-Encoding ', 'Transfer_Encoding', 'Transfer-Encoding' + chr(0)], 0.1)}: {coding}")
            if self.random.random() < 0.05:
                out.append("Transfer-Encoding: chunked")
        for _ in range(self.random.randint(0, 2)):
            out.append(self.pick(["Connection: keep-alive", "A: b", "X-Y:z", "Accept: */*", "Empty:", "Expect: 100-continue", "T:\tt"], [" folded", "\tfolded", "A : b", ": b", "A", "A: b\x00", "A: b\x01", "A\x80: b", "A: \xe9", "Connection: close", "Connection: a, close", "A: b\x7f", "A:\x0b", "(: )", "Host: y"], 0.2))
        self.random.shuffle(out)
        return out

    def chunks(self, body):
        out, at = "", 0
        while at < len(body):
            size = self.random.randint(1, len(body) - at)
            text = self.pick([f"{size:x}", f"{size:X}", f"00{size:x}"], [f"{size:x} ", f" {size:x}", f"0x{size:x}", f"+{size:x}", "", "g", f"{size + 1:x}", f"{size:x}\t", "f" * 17, f"-{size:x}"], 0.05)
            extension = self.pick([""], [";a", ";a=b", ";a=\"b\"", ";", ";;", "; a", ";a=", ";=b", ";a=\"", ";a=\"\\\"\"", " ;a", ";a\x00", ";\xe9", ";a=\"\n\"", ";a\rb", ";a=b;c", ";a b", ";a = b"], 0.2)
            out += text + extension + self.end() + body[at : at + size] + self.end()
            at += size
        trailer = self.pick([""], ["A: b\r\n", "A : b\r\n", " a\r\n", "Content-Length: 3\r\n", "a\r\n", "A: b\n", ": c\r\n", "Transfer-Encoding: chunked\r\n"], 0.15)
        return out + self.pick(["0"], ["00", "0;a", "0 ", "", "-0", "0x0"], 0.05) + self.end() + trailer + self.end()

    def end(self):
        return self.pick(["\r\n"], ["\n", "\r", "\r\r\n", "\n\r", "", " \r\n"], 0.008)

    def message(self):
        body = "".join(self.random.choice("ab0\r\n:5;") for _ in range(self.random.randint(0, 12)))
        fields = self.fields(body)
        chunked = any("chunked" in field.lower() for field in fields)
        out = self.pick([""], ["\r\n", "\r\n\r\n", "\n", " "], 0.05) + self.request_line() + self.end()
        out += "".join(field + self.end() for field in fields) + self.end()
        return out + (self.chunks(body) if chunked and self.random.random() < 0.97 else body)

    def stream(self):
        data = bytearray("".join(self.message() for _ in range(self.random.randint(1, 3))).encode("latin-1"))
        for _ in range(self.pick([0], [1, 2], 0.3)):
            at = self.random.randrange(len(data))
            byte = self.random.choice(b"\r\n \t:;,0a5\x00\x0b\x7f\x80\xff\"")
            kind = self.random.random()
            if kind < 0.4:
                data[at] = byte
            elif kind < 0.7:
                data.insert(at, byte)
            else:
                del data[at]
        return bytes(data[:1400])


def read(command, path):
    shown = subprocess.run([*map(str, command), str(path)], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


@pytest.fixture(scope="module", params=[1, 2, 3])
def compared(request, tmp_path_factory):
    """(bytes, what ours says, what llhttp says), and the methods that llhttp knows."""
    generator = Generator(request.param)
    streams = [generator.stream() for _ in range(COUNT)]
    path = tmp_path_factory.mktemp("llhttp") / f"messages-{request.param}"
    path.write_bytes(b"".join(b"%d\n" % len(stream) + stream for stream in streams))
    ours = read([BUILD / "bin/parse_requests"], path)
    methods, *theirs = read(["node", "--no-deprecation", ROOT / "tests/conformance/llhttp.js"], path)
    assert len(ours) == len(theirs) == COUNT
    return list(zip(streams, ours, theirs)), set(methods["methods"])


def test_what_ours_accepts_llhttp_frames_alike(compared):
    cases, methods = compared
    wrong = []
    for stream, ours, theirs in cases:
        for index, message in enumerate(ours["messages"]):
            if message["method"] not in methods:
                break
            if index >= len(theirs["messages"]):
                raw_utf8 = theirs["error"] == "HPE_INVALID_URL" and not stream.isascii()  # as curl sends it
                if theirs["error"] not in NOT_FRAMING and not raw_utf8:
                    wrong.append((stream, ours, theirs))
                break
            other = theirs["messages"][index]
            if not other["done"] or (other["method"], other["body"]) != (message["method"], message["body"]):
                wrong.append((stream, ours, theirs))
                break
    assert not wrong, f"{len(wrong)} of {len(cases)}, such as {min(wrong, key=lambda each: len(each[0]))}"


def test_the_comparison_sees_good_and_bad_of_every_kind(compared):
    """Or it would compare nothing: enough is accepted with a body, enough is refused by each of the two alone."""
    cases, _ = compared
    accepted = sum(bool(ours["messages"]) and not ours["status"] for _, ours, _ in cases)
    bodies = sum(any(message["body"] for message in ours["messages"]) for _, ours, _ in cases)
    refused = sum(bool(ours["status"]) for _, ours, _ in cases)
    theirs_refused = sum(bool(theirs["error"]) for _, _, theirs in cases)
    assert min(accepted, bodies, refused, theirs_refused) > COUNT / 10, (accepted, bodies, refused, theirs_refused)
    assert {ours["status"] for _, ours, _ in cases} >= {0, 400, 417, 501, 505}
