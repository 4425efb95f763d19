"""A real tiny package, and a collector that can be switched off."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from edge_targets.agent.home import Home
from edge_targets.package import SigningKey
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Golden, Manifest, Profile, Signature, Tensor, TensorSpec
from edge_targets.runtime.sketch import Sketch
from edge_targets.transport import post_json

KEY = SigningKey.from_seed(bytes(range(32)))
STRANGER = SigningKey.from_seed(bytes(32))
SIGNATURE = Signature(
    inputs=(TensorSpec("x", (-1, 3), columns=("a", "b", "c")),),
    outputs=(TensorSpec("probabilities", (-1, 2)),),
    labels=("no", "yes"),
)
INPUTS = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], np.float32)


def weights(scale: float) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([[1.0, -1.0], [0.5, 0.25], [-0.5, 1.0]], np.float32) * np.float32(scale),
        np.array([0.1, -0.1], np.float32),
    )


def onnx_model(scale: float = 1.0) -> bytes:
    """Gemm and Softmax: the smallest classifier there is."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix, bias = weights(scale)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "W", "B"], ["z"]),
            helper.make_node("Softmax", ["z"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(matrix, "W"), numpy_helper.from_array(bias, "B")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(onnx.checker.check_model(model) or model.SerializeToString())


def expected(inputs: np.ndarray, scale: float = 1.0) -> np.ndarray:
    matrix, bias = weights(scale)
    z = np.exp(inputs @ matrix + bias)
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def manifest(version: str = "1") -> Manifest:
    return Manifest(
        name="tiny",
        version=version,
        target="simulator",
        format="onnx",
        model="model.onnx",
        signature=SIGNATURE,
        tolerance=1e-4,
        files={},
    )


def members(scale: float = 1.0, off: float = 0.0) -> dict[str, bytes]:
    """All files of a package; its golden outputs are `off` by so much."""
    outputs = expected(INPUTS, scale) + np.float32(off)
    golden = Golden(
        {"x": Tensor((2, 3), INPUTS.ravel().tolist())},
        {"probabilities": Tensor((2, 2), outputs.ravel().tolist())},
    )
    edges = [-2.0, -1.0, 0.0, 1.0, 2.0]
    profile = Profile(0, {name: Sketch(edges) for name in ("a", "b", "c")})
    return {
        "model.onnx": onnx_model(scale),
        "golden.json": golden.dump().encode(),
        "profile.json": profile.dump().encode(),
        "card.md": b"# tiny\n",
    }


def infer_body(rows: np.ndarray = INPUTS) -> dict[str, Any]:
    data = [float(value) for value in rows.ravel()]
    return {"inputs": [{"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": data}]}


def wait_until(condition: Callable[[], object], limit_s: float = 30) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Collector:
    """A real collector that keeps records in memory; it can refuse a record, or be down."""

    port: int = field(default_factory=free_port)
    records: dict[str, Any] = field(default_factory=dict)
    posts: int = 0
    sent: list[str] = field(default_factory=list)  # what time the senders said it was
    refuses: Callable[[dict[str, Any]], bool] = lambda record: False
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.posts += 1
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                collector.sent.append(body["sent"])
                status, accepted = 200, []
                if any(collector.refuses(record) for record in body["records"]):
                    status = 400
                else:
                    accepted = [record["id"] for record in body["records"]]
                    collector.records |= {record["id"]: record for record in body["records"]}
                answer = json.dumps({"accepted": accepted, "error": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()

    def stop(self) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


def answers(url: str, scale: float = 1.0) -> bool:
    found = post_json(f"{url}/v2/models/tiny/infer", infer_body())
    return np.allclose(
        np.reshape(found["outputs"][0]["data"], (2, 2)), expected(INPUTS, scale), atol=1e-5
    )


def home_of(place: Place) -> Home:
    return Home(Path(place.address))
