"""PostgreSQL killed and started again under writes: how long until they come as fast as before."""

import pathlib
import statistics
import tempfile
import threading
import time

import peers  # noqa: F401  puts tests/ on the path
from passengers import start
from support.servers import Postgres, Raw

WRITERS, WINDOW = 32, 0.1
BODY = '{"survived":false,"passengerClass":3,"name":"Braund, Mr. Owen Harris","sex":"male","age":22,"siblingsOrSpousesAboard":1,"parentsOrChildrenAboard":0,"fare":7.25}'
POST = f"POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    server = Postgres()
    server.create("bench")
    host = start(server, "bench", folder)
    made, refused, stop = [], [], threading.Event()

    def write():
        with Raw(host.port) as raw:
            while not stop.is_set():
                status = raw.send(POST).answer().status
                (made if status == 201 else refused).append(time.monotonic())
                if status == 503:
                    time.sleep(0.01)

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    killed = time.monotonic()
    server.kill()
    time.sleep(1)
    server.start()
    up = time.monotonic()
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    rate = lambda begin, end: sum(begin <= at < end for at in made) / (end - begin)
    before = statistics.median(rate(killed - 3 + i * WINDOW, killed - 3 + (i + 1) * WINDOW) for i in range(30))
    after = next(i for i in range(60) if rate(up + i * WINDOW, up + (i + 1) * WINDOW) >= 0.9 * before)
    rows = int(server.sql("select count(*) from people", "bench"))
    print(f"{before:.0f} writes a second before; PostgreSQL killed, {up - killed:.1f} s later it takes connections; {(after + 1) * WINDOW:.1f} s after that writes come at 90 % of the rate before")
    print(f"{len(made)} acknowledged, {len(refused)} refused, {rows - 891} rows")
    assert rows - 891 >= len(made)
    host.stop()
    server.close()


if __name__ == "__main__":
    main()
