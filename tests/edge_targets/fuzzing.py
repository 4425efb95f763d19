"""Requests that no honest client sends, by the thousand; each from a seed, so that it comes back.

    python -m tests.edge_targets.fuzzing PORT [--requests 100000] [--seed 0] [--tiny 1000000]

asks an agent that serves the tiny model (its process id, with --pid, for its memory) and prints
what it answered. Exit status 1 when it failed (500), answered nonsense, or hung.
"""

import argparse
import json
import random
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT_S = 20.0
INFER = "/v2/models/tiny/infer"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]+\r\n")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
ODD_NUMBERS = (-1, 0, 1, 2, 3, 2**31, 2**32, 2**63, -(2**63), 10**30, 1.5, 1e308, -0.0)
ODD: tuple[Any, ...] = (*ODD_NUMBERS, None, True, "", "x", "\u0000", [], {}, [[]], [{}], "9" * 50)
PATHS = (
    "/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready",
    "/v2/models/tiny/versions/1", "/v2/models/%00", "/v2/models/" + "a" * 900, "/v1/status", "//",
    "/v1/logs?lines=5", "/v1/logs?lines=-5&&=%ff", "/v1/incoming/" + "a" * 64, "/v1/incoming/%2e",
    "/v1/../v2", "/%ff%fe", "/v2/models/tiny/infer/", "/v2/models//infer", "/?" + "q=" * 500,
    "/v2/repository/index", "/v1/nothing", "/v2/models/tiny/versions//infer",
)  # fmt: skip
HEADERS = (
    "Content-Length: 0", "Content-Length: 5", "Content-Length: -5", "Content-Length: 99999999999",
    "Content-Length: 0x10", "Content-Length: 5, 5", "content-length : 5", "Content-Length:",
    "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding:\tchunked",
    "Transfer-Encoding : chunked", "Connection: close", "Connection: keep-alive, close, x",
    "Expect: 100-continue", "Expect: 200-ok", "Host: evil.example", "Host: [::1", "Host:",
    "Origin: null", "Origin: http://evil.example", "Authorization: Bearer x", "X: \x01", "\x00: y",
    "Inference-Header-Content-Length: 10", "Inference-Header-Content-Length: -1", " folded: yes",
    "Inference-Header-Content-Length: 99999999", "Content-Encoding: gzip",
    "Content-Type: text/html", "Content-Type: application/octet-stream",
    "Upgrade: websocket", "X: " + "y" * 3000,
)  # fmt: skip


def request(seed: int) -> bytes:
    """The raw bytes of one bad idea."""
    chance = random.Random(seed)
    make: Callable[[random.Random], bytes] = chance.choice(
        (noise, broken, broken, odd_json, odd_json, odd_binary, odd_binary, headers, smuggled)
    )
    return make(chance)


def whole(path: str, lines: list[str], body: bytes, method: str = "POST") -> bytes:
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines])
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body


def noise(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((1, 10, 300, 5000))) + chance.choice((b"", b"\r\n\r\n"))


def good(chance: random.Random) -> tuple[list[str], bytes]:
    """An inference that is right, as JSON or binary: its headers and body."""
    rows = chance.choice((1, 1, 2, 40))
    values = [chance.uniform(-9, 9) for _ in range(rows * 3)]
    entry: dict[str, Any] = {"name": "x", "shape": [rows, 3], "datatype": "FP32"}
    if chance.random() < 0.5:
        body = json.dumps({"inputs": [{**entry, "data": values}]}).encode()
        return [f"Content-Length: {len(body)}", "Content-Type: application/json"], body
    raw = struct.pack(f"<{len(values)}f", *values)
    entry["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return [
        f"Content-Length: {len(text) + len(raw)}",
        f"Inference-Header-Content-Length: {len(text)}",
        "Content-Type: application/octet-stream",
    ], text + raw


def broken(chance: random.Random) -> bytes:
    """A good request in which bytes were changed, lost, doubled or put in."""
    data = bytearray(whole(INFER, *good(chance)))
    for _ in range(chance.choice((0, 1, 1, 2, 8))):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.choice((1, 2, 50))]
            case 2:
                data[at:at] = data[at : at + 20]
            case 3:
                data[at:at] = chance.choice((b"\r", b"\n", b"\0", b"\r\n", b"\r\n\r\n", b"\xff"))
            case _:
                del data[at:]
        if not data:
            break
    return bytes(data)


