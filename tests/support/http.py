"""What the HTTP suites share: a host full of plugins that mirror, wait and misbehave, and words for messages."""

import contextlib
import http.server
import os
import subprocess
import threading
import time

from support.servers import BULKHEAD, CONTRACT, ROOT, Raw, free_port, wait_until

HELLO = "GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n"
PLUGINS = ("cpp_hello", "mirror", ("c", "chained", "{ name: c }"), "async", "blocking", "noisy")


def contract_config(*plugins, server="", extra=""):
    """Plugins of tests/contract, each a name or (id, library, config)."""
    text = f"server:\n  listen: 127.0.0.1:{{port}}\n  admin: 127.0.0.1:{{admin}}\n{server}\nplugins:\n"
    for plugin in plugins:
        id_, library, config = plugin if isinstance(plugin, tuple) else (plugin, plugin, "{}")
        text += f"  - id: {id_}\n    library: {CONTRACT}/{library}.so\n    config: {config}\n"
    return text + extra


def check(folder, config):
    """What `bulkhead check` makes of a configuration."""
    path = folder / "checked.yaml"
    path.write_text(config.replace("{port}", str(free_port())).replace("{admin}", str(free_port())))
    return subprocess.run([str(BULKHEAD), "check", str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60)


def refused(folder, config):
    """Why it is."""
    run = check(folder, config)
    assert run.returncode == 1, run.stdout
    return run.stderr


@contextlib.contextmanager
def http_server(answer):
    """The URL of a server that answers GET with `answer(path, fields)`: a status, a body and more fields."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, fields = answer(self.path, self.headers)
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **fields}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def exchange(host, data, head=False):
    """The first answer to `data` on a new connection."""
    with Raw(host.port) as raw:
        return raw.send(data).answer(head)


def seen(host, fields="Host: x\r\n", body=b"", method="GET", target="/mirror", version="HTTP/1.1"):
    """What the mirror says reached it."""
    answer = exchange(host, f"{method} {target} {version}\r\n{fields}\r\n".encode("latin-1") + body)
    assert answer.status == 200, answer.body
    return answer.json


def executed(host):
    """How many requests have reached the mirror's step."""
    return int(exchange(host, "GET /mirror/count HTTP/1.1\r\nHost: x\r\n\r\n").body)


def cpu_seconds(host):
    fields = open(f"/proc/{host.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def becomes_quiet(host):
    """Once the kernel's buffers are full, what stalls costs no CPU; a thread that spins never comes to rest."""
    def quiet():
        before = cpu_seconds(host)
        time.sleep(0.5)
        return cpu_seconds(host) - before < 0.05

    wait_until(quiet, what="rest")
