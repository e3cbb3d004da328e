"""deploy/local/run as a newcomer sees it, on a terminal. The host is the built one; only the compiler's minutes are left out."""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

from support.servers import BUILD, PATIENCE, ROOT, free_port, wait_until

# cmake, as deploy/local/packages.sh calls it: configuring makes nothing, building brings the host.
CMAKE = f"""#!/bin/sh
case "$*" in
  *--build*) [ -t 1 ] && echo "[1/1] Linking"; sleep 0.5; mkdir -p build/release; ln -sfn {BUILD}/bin build/release/bin; ln -sfn {BUILD}/lib build/release/lib ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A clone in which nothing is built yet."""
    for name in ("deploy/local", "configs", "plugins/people/data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cmake").write_text(CMAKE)
    (tools / "cmake").chmod(0o755)
    return tmp_path


def serves(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


class Terminal:
    """The script with a terminal as its output; text() is what it has shown."""

    def __init__(self, checkout, port, *args):
        environment = os.environ | {"PATH": f"{checkout}/tools:{os.environ['PATH']}", "LISTEN": f"127.0.0.1:{port}", "ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
        self.master, slave = pty.openpty()
        hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as a login shell has it, though the tests run under nohup
        self.process = subprocess.Popen([checkout / "deploy/local/run", *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment, start_new_session=True)
        signal.signal(signal.SIGHUP, hangup)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.shown = b""

    def text(self):
        try:
            while piece := os.read(self.master, 65536):
                self.shown += piece
        except OSError:  # nothing more now, or the script has ended
            pass
        return self.shown.decode()

    def until(self, pattern):
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text())):
            assert time.monotonic() < end and self.process.poll() is None, self.text()
            time.sleep(0.02)
        return found

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)  # as a terminal does for Ctrl-C
        status = self.process.wait(PATIENCE)
        self.text()
        os.close(self.master)
        return status


def test_the_first_run(checkout):
    port = free_port()
    terminal = Terminal(checkout, port)
    terminal.until("about six minutes")
    assert "http://" not in terminal.text(), "nothing answers while it builds"
    terminal.until(r"\[1/1\] Linking")
    url = terminal.until(r"The Titanic API is at (\S+)").group(1)
    assert url == f"http://127.0.0.1:{port}"
    first = json.load(urllib.request.urlopen(f"{url}/people?limit=1"))  # at once: it answers when it is named
    assert first[0]["name"].startswith("Braund")
    terminal.until(r"GET /people\?limit=1")  # requests are logged
    assert "\x1b[" in terminal.text() and '{"time"' not in terminal.text(), "lines for people, in colour"
    assert terminal.interrupt() == 0
    assert f"{checkout}/var/titanic.db" in terminal.text(), "where the data is"


def test_a_port_that_is_taken(checkout):
    port = free_port()
    first = Terminal(checkout, port)
    first.until("The Titanic API is at")
    second = Terminal(checkout, port)
    assert second.process.wait(PATIENCE) == 1
    assert f"Something serves 127.0.0.1:{port} already." in second.text() and "LISTEN=" in second.text()
    assert "The Titanic API is at" not in second.text()
    assert first.interrupt() == 0


def test_a_terminal_that_closes(checkout):
    """An ssh connection that drops must not leave a host behind."""
    port = free_port()
    terminal = Terminal(checkout, port)
    terminal.until("The Titanic API is at")
    os.killpg(terminal.process.pid, signal.SIGHUP)
    terminal.process.wait(PATIENCE)
    wait_until(lambda: not serves(port), what="the host's end")


def test_impatience(checkout):
    """A second Ctrl-C while the host drains: the script stays until the host is gone."""
    port = free_port()
    terminal = Terminal(checkout, port)
    terminal.until("The Titanic API is at")
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.3)
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.until("draining")
        os.killpg(terminal.process.pid, signal.SIGINT)
        time.sleep(0.3)
        assert terminal.process.poll() is None, "the request still runs"
    terminal.process.wait(PATIENCE)
    assert not serves(port)


def test_help_and_what_is_no_option(checkout):
    told = subprocess.run([checkout / "deploy/local/run", "--help"], capture_output=True, text=True)
    assert told.returncode == 0 and "--postgres" in told.stdout
    wrong = subprocess.run([checkout / "deploy/local/run", "--postgre"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--postgres" in wrong.stderr