def odd_json(chance: random.Random) -> bytes:
    """An inference whose JSON says something strange somewhere."""
    entry: dict[str, Any] = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    document: dict[str, Any] = {"inputs": [entry], "outputs": [{"name": "probabilities"}]}
    document["parameters"], entry["parameters"] = {}, {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.choice((document, entry, document["parameters"], entry["parameters"]))
        keys = ("inputs", "outputs", "id", "parameters", "name", "shape", "datatype", "data")
        more = ("binary_data_size", "binary_data_output", "counted", "classification", "\ud800")
        if isinstance(place, dict):
            place[chance.choice((*keys, *more))] = odd(chance, 3)
    body = json.dumps(document).encode()
    return whole(INFER, [f"Content-Length: {len(body)}"], body)


def odd(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(5) if depth else 0
    if kind == 1:
        return [odd(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 2:
        return [chance.choice(ODD_NUMBERS) for _ in range(chance.randrange(10))]
    if kind == 3:
        return {"name": odd(chance, depth - 1), "parameters": odd(chance, depth - 1)}
    return chance.choice(ODD)


def odd_binary(chance: random.Random) -> bytes:
    """Raw tensors whose sizes do not agree."""
    sizes = (0, 1, 11, 12, 13, 24, 4096)
    raw = chance.randbytes(chance.choice(sizes))
    entry = {
        "name": "x",
        "shape": chance.choice(([1, 3], [2, 3], [0, 3], [-1, 3], [3], [], [2**40, 2**40], [1] * 9)),
        "datatype": chance.choice(("FP32", "FP32", "FP16", "BF16", "BYTES", "INT64", "", 5)),
        "parameters": {"binary_data_size": chance.choice((*sizes, len(raw), -1, 2**64, "12"))},
    }
    text = json.dumps({"inputs": [entry] * chance.choice((1, 1, 1, 2))}).encode()
    claimed = chance.choice((len(text), len(text), len(text) + 1, 0, 10**6))
    lines = [f"Content-Length: {len(text) + len(raw)}"]
    return whole(INFER, [*lines, f"Inference-Header-Content-Length: {claimed}"], text + raw)


def headers(chance: random.Random) -> bytes:
    """Headers that contradict each other, or are far too many."""
    lines = [chance.choice(HEADERS) for _ in range(chance.choice((1, 2, 3, 60, 70, 3000)))]
    method = chance.choice(("GET", "POST", "POST", "PUT", "HEAD", "get", "X" * 20, ""))
    path = chance.choice((INFER, *PATHS))
    return whole(path, lines, chance.choice((b"", b"hello", b"{}", b"{" * 500)), method)


def smuggled(chance: random.Random) -> bytes:
    """A request inside of the body of another, whose length can be read in two ways."""
    inner = LIVE + b"0\r\n\r\n"
    lines = [f"Content-Length: {chance.choice((4, 5, len(inner)))}"]
    lines.insert(chance.randrange(2), chance.choice(HEADERS[6:12]))
    return whole(INFER, lines, b"0\r\n\r\n" + inner)


def talk(port: int, data: bytes) -> list[int]:
    """Send it all, say no more, and read the answers to the end: their statuses.

    Raises:
        TimeoutError: it hangs.
        ValueError: that is no HTTP.
    """
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as link:
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while chunk := link.recv(1 << 20):
                found += chunk
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
    return statuses(found)


def statuses(found: bytes) -> list[int]:
    """Of answers that follow one another without a gap."""
    result = []
    while found:
        line = STATUS.match(found)
        end = found.find(b"\r\n\r\n") + 4
        length = LENGTH.search(found, 0, end)
        if line is None or end < 4:
            raise ValueError(f"no answer: {found[:80]!r}")
        if line.group(1) == b"100":
            found = found[end:]
            continue
        if length is None or len(found) < end + int(length.group(1)):
            raise ValueError(f"half an answer: {found[:200]!r}")
        result.append(int(line.group(1)))
        found = found[end + int(length.group(1)) :]
    return result


def tiny(port: int, count: int) -> None:
    """So many of the smallest requests, as fast as one connection takes them."""
    at_once = 500
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as link:
        for _ in range(count // at_once):
            link.sendall(LIVE * at_once)
            left = at_once
            kept = b""
            while left:
                kept += link.recv(1 << 20)
                *answers, kept = kept.split(b'{"live":true}')
                left -= len(answers)


def rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))  # type: ignore[union-attr]


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--tiny", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seen: Counter[int] = Counter()
    bad = []
    for seed in range(given.seed, given.seed + given.requests):
        try:
            found = talk(given.port, request(seed))
        except (TimeoutError, ValueError, OSError) as error:
            bad.append(f"seed {seed}: {type(error).__name__} {error}")
            continue
        seen.update(found)
        if 500 in found:
            bad.append(f"seed {seed}: 500")
        if given.pid and seed % 10_000 == 0:
            say(f"{seed}: RSS {rss_kb(given.pid)} kB")
    tiny(given.port, given.tiny)
    say(f"{dict(sorted(seen.items()))}", f"{len(bad)} bad", *bad[:20])
    if given.pid:
        say(f"RSS {rss_kb(given.pid)} kB")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
