"""A load of HTTP requests, the same for every server: raw sockets, one thread, no library.

    python -m benchmarks.serving_load PORT REQUEST_FILE --seconds 5 --connections 8 [--rate 200]

Without a rate every connection asks again as soon as it is answered (a closed loop: how many
requests a second). With one, requests are due at fixed times and a latency counts from then, so
that a server that pauses cannot hide it (an open loop; Tene 2013, "coordinated omission").
Prints JSON: requests, failed, seconds, latencies in milliseconds.
"""

import argparse
import json
import re
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Any

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"


class Asker:
    """One connection: a request at a time."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request = request
        self.link = socket.create_connection(("127.0.0.1", port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self.found = b""
        self.asking = False

    def ask(self, since: float) -> None:
        self.since, self.found, self.asking = since, b"", True
        self.link.sendall(self.request)

    def answered(self) -> bool | None:
        """Whether the answer is good; None while it is not whole."""
        data = self.link.recv(1 << 20)
        if not data:
            raise ConnectionAbortedError("the server hung up")
        self.found += data
        end = self.found.find(END)
        if end < 0:
            return None
        length = LENGTH.search(self.found, 0, end)
        if length is None:
            return False
        if len(self.found) < end + len(END) + int(length.group(1)):
            return None
        self.asking = False
        return self.found.startswith(b"HTTP/1.1 200 ")


def load(
    port: int, request: bytes, seconds: float, connections: int, rate: float
) -> dict[str, Any]:
    askers = [Asker(port, request) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for asker in askers:
        selector.register(asker.link, selectors.EVENT_READ, asker)
    latencies, failed = [], 0
    begin = time.perf_counter()
    due, idle = begin, list(askers)
    while (now := time.perf_counter()) < begin + seconds:
        while idle and (not rate or due <= now):
            idle.pop().ask(due if rate else time.perf_counter())
            if rate:
                due += 1 / rate
        pause = max(0.0, due - time.perf_counter()) if rate and idle else 0.5
        for key, _ in selector.select(pause):
            asker = key.data
            good = asker.answered()
            if good is None:
                continue
            latencies.append((time.perf_counter() - asker.since) * 1e3)
            failed += not good
            if rate:
                idle.append(asker)
            else:
                asker.ask(time.perf_counter())
    took = time.perf_counter() - begin
    latencies.sort()
    return {
        "requests": len(latencies),
        "failed": failed,
        "seconds": took,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(len(latencies) * 0.99)],
        "worst": latencies[-1],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("request", type=Path, help="file with the raw request")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0: no limit")
    given = parser.parse_args()
    request = given.request.read_bytes()
    sys.stdout.write(
        json.dumps(load(given.port, request, given.seconds, given.connections, given.rate)) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
