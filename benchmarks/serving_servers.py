"""The servers that bench_serving compares, as processes that start and end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving_subject import KEY
from edge_targets.agent.home import Settings, TrustedKeys
from edge_targets.package import public_key

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).parent / "peers"
WAIT_S = 60.0


@dataclass
class Served:
    """A server that runs."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    kinds: tuple[str, ...] = ("binary", "JSON")

    def cpu_s(self) -> float:
        """Processor seconds of it and its children so far."""
        return sum(processor_s(pid) for pid in family(self.process.pid))

    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1e3 * 1.024


def processor_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def family(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            found += [one for child in children for one in family(int(child))]
    return found


Running = AbstractContextManager[Served]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(
    name: str,
    port: int,
    command: list[str],
    kinds: tuple[str, ...] = ("binary", "JSON"),
    path: str = "/v2/health/ready",
    output: int | None = None,
) -> Iterator[Served]:
    """A server, once it answers; ended in the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=output, stderr=output
    )
    try:
        until = time.monotonic() + WAIT_S
        while not answers(port, path):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} does not start")
            time.sleep(0.01)
        yield Served(name, port, process, kinds)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return link.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def agent_command(root: Path, port: int) -> list[str]:
    module = [sys.executable, "-m", "edge_targets.agent"]
    return [*module, "--root", str(root), "--port", str(port)]


def new_root(folder: Path, name: str) -> Path:
    root = folder / name
    root.mkdir()
    Settings(window_s=3600, probation_s=5.0).save(root)
    TrustedKeys(keys=(public_key(KEY),)).save(root)
    return root


def peer_python(name: str) -> Path:
    default = PEERS / f".venv-{name}" / "bin" / "python"
    return Path(os.environ.get(f"SANDERLING_{name.upper()}_PYTHON", str(default)))


def fastapi(folder: Path) -> Running:
    port = free_port()
    script, model = str(PEERS / "fastapi_serving.py"), str(folder / "digits-1.onnx")
    command = [str(peer_python("fastapi")), script, model, str(port)]
    return running("FastAPI", port, command)


def mlserver(folder: Path) -> Running:
    port, model = free_port(), folder / "mlserver"
    model.mkdir()
    settings = {
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "host": "127.0.0.1",
        "parallel_workers": 0,
        "debug": False,
    }
    (model / "settings.json").write_text(json.dumps(settings))
    uri = {"uri": str(folder / "digits-1.onnx")}
    own = {"name": "digits", "implementation": "mlserver_onnx.Onnx", "parameters": uri}
    (model / "model-settings.json").write_text(json.dumps(own))
    (model / "mlserver_onnx.py").write_bytes((PEERS / "mlserver_onnx.py").read_bytes())
    program = str(peer_python("mlserver").parent / "mlserver")
    command = [program, "start", str(model)]
    # its HTTP knows no binary tensors
    return running("MLServer", port, command, ("JSON",), output=subprocess.DEVNULL)


PEER_SERVERS: Mapping[str, Callable[[Path], Running]] = {"fastapi": fastapi, "mlserver": mlserver}
