"""The onnx package's networks, with weights that make their output depend on the input.

They come in opset 9 with every weight a constant: all outputs are alike. Here each weight is drawn
from a normal distribution that keeps the size of activations (He et al. 2015).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, Any]

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = tuple(sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("*.onnx")))
STATISTICS = {"scale": 1, "bias": 2, "mean": 3, "variance": 4}


def network(name: str, seed: int = 0) -> onnx.ModelProto:
    """The graph of a network, in the opset it is shipped in, with random weights.

    What goes into a last Softmax is made an output, too: residual sums saturate that.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    graph, rng = model.graph, np.random.default_rng(seed)
    sizes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(size) for size in sizes[node.input[0]])
        values = drawn(rng, node.output[0], shape, readers)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        # what is stored is an input, too, before IR version 4
        graph.input.append(helper.make_tensor_value_info(node.output[0], 1, shape))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    if nodes[-1].op_type == "Softmax":
        logits = onnx.ValueInfoProto()
        logits.CopyFrom(graph.output[0])
        logits.name = nodes[-1].input[0]
        graph.output.append(logits)
    return model


def drawn(
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    readers: Mapping[str, onnx.NodeProto],
) -> Array:
    reader = readers[name]
    if reader.op_type == "BatchNormalization":
        place = list(reader.input).index(name)
        if place == STATISTICS["variance"]:
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        centre = 1.0 if place == STATISTICS["scale"] else 0.0
        return rng.normal(centre, 0.1, shape).astype(np.float32)
    if len(shape) == 1:  # a bias, or a factor a channel behind a normalization
        multiplies = readers.get(reader.output[0], reader).op_type == "Mul"
        return rng.normal(float(multiplies), 0.1, shape).astype(np.float32)
    inputs = int(np.prod(shape[1:]))
    return rng.normal(0, np.sqrt(2 / inputs), shape).astype(np.float32)


def picture(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32)


def input_name(model: onnx.ModelProto) -> str:
    stored = {tensor.name for tensor in model.graph.initializer}
    [name] = [value.name for value in model.graph.input if value.name not in stored]
    return str(name)


def operators(compiled: bytes) -> Counter[str]:
    """How often a file holds each operator."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(compiled)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    graph = model.Subgraphs(0)
    codes = (
        model.OperatorCodes(graph.Operators(place).OpcodeIndex()).BuiltinCode()
        for place in range(graph.OperatorsLength())
    )
    return Counter(names[code] for code in codes)
