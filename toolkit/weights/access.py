"""The weights of every layer, of a network and of a graph alike: to look at and to replace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from toolkit.anatomy import RECURRENT, WEIGHT, WEIGHTED, layer_name, weighted_nodes
from toolkit.onnx_graph import attribute, parse, written

if TYPE_CHECKING:
    from toolkit.model import Model  # which gets its structure from this package


@dataclass(frozen=True)
class Weight:
    """One learned tensor with more than one axis.

    Attributes:
        name: as the model stores it.
        layer: whose it is.
        inputs: the axis of `values` along which the layer adds up its inputs.
    """

    name: str
    layer: str
    values: NDArray[Any]
    inputs: int


def weights_of(model: "Model") -> tuple[Weight, ...]:
    """All that are stored as plain numbers in 32 bits.

    Raises:
        UnsupportedError: none is.
        IntegrityError: one holds something that is no number.
    """
    found = of_network(model) if model.network else of_graph(model)
    if not found:
        raise no_weights()
    return tuple(found)


def no_weights() -> UnsupportedError:
    return UnsupportedError(
        "This model has no layer with weights in 32 bits.",
        "Begin with the float model, if this is a quantized one; trees have no weights.",
    )


def finite(values: NDArray[Any], layer: str) -> NDArray[Any]:
    if not np.isfinite(values).all():
        raise IntegrityError(
            f"Layer {layer} has weights that are not numbers.", "Train or export the model again."
        )
    return values


def of_network(model: "Model") -> list[Weight]:
    return [
        Weight(name, layer, finite(values, layer), 1)
        for name, values in model.weights.items()
        if (layer := name.partition(WEIGHT)[0]) != name
        and values.ndim > 1
        and not name.startswith("0.")  # what a feature step has learned is no weight
    ]


def of_graph(model: "Model") -> list[Weight]:
    from onnx import TensorProto, numpy_helper

    graph = parse(model.graph).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, Weight] = {}  # one that several layers share counts once
    for node in graph.node:
        for name, axis in slots(node, stored) if node.op_type in WEIGHTED else ():
            if stored[name].data_type == TensorProto.FLOAT and name not in found:
                layer = layer_name(node, name)
                values = finite(numpy_helper.to_array(stored[name]), layer)
                found[name] = Weight(name, layer, values, axis)
    return list(found.values())


def slots(node: Any, stored: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The names of a node's weights, each with the axis of its inputs."""
    sides: tuple[tuple[str, int], ...]
    if node.op_type == "MatMul":
        sides = ((node.input[1], -2), (node.input[0], -1))
    elif node.op_type in RECURRENT:
        sides = ((node.input[1], 2), (node.input[2], 2))
    else:
        turned = attribute(node, "transB", 0)
        plain = node.op_type == "ConvTranspose" or (node.op_type == "Gemm" and not turned)
        sides = ((node.input[1], 0 if plain else 1),)
    return [
        (name, axis % len(stored[name].dims))
        for name, axis in sides
        if name in stored and len(stored[name].dims) > 1
    ]


def packed(model: "Model") -> dict[str, str]:
    """Layers of a graph whose weights are not plain numbers in 32 bits, each with the reason."""
    if model.network:
        return {}
    plain = {weight.name for weight in of_graph(model)}
    return {
        layer_name(node, tensor.name): "its weights are not stored in 32 bits any more"
        for node, tensor in weighted_nodes(parse(model.graph))
        if tensor.name not in plain
    }


def replaced(model: "Model", values: Mapping[str, NDArray[Any]]) -> "Model":
    """The model with other numbers in these tensors."""
    if model.network:
        return model.with_weights({**model.weights, **values})
    if not values:
        return model.with_graph(model.graph)
    from onnx import numpy_helper

    graph = parse(model.graph)
    for tensor in graph.graph.initializer:
        if tensor.name in values:
            array = np.ascontiguousarray(values[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model.with_graph(written(graph))
