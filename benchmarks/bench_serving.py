"""Our agent's HTTP against FastAPI and MLServer; latency while models are swapped; memory, start.

    python -m benchmarks.bench_serving [--seconds 3] [--rounds 5] [--connections 8]

All serve the same ONNX file by ONNX Runtime on one thread, and take the same requests from the
same client (`benchmarks/serving_load.py`), in turns. The ratio is of requests a second as the
client saw them, and of requests for a second of the server's processor time: others may keep the
machine busy. Peers have environments of their own (benchmarks/peers/README.md); what has none is
left out, and is said to be.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.serving_servers import (
    PEER_SERVERS,
    ROOT,
    Served,
    agent_command,
    free_port,
    new_root,
    peer_python,
    running,
)
from benchmarks.serving_subject import package, requests
from edge_targets.agent.home import Home
from edge_targets.transport import get_json, put_package

RATE_SHARE = 0.1  # of the most requests a second, while models are swapped
PAUSE_S = 1.0  # between two swaps


def load(port: int, request: Path, seconds: float, connections: int, rate: float = 0) -> Any:
    command = [sys.executable, "-m", "benchmarks.serving_load", str(port), str(request)]
    command += ["--seconds", str(seconds), "--connections", str(connections), "--rate", str(rate)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return json.loads(done.stdout)


def compare(served: list[Served], files: Mapping[str, Path], given: argparse.Namespace) -> float:
    """Print a table of all servers; our most binary requests a second."""
    best = 0.0
    for connections in (1, given.connections):
        for kind, file in files.items():
            able = [one for one in served if kind in one.kinds]
            rates: dict[str, list[float]] = {one.name: [] for one in able}
            costs: dict[str, list[float]] = {one.name: [] for one in able}
            tails: dict[str, list[float]] = {one.name: [] for one in able}
            for _ in range(given.rounds):
                for one in able:
                    before = one.cpu_s()
                    found = load(one.port, file, given.seconds, connections)
                    assert not found["failed"], found
                    rates[one.name].append(found["requests"] / found["seconds"])
                    costs[one.name].append((one.cpu_s() - before) / found["requests"] * 1e6)
                    tails[one.name].append(found["p99"])
            ours = rates["agent"], costs["agent"]
            for name in rates:
                ratio = statistics.median(a / b for a, b in zip(ours[0], rates[name], strict=True))
                cost = statistics.median(b / a for a, b in zip(ours[1], costs[name], strict=True))
                rate, each, tail = (statistics.median(of[name]) for of in (rates, costs, tails))
                print(
                    f"| {kind}, {connections} connections | {name} | {rate:,.0f} | {each:.0f} "
                    f"| {tail:.2f} | {ratio:.2f} | {cost:.2f} |",
                    flush=True,
                )
            if kind == "binary":
                best = max(best, statistics.median(rates["agent"]))
    return best


def swapping(
    one: Served, packages: list[Path], file: Path, rate: float, given: argparse.Namespace
) -> None:
    """Latency while versions replace each other, in turns with undisturbed times."""
    calm, busy, swaps = [], [], 0
    for _ in range(given.rounds):
        calm.append(load(one.port, file, given.seconds, given.connections, rate))
        ended = threading.Event()

        def swap(ended: threading.Event = ended) -> None:
            nonlocal swaps
            while not ended.wait(PAUSE_S):
                swaps += 1
                put_package(f"http://127.0.0.1:{one.port}/v1/package", packages[swaps % 2])

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            busy.append(load(one.port, file, given.seconds, given.connections, rate))
        finally:
            ended.set()
            thread.join()
    print(f"\n{rate:,.0f} requests a second, {swaps} swaps in {given.rounds} rounds:")
    for title, found in (("undisturbed", calm), ("while swapping", busy)):
        p50, p99, failed, asked = (
            [one[key] for one in found] for key in ("p50", "p99", "failed", "requests")
        )
        print(
            f"  {title}: p50 {statistics.median(p50):.2f} ms, p99 {statistics.median(p99):.2f} ms "
            f"(least {min(p99):.2f}), {sum(failed)} of {sum(asked)} failed"
        )
    ratios = [b["p99"] / a["p99"] for a, b in zip(calm, busy, strict=True)]
    print(f"  p99 ratio: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


def memory_and_start(folder: Path, root: Path, tries: int = 5) -> None:
    empty = new_root(folder, "empty")
    for title, home, path in (
        ("empty", empty, "/v2/health/live"),
        ("with a model", root, "/v2/health/ready"),
    ):
        starts, sizes = [], []
        for _ in range(tries):
            port, begin = free_port(), time.perf_counter()
            with running("agent", port, agent_command(home, port), path=path) as one:
                starts.append(time.perf_counter() - begin)
                get_json(f"http://127.0.0.1:{port}/v1/status")
                sizes.append(one.rss_mb())
        print(
            f"{title}: answers after {statistics.median(starts):.2f} s "
            f"(least {min(starts):.2f}), RSS {statistics.median(sizes):.1f} MB",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--only", choices=("requests", "swapping", "start"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = [package(folder, version) for version in ("1", "2")]
        files = requests(folder)
        root = new_root(folder, "device")
        port = free_port()
        with running("agent", port, agent_command(root, port), path="/v2/health/live") as agent:
            put_package(f"http://127.0.0.1:{port}/v1/package", packages[0])
            best = 1000.0
            if given.only in (None, "requests"):
                best = with_peers(folder, agent, files, given)
            if given.only in (None, "swapping"):
                swapping(agent, packages, files["binary"], RATE_SHARE * best, given)
        assert Home(root).running() is None
        if given.only in (None, "start"):
            memory_and_start(folder, root)
    return 0


def with_peers(
    folder: Path, agent: Served, files: Mapping[str, Path], given: argparse.Namespace
) -> float:
    with ExitStack() as stack:
        served = [agent]
        for name, start in PEER_SERVERS.items():
            if not peer_python(name).exists():
                print(f"no environment of {name} at {peer_python(name)}; see benchmarks/peers")
                continue
            served.append(stack.enter_context(start(folder)))
        print(
            "| requests | server | a second | processor µs each | p99 ms | ours against it "
            "| ours, by processor time |\n|---|---|---|---|---|---|---|"
        )
        return compare(served, files, given)


if __name__ == "__main__":
    sys.exit(main())
