"""Finds operators that a model writes out in several: GELU, hard swish, a shuffle of channels."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.dynamic import without_unread
from toolkit.flatbuffer.graph import Graph, Node

NEAR = 1e-6  # relative: constants such as the root of two are written in float32
SHUFFLE = (0, 2, 1, 3, 4)  # swaps the groups of channels with the channels of a group

Match = Callable[[Graph, Node], Node | None]


def recognise(graph: Graph) -> Graph:
    """The graph with each such group as one node."""
    found: dict[str, Node] = {}
    for node in graph.nodes:
        match = MATCHES.get(node.op)
        one = match(graph, node) if match else None
        if one:
            found[one.outputs[0]] = one
    if not found:
        return graph
    nodes = tuple(found.get(node.outputs[0], node) for node in graph.nodes)
    return without_unread(replace(graph, nodes=nodes))


def number(graph: Graph, name: str) -> float | None:
    """A constant of one value."""
    values = graph.constants.get(name)
    return float(values.item()) if values is not None and values.size == 1 else None


def scaled(graph: Graph, name: str) -> tuple[str, float]:
    """A value as another one times a number."""
    node = graph.producers.get(name)
    if node is None or node.op not in {"Mul", "Div"}:
        return name, 1.0
    left, right = (number(graph, operand) for operand in node.inputs)
    if right:
        return node.inputs[0], right if node.op == "Mul" else 1 / right
    if left and node.op == "Mul":
        return node.inputs[1], left
    return name, 1.0


def moved(graph: Graph, name: str) -> tuple[str, float]:
    """A value as another one plus a number."""
    node = graph.producers.get(name)
    if node is None or node.op != "Add":
        return name, 0.0
    left, right = (number(graph, operand) for operand in node.inputs)
    if right is not None:
        return node.inputs[0], right
    return (node.inputs[1], left) if left is not None else (name, 0.0)


def product_with(graph: Graph, start: str, x: str, factor: float) -> str | None:
    """The value that is `start` · `x` · `factor`, multiplied in any order."""
    name, times, met = start, 1.0, False
    while not (met and math.isclose(times, factor, rel_tol=NEAR)):
        reader = graph.only_consumer(name)
        if reader is None or reader.op not in {"Mul", "Div"} or name in graph.quantizations:
            return None
        if reader.op == "Div" and reader.inputs[0] != name:
            return None
        other = next((operand for operand in reader.inputs if operand != name), "")
        value = number(graph, other)
        if value:
            times = times * value if reader.op == "Mul" else times / value
        elif met or reader.op == "Div":
            return None
        else:
            source, more = (other, 1.0) if other == x else scaled(graph, other)
            if source != x:
                return None
            met, times = True, times * more
        name = reader.outputs[0]
    return name


def is_float(graph: Graph, name: str) -> bool:
    return graph.dtypes.get(name) == np.float32 and name not in graph.quantizations


def gelu(graph: Graph, erf: Node) -> Node | None:
    """Half of x · (1 + erf(x / √2))."""
    x, factor = scaled(graph, erf.inputs[0])
    add = graph.only_consumer(erf.outputs[0])
    if add is None or not math.isclose(factor, math.sqrt(0.5), rel_tol=NEAR):
        return None
    if moved(graph, add.outputs[0]) != (erf.outputs[0], 1.0) or not is_float(graph, x):
        return None
    result = product_with(graph, add.outputs[0], x, 0.5)
    return Node("Gelu", erf.name, (x,), (result,)) if result else None


def hard_swish(graph: Graph, clip: Node) -> Node | None:
    """A sixth of x · clip(x + 3, 0, 6)."""
    bounds = [number(graph, name) for name in clip.inputs[1:3]]
    x, offset = moved(graph, clip.inputs[0])
    if bounds != [0.0, 6.0] or offset != 3.0 or not is_float(graph, x):
        return None
    result = product_with(graph, clip.outputs[0], x, 1 / 6)
    return Node("HardSwish", clip.name, (x,), (result,)) if result else None


def gated(graph: Graph, gate: Node) -> Node | None:
    """HardSigmoid(x) · x, with a slope of a sixth."""
    slope, offset = gate.attributes.get("alpha", 0.2), gate.attributes.get("beta", 0.5)
    x = gate.inputs[0]
    if not math.isclose(slope, 1 / 6, rel_tol=NEAR) or offset != 0.5 or not is_float(graph, x):
        return None
    result = product_with(graph, gate.outputs[0], x, 1.0)
    return Node("HardSwish", gate.name, (x,), (result,)) if result else None


def between_reshapes(graph: Graph, node: Node) -> tuple[str, str] | None:
    """The image that is split up before `node`, and the one that is joined again behind it."""
    before, after = graph.producers.get(node.inputs[0]), graph.only_consumer(node.outputs[0])
    if before is None or after is None or {before.op, after.op} != {"Reshape"}:
        return None
    first, last = before.inputs[0], after.outputs[0]
    values = (first, node.inputs[0], node.outputs[0], last)
    shape = graph.shapes[first]
    if len(shape) != 4 or graph.shapes[last] != shape or graph.shapes[values[1]][0] != shape[0]:
        return None
    return (first, last) if all(is_float(graph, name) for name in values) else None


def shuffle(graph: Graph, transpose: Node) -> Node | None:
    """Channels as (groups, rest) and back as (rest, groups), in an image (Zhang et al. 2018)."""
    image = between_reshapes(graph, transpose)
    split = graph.shapes[transpose.inputs[0]]
    if image is None or tuple(transpose.attributes.get("perm", ())) != SHUFFLE:
        return None
    if split[3:] != graph.shapes[image[0]][2:]:
        return None
    return Node("ChannelShuffle", transpose.name, image[:1], image[1:], {"groups": split[1]})


def groups_as_channels(graph: Graph, norm: Node) -> Node | None:
    """Group normalization as torch writes it: each group is a channel for a while."""
    image, split = between_reshapes(graph, norm), graph.shapes[norm.inputs[0]]
    if image is None or graph.shapes[image[0]][1] % split[1]:
        return None
    attributes = {**norm.attributes, "num_groups": split[1]}
    inputs = (image[0], *norm.inputs[1:])
    return Node("GroupNormalization", norm.name, inputs, image[1:], attributes)


MATCHES: dict[str, Match] = {
    "Clip": hard_swish,
    "Erf": gelu,
    "HardSigmoid": gated,
    "InstanceNormalization": groups_as_channels,
    "Transpose": shuffle,
}
"""By the operator that gives a group away."""
