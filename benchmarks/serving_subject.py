"""What the servers serve, and what they are asked: see bench_serving."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_targets.package import SigningKey, pack
from edge_targets.runtime.contract import (
    Golden,
    Manifest,
    Profile,
    Signature,
    Tensor,
    TensorSpec,
)
from edge_targets.runtime.sketch import Sketch

KEY = SigningKey.from_seed(bytes(range(32)))
FEATURES, HIDDEN, CLASSES = 64, 32, 10


def network(seed: int) -> bytes:
    """Two dense layers, as a classifier of 8 x 8 digits has them."""
    random = np.random.default_rng(seed)
    sizes = (FEATURES, HIDDEN, CLASSES)
    nodes, weights, before = [], [], "x"
    for i, (m, n) in enumerate(pairwise(sizes)):
        matrix = random.normal(0, 0.2, (m, n)).astype(np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"W{i}"),
            numpy_helper.from_array(np.zeros(n, np.float32), f"B{i}"),
        ]
        nodes.append(helper.make_node("Gemm", [before, f"W{i}", f"B{i}"], [f"z{i}"]))
        before = f"a{i}"
        nodes.append(helper.make_node("Relu" if not i else "Softmax", [f"z{i}"], [before]))
    nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        weights,
    )
    opsets = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def package(folder: Path, version: str) -> Path:
    import onnxruntime

    model = network(int(version))
    row = np.linspace(0, 1, FEATURES, dtype=np.float32)[None]
    found = onnxruntime.InferenceSession(model).run(None, {"x": row})[0]
    signature = Signature(
        (TensorSpec("x", (-1, FEATURES)),),
        (TensorSpec("y", (-1, CLASSES)),),
        tuple(str(i) for i in range(CLASSES)),
    )
    manifest = Manifest(
        "digits", version, "simulator", "onnx", "model.onnx", signature, 1e-3, files={}
    )
    golden = Golden(
        {"x": Tensor((1, FEATURES), row.ravel().tolist())},
        {"y": Tensor((1, CLASSES), found.ravel().tolist())},
    )
    edges = np.linspace(0, 1, 21).tolist()
    watched = [f"x[{i}]" for i in range(FEATURES)] + ["confidence", "label"]
    members = {
        "model.onnx": model,
        "golden.json": golden.dump().encode(),
        "profile.json": Profile(0, {name: Sketch(edges) for name in watched}).dump().encode(),
        "card.md": b"# digits\n",
    }
    file = folder / f"digits-{version}.sndl"
    pack(manifest, members, KEY, file)
    (folder / f"digits-{version}.onnx").write_bytes(model)
    return file


def requests(folder: Path, rows: int = 1) -> dict[str, Path]:
    """Raw requests, by kind."""
    values = np.tile(np.linspace(0, 1, FEATURES, dtype=np.float32), (rows, 1))
    entry: dict[str, Any] = {"name": "x", "shape": [rows, FEATURES], "datatype": "FP32"}
    plain = json.dumps({"inputs": [{**entry, "data": values.ravel().tolist()}]}).encode()
    size = {"binary_data_size": values.nbytes}
    header = json.dumps(
        {
            "inputs": [{**entry, "parameters": size}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        }
    ).encode()
    start = "POST /v2/models/digits/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    kinds = {
        "JSON": f"{start}Content-Type: application/json\r\nContent-Length: {len(plain)}\r\n\r\n",
        "binary": f"{start}Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {len(header)}\r\n"
        f"Content-Length: {len(header) + values.nbytes}\r\n\r\n",
    }
    bodies = {"JSON": plain, "binary": header + values.tobytes()}
    for kind, head in kinds.items():
        (folder / kind).write_bytes(head.encode() + bodies[kind])
    return {kind: folder / kind for kind in kinds}
