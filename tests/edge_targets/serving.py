"""A real agent in this process, behind its real server, for tests of what crosses the network."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edge_targets.agent.access import Listening
from edge_targets.agent.agent import Agent
from edge_targets.agent.batching import Batching
from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.agent.limits import Limits
from edge_targets.agent.server import Server
from edge_targets.package import pack, public_key
from edge_targets.runtime.contract import Golden, Profile, Signature, Tensor, TensorSpec
from tests.edge_targets.tiny import KEY, manifest, members

JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
DTYPES = ("bool", "int8", "uint8", "int32", "int64", "float32", "float64")
ECHO = Signature(
    tuple(TensorSpec(f"x_{dtype}", (-1, 2), dtype) for dtype in DTYPES),
    tuple(TensorSpec(f"y_{dtype}", (-1, 2), dtype) for dtype in DTYPES),
)


def echo_model() -> bytes:
    """Gives back what it is given: one input and one output of every dtype we know."""
    from onnx import helper

    def info(spec: TensorSpec) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        return helper.make_tensor_value_info(spec.name, kind, ["n", 2])

    nodes = [helper.make_node("Identity", [f"x_{d}"], [f"y_{d}"]) for d in DTYPES]
    graph = helper.make_graph(
        nodes, "echo", [info(s) for s in ECHO.inputs], [info(s) for s in ECHO.outputs]
    )
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def echo_package(folder: Path) -> Path:
    values = {dtype: Tensor((1, 2), [0, 1]) for dtype in DTYPES}
    golden = Golden(
        {f"x_{dtype}": tensor for dtype, tensor in values.items()},
        {f"y_{dtype}": tensor for dtype, tensor in values.items()},
    )
    files = {
        "model.onnx": echo_model(),
        "golden.json": golden.dump().encode(),
        "profile.json": Profile(0, {}).dump().encode(),
        "card.md": b"# echo\n",
    }
    pack(replace(manifest(), name="echo", signature=ECHO), files, KEY, folder / "echo.sndl")
    return folder / "echo.sndl"


def tiny_package(folder: Path, version: str = "1", scale: float = 1.0) -> Path:
    pack(manifest(version), members(scale), KEY, folder / f"tiny-{version}.sndl")
    return folder / f"tiny-{version}.sndl"


@contextmanager
def agent_of(root: Path, *packages: Path) -> Iterator[Agent]:
    """An agent that serves those packages."""
    root.mkdir()
    Settings(window_s=3600).save(root)
    TrustedKeys(keys=(public_key(KEY),)).save(root)
    agent = Agent(Home(root))
    try:
        for package in packages:
            with agent.installing:
                agent.install(package)
        yield agent
    finally:
        agent.close()


@contextmanager
def serving(
    agent: Agent,
    listening: Listening = Listening(),  # noqa: B008 - frozen
    batching: Batching = Batching(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Iterator[Server]:
    server = Server(agent, listening, batching, limits)
    server.start()
    try:
        yield server
    finally:
        server.close()


@dataclass
class Client:
    """Sends what it is told to."""

    url: str

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] = JSON,
    ) -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connection()
        try:
            connection.request(method, path, data, dict(headers))
            with connection.getresponse() as answer:
                return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def link(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=20)

    def talk(self, text: bytes) -> bytes:
        """The raw answer to raw bytes, until the agent closes."""
        with self.link() as link:
            link.sendall(text)
            return until_closed(link)


def until_closed(link: socket.socket) -> bytes:
    found = b""
    while chunk := link.recv(65536):
        found += chunk
    return found
