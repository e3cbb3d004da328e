"""What the HTTP suites share: a host full of plugins that mirror, wait and misbehave, and words for messages."""

import os
import time

from support.servers import CONTRACT, Raw, wait_until

HELLO = "GET /hello/x HTTP/1.1\r\nHost: x\r\n\r\n"
PLUGINS = ("cpp_hello", "mirror", ("c", "chained", "{ name: c }"), "async", "blocking", "noisy")


def contract_config(*plugins, server="", extra=""):
    """Plugins of tests/contract, each a name or (id, library, config)."""
    text = f"server:\n  listen: 127.0.0.1:{{port}}\n  admin: 127.0.0.1:{{admin}}\n{server}\nplugins:\n"
    for plugin in plugins:
        id_, library, config = plugin if isinstance(plugin, tuple) else (plugin, plugin, "{}")
        text += f"  - id: {id_}\n    library: {CONTRACT}/{library}.so\n    config: {config}\n"
    return text + extra


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
