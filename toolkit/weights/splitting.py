"""Which layers can be split into factors, in a network and in a graph, and how it is done."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.anatomy import layer_name, shapes_of
from toolkit.model import Model
from toolkit.onnx_graph import attribute, parse, written
from toolkit.weights.access import finite, no_weights
from toolkit.weights.factors import Sizes, groups_of, macs, owners, parameters

if TYPE_CHECKING:
    import onnx

Factors = Sequence[NDArray[Any]]
KINDS = {"Conv", "Gemm", "MatMul"}


@dataclass(frozen=True)
class Whole:
    """A layer before it is split.

    Attributes:
        name: of the layer.
        weight: shape (outputs, inputs, *kernel).
        before: height and width of what it takes, (H, W) or (L,); empty for a dense layer.
        after: of what it gives.
        reason: why it cannot be split; empty when it can.
    """

    name: str
    weight: NDArray[Any]
    before: Sizes = ()
    after: Sizes = ()
    reason: str = ""

    @property
    def kernel(self) -> Sizes:
        return self.weight.shape[2:]

    def saves(self, shapes: Sequence[Sizes], share: float) -> bool:
        """Whether factors of these shapes save that share of parameters and of multiplications."""
        limit = 1 - share
        before, after = (1,) * len(self.kernel), (1,) * len(self.kernel)
        if self.before:
            before, after = self.before, self.after
        whole = self.weight.size * math.prod(after)
        smaller = parameters(shapes) <= limit * self.weight.size
        return smaller and macs(self.kernel, shapes, before, after) <= limit * whole


def wholes(model: Model) -> tuple[Whole, ...]:
    """Every layer, in the order of the network or graph.

    Raises:
        UnsupportedError: there is none with plain weights.
    """
    found = of_network(model) if model.network else of_graph(parse(model.graph))
    if not found:
        raise no_weights()
    return tuple(found)


def of_network(model: Model) -> list[Whole]:
    import torch
    from torch import nn

    module, planes = model.module(), dict[str, tuple[Sizes, Sizes]]()
    blank = Model(model.signature, model.network, model.steps).module().state_dict()

    def watch(name: str) -> Callable[..., None]:
        def see(layer: Any, given: Any, made: Any) -> None:
            planes[name] = tuple(given[0].shape[2:]), tuple(made.shape[2:])

        return see

    layers = [
        (name, layer)
        for name, layer in module.named_modules()
        if name.startswith("1") and any(learned.ndim > 1 for learned in own(layer))
    ]
    for name, layer in layers:
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            layer.register_forward_hook(watch(name))
    with torch.no_grad():
        module(torch.zeros((1, *model.signature.inputs[0].shape[1:])))
    found = []
    for name, layer in layers:
        reason = ""
        if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            reason = f"{type(layer).__name__} layers are not split"
        elif f"{name}.weight" not in blank:
            reason = "it is a factor of an earlier split"
        elif not isinstance(layer, nn.Linear) and layer.groups > 1:
            reason = GROUPED
        weight = finite(next(iter(own(layer))).detach().numpy(), name)
        found.append(Whole(name, weight, *planes.get(name, ((), ())), reason))
    return found


GROUPED = "its channels are in groups: it has few weights already"


def own(layer: Any) -> list[Any]:
    return list(layer.parameters(recurse=False))


def split_network(model: Model, chains: Mapping[str, Factors]) -> Model:
    """The model with these layers as chains of factors."""
    weights = dict(model.weights)
    for name, factors in chains.items():
        weights.pop(f"{name}.weight")
        bias = weights.pop(f"{name}.bias", None)
        for index, factor in enumerate(factors):
            weights[f"{name}.{index}.weight"] = factor.astype(np.float32)
        if bias is not None:
            weights[f"{name}.{len(factors) - 1}.bias"] = bias
    return model.with_weights(weights)


def of_graph(model: "onnx.ModelProto") -> list[Whole]:
    import onnx
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    shapes = shapes_of(onnx.shape_inference.infer_shapes(model))
    found = []
    for node in model.graph.node:
        if node.op_type not in KINDS or len(node.input) < 2:
            continue
        tensor = stored.get(node.input[1])
        if tensor is None or len(tensor.dims) < 2:
            continue
        name = layer_name(node, tensor.name)
        values = finite(numpy_helper.to_array(tensor), name)
        weight = values if outputs_first(node) else values.T
        before, after = (shapes.get(value, ())[2:] for value in (node.input[0], node.output[0]))
        if node.op_type != "Conv" or not (before and after):
            before, after = (), ()
        found.append(Whole(name, weight, before, after, why_not(node, tensor, model)))
    return found


def outputs_first(node: Any) -> bool:
    return node.op_type == "Conv" or bool(attribute(node, "transB", 0))


def why_not(node: Any, tensor: Any, model: Any) -> str:
    """Why the layer of a node cannot be split; empty when it can."""
    from onnx import TensorProto

    users = [other for other in model.graph.node if tensor.name in other.input]
    if len(users) > 1:
        return "other layers share its weights"
    if tensor.data_type != TensorProto.FLOAT:
        return "its weights are not stored in 32 bits"
    if node.op_type == "Conv" and attribute(node, "group", 1) > 1:
        return GROUPED
    if node.op_type == "MatMul" and len(tensor.dims) > 2:
        return "it is a stack of matrices"
    plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1
    if not plain or attribute(node, "transA", 0):
        return "it scales or turns its input"
    return ""


def split_graph(model: Model, chains: Mapping[str, Factors]) -> Model:
    """The graph with these layers as chains of nodes."""
    if not chains:
        return model.with_graph(model.graph)
    graph = parse(model.graph)
    nodes, gone, new = [], set(), []
    stored = {tensor.name for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        weight = node.input[1] if node.op_type in KINDS and len(node.input) > 1 else ""
        name = layer_name(node, weight)
        if weight not in stored or name not in chains:
            nodes.append(node)
            continue
        gone.add(weight)
        made, tensors = chain_of(node, name, chains[name])
        nodes += made
        new += tensors
    kept = [tensor for tensor in graph.graph.initializer if tensor.name not in gone]
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend([*kept, *new])
    return model.with_graph(written(graph))


def chain_of(node: Any, name: str, factors: Factors) -> tuple[list[Any], list[Any]]:
    """The nodes and the weights of one layer that was split."""
    from onnx import helper, numpy_helper

    nodes, tensors, value = [], [], node.input[0]
    last = len(factors) - 1
    for index, factor in enumerate(factors):
        stored = factor if outputs_first(node) else factor.T
        weight = f"{name}.{index}.weight"
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(stored, np.float32), weight))
        inputs = [value, weight, *(node.input[2:] if index == last else ())]
        value = node.output[0] if index == last else f"{node.output[0]}_factor_{index}"
        attributes = window(node, factors, index) if node.op_type == "Conv" else {}
        if node.op_type == "Gemm":
            attributes = {"transB": int(outputs_first(node))}
        made = helper.make_node(
            node.op_type, inputs, [value], f"{node.name}_factor_{index}", **attributes
        )
        nodes.append(made)
    return nodes, tensors


def window(node: Any, factors: Factors, index: int) -> dict[str, Any]:
    """A factor's attributes: it strides and pads along the axes that are its own."""
    shapes = [factor.shape for factor in factors]
    kernel = tuple(max(shape[2 + i] for shape in shapes) for i in range(len(shapes[0]) - 2))
    mine = [at == index for at in owners(kernel, shapes)]
    pads = attribute(node, "pads", [0] * 2 * len(kernel))
    automatic = attribute(node, "auto_pad", "NOTSET")
    found: dict[str, Any] = {
        "kernel_shape": shapes[index][2:],
        "group": groups_of(shapes)[index],
        "auto_pad": automatic,
    }
    for key in ("strides", "dilations"):
        values = attribute(node, key, [1] * len(kernel))
        found[key] = [value if own else 1 for value, own in zip(values, mine, strict=True)]
    if automatic == "NOTSET":
        found["pads"] = [pad if own else 0 for pad, own in zip(pads, mine * 2, strict=True)]
    return found
