"""Name servers of a test's own, and hosts that ask them: silent, until they are given names."""

import random
import socket
import threading

SERVERS = 3  # as many as glibc asks, one after the other


class Names:
    """Three, on loopback. `wrapper` runs a program in a mount namespace whose resolv.conf names them."""

    def __init__(self, folder):
        self.known = None  # {name: [IPv4 address, ...]}; None instead of either: silence
        self.asked = set()
        self._sockets = [self._bound() for _ in range(SERVERS)]
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in self._sockets]
        for thread in self._threads:
            thread.start()
        file = folder / "resolv.conf"
        file.write_text("search .\n" + "".join(f"nameserver {each.getsockname()[0]}\n" for each in self._sockets))
        self.wrapper = ["unshare", "--mount", "sh", "-ec", 'mount --bind "$0" "$(realpath /etc/resolv.conf)"; exec "$@"', str(file)]

    @staticmethod
    def _bound():
        """The port is always 53, so the address is one that nobody else has."""
        while True:
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                server.bind((f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}", 53))
                return server
            except OSError:
                server.close()

    def _serve(self, server):
        while True:
            query, who = server.recvfrom(4096)
            if not query:
                return
            labels, end = [], 12
            while query[end]:
                labels.append(query[end + 1:end + 1 + query[end]].decode())
                end += query[end] + 1
            name, kind = ".".join(labels), query[end + 1:end + 3]
            self.asked.add(name)
            known = self.known
            if known is None or known.get(name, ()) is None:
                continue
            addresses = known.get(name, []) if kind == b"\0\1" else []
            # QR, RD copied, RA, NXDOMAIN where nobody has the name; the question again, then what it asks for
            answer = query[:2] + bytes([0x80 | query[2] & 0x79, 0x80 if name in known else 0x83]) + b"\0\1\0" + bytes([len(addresses)]) + b"\0\0\0\0" + query[12:end + 5]
            for address in addresses:
                answer += b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
            server.sendto(answer, who)

    def close(self):
        for server in self._sockets:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", server.getsockname())
        for server, thread in zip(self._sockets, self._threads):
            thread.join()
            server.close()
