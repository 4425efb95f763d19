"""How much memory a runtime needs for a model, from its graph.

The weights twice, as the file holds them and as the runtime packs them for its kernels, and the
activations that are alive at the same time. An estimate, and of the model alone: the runtime's
own code, and Python where it is used, come on top and are the same for every model.
"""

import math
from collections.abc import Mapping
from typing import Any

from toolkit.onnx_graph import parse

PACKED = 2  # copies of the weights
FLOAT = 4  # bytes of a value whose type is not told
# what gives its input's memory on, as nobody else needs that
IN_PLACE = {
    "BatchNormalization", "Clip", "Dropout", "Flatten", "HardSwish", "Identity", "Relu",
    "Reshape", "Sigmoid", "Squeeze", "Unsqueeze",
}  # fmt: skip


def ram_of(graph: bytes, file: bytes) -> int:
    """Bytes for a model compiled from `graph` into `file`."""
    return PACKED * len(file) + peak_activations(graph)


def peak_activations(graph: bytes) -> int:
    """The most bytes of activations that are alive at once, for one item."""
    import onnx

    model = parse(graph)
    nodes = list(model.graph.node)
    stored = {tensor.name for tensor in model.graph.initializer}
    sizes = sizes_of(onnx.shape_inference.infer_shapes(model))
    place = places(nodes)
    last = {place.get(name, name): i for i, node in enumerate(nodes) for name in node.input}
    for value in model.graph.output:
        last[place.get(value.name, value.name)] = len(nodes)
    alive = {value.name: sizes.get(value.name, 0) for value in model.graph.input}
    peak = sum(alive.values())
    for i, node in enumerate(nodes):
        for name in node.output:
            here = place.get(name, name)
            if here not in stored:
                alive[here] = max(alive.get(here, 0), sizes.get(here, 0))
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last.get(name, 0) > i}
    return peak


def places(nodes: list[Any]) -> dict[str, str]:
    """Values that lie where another one lies.

    Runtimes compute between a DequantizeLinear and a QuantizeLinear in int8: neither the float
    copy before the operator nor the one after it ever exists.
    """
    users: dict[str, list[Any]] = {}
    makers = {name: node for node in nodes for name in node.output}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found: dict[str, str] = {}

    def resolved(name: str) -> str:
        while name in found:
            name = found[name]
        return name

    for node in reversed(nodes):
        given, made = node.input[0] if node.input else "", node.output[0]
        if node.op_type == "DequantizeLinear":
            found[made] = given
            continue
        if [user.op_type for user in users.get(made, [])] == ["QuantizeLinear"]:
            found[made] = users[made][0].output[0]
        computed = given in makers and makers[given].op_type != "DequantizeLinear"
        if node.op_type in IN_PLACE and computed and len(users[given]) == 1:
            found[given] = made
    return {name: resolved(name) for name in found}


def sizes_of(model: Any) -> Mapping[str, int]:
    """Bytes of every value whose shape is known; a free batch counts as one item."""
    from onnx import helper

    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    sizes = {}
    for value in values:
        kind = value.type.tensor_type
        width = (
            helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize if kind.elem_type else FLOAT
        )
        sizes[value.name] = math.prod(d.dim_value or 1 for d in kind.shape.dim) * width
    return sizes
