"""Reads the last step of a recurrent layer as what it is: the state that the layer ends with.

Programs take every step's output, turn it about, and choose the last. Said so in a file, every
step would be collected first, which costs a loop half as much again as its computing.
"""

from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.dynamic import without_unread
from toolkit.flatbuffer.graph import Array, Graph, Node

RECURRENT = {"GRU", "LSTM", "RNN"}
RESHAPES = {"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


def read_last_steps(graph: Graph) -> Graph:
    """The graph with such choices as a reshape of the final state."""
    for node in graph.nodes:
        if node.op in RECURRENT:
            graph = without_steps(graph, node)
    return graph


def without_steps(graph: Graph, node: Node) -> Graph:
    chooser = chooser_of(graph, node)
    if chooser is None:
        return graph
    _, ways, batch, hidden = graph.shapes[node.outputs[0]]
    given = node.outputs[1] if len(node.outputs) > 1 else ""
    final = given or f"{node.outputs[0]}/final"
    outputs = (node.outputs[0], final, *node.outputs[2:])
    changed = {
        node.outputs: replace(node, outputs=outputs),
        chooser.outputs: Node("Reshape", chooser.name, (final,), chooser.outputs),
    }
    return without_unread(
        replace(
            graph,
            nodes=tuple(changed.get(one.outputs, one) for one in graph.nodes),
            shapes={**graph.shapes, final: (ways, batch, hidden)},
            dtypes={**graph.dtypes, final: graph.dtypes[node.outputs[0]]},
        )
    )


def chooser_of(graph: Graph, node: Node) -> Node | None:
    """The operator behind which nothing but the final state is left, in its own order."""
    name = node.outputs[0]
    if not name or node.attributes.get("layout") or len(graph.shapes[name]) != 4:
        return None
    steps, ways, batch, hidden = graph.shapes[name]
    size = batch * hidden
    first = 0 if node.attributes.get("direction") == "reverse" else (steps - 1) * size
    wanted = np.arange(first, first + size)
    places = np.arange(steps * ways * size).reshape(graph.shapes[name])
    while ways == 1 and name not in graph.quantizations:
        reader = graph.only_consumer(name)
        if reader is None or reader.inputs[0] != name:
            return None
        found = moved(places, reader, graph)
        if found is None:
            return None
        places = found
        name = reader.outputs[0]
        if np.array_equal(places.reshape(-1), wanted):
            return reader if steps > 1 else None
    return None


def moved(values: Array, node: Node, graph: Graph) -> Array | None:
    """What an operator that only moves makes of an array; None for any other."""
    given = node.attributes
    if node.op in RESHAPES:
        return values.reshape(graph.shapes[node.outputs[0]])
    if node.op == "Transpose":
        return values.transpose(given.get("perm"))
    known = [graph.constants.get(name) if name else None for name in node.inputs[1:]]
    if any(name and value is None for name, value in zip(node.inputs[1:], known, strict=True)):
        return None
    if node.op == "Gather" and known[0] is not None:
        return np.take(values, known[0], axis=given.get("axis", 0))
    if node.op == "Slice":
        return sliced(values, known)
    return None


def sliced(values: Array, bounds: list[Array | None]) -> Array | None:
    starts, ends, axes, steps = (*bounds, None, None)[:4]
    if starts is None or ends is None:
        return None
    box = [slice(None)] * values.ndim
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        step = 1 if steps is None else int(steps[index])
        if step < 1:
            return None
        box[index if axes is None else int(axes[index])] = slice(start, end, step)
    return values[tuple(box)]
