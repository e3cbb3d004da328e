"""HTTP by hand."""

import socket

from support.servers.build import PATIENCE
from support.servers.host import Answer


class Raw:
    """A socket, for what an HTTP client would not send."""

    def __init__(self, port, timeout=PATIENCE, tls=None, session=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost", session=session, suppress_ragged_eofs=False)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def answer(self, head=False):
        """The next answer; None where the connection ended instead."""
        while b"\r\n\r\n" not in self.buffer:
            try:
                if not self._more():
                    return None
            except ConnectionResetError:
                return None
        block, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = block.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        headers = [tuple(line.split(": ", 1)) for line in lines]
        if status == 100:
            return Answer(100, headers, b"")
        length = 0 if head else int(dict(headers).get("content-length", 0))
        while len(self.buffer) < length:
            if not self._more():
                raise AssertionError("the connection ended inside a body")
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body)

    def ended(self):
        """True where the server closed and nothing more came."""
        if self.buffer:
            return False
        try:
            return not self._more()
        except ConnectionResetError:
            return True
