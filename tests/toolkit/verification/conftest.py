"""A workspace with a network and its int8 graph, and a way to spoil a compiled file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.runtime.events import QUIET
from toolkit import shelf
from toolkit.anatomy import layer_name, weighted_nodes
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.onnx_graph import parse
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.verification.exposing import repacked, unpacked
from toolkit.workspace import Workspace

Spoil = Callable[[NDArray[Any]], None]
Plant = Callable[[str, str, Spoil], None]


@pytest.fixture(scope="session")
def int8(exported: Model) -> Model:
    return QuantizeInt8().apply(exported, QUIET)


@pytest.fixture
def shelves(tmp_path: Path, trained: Model, exported: Model, int8: Model) -> Workspace:
    """A network `net`; `net-graph` and `net-int8`, which are graphs, and need no export."""
    found = Workspace.create(tmp_path / "verified")
    assert trained.data is not None
    data = shelf.save_dataset(found, trained.data, "data add", {})
    network = shelf.save_model(found, "net", trained, "train", {}, (data,), (data,))
    for name, model in (("net-graph", exported), ("net-int8", int8)):
        shelf.save_model(found, name, model, "compress", {}, (network,), (data,))
    return found


@pytest.fixture
def plant(shelves: Workspace) -> Plant:
    """Put a TFLite file of a model on the shelf, one of its stored tensors changed in place."""

    def put(name: str, layer: str, spoil: Spoil) -> None:
        entry = shelves.get("models", name)
        model = shelf.load_model(shelves, entry)
        [node] = [
            node.name
            for node, weight in weighted_nodes(parse(model.graph))
            if layer_name(node, weight.name) == layer
        ]
        data = formats["tflite"]().build(model.graph, model.signature, QUIET).data
        facts = {"format": "tflite", "quantized": name.endswith("int8"),
                 "signature": model.signature.to_json()}  # fmt: skip
        files = {"model.tflite": spoiled(data, node, spoil)}
        shelves.put("artifacts", f"{name}.tflite", files, facts, "build", {}, (entry,))

    return put


def spoiled(data: bytes, node: str, spoil: Spoil) -> bytes:
    """The weights of a node are the largest that are stored in its name."""
    _, model = unpacked(data)
    stored = [
        (tensor, model.buffers[tensor.buffer])
        for tensor in model.subgraphs[0].tensors
        if tensor.name.decode().partition("#")[0] == node
    ]
    tensor, buffer = max(stored, key=lambda pair: 0 if pair[1].data is None else len(pair[1].data))
    values = np.frombuffer(bytes(buffer.data), [np.float32, np.int8][tensor.type > 0]).copy()
    spoil(values)
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return repacked(model)
