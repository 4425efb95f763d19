"""Sizes that exporters have a graph work out for every item, worked out once instead.

All that is free in a graph of ours is the batch, so what follows from shapes alone is either the
same for every batch or grows with it. Which, the runtime is asked: it gives these values for
batches of several sizes. A target shape then holds numbers and one -1, a state that is zero for
every batch is left out (it is the standard's default), and the nodes in front of them go.
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.equivalence import session_of
from toolkit.onnx_graph import attribute, nodes_of

BATCHES = (2, 3, 5)  # two would not show what grows with the square
MOST_VALUES = 4096  # of a value that becomes a constant: more would be paid for in bytes
RECURRENT = {"GRU", "LSTM", "RNN"}
STATES = {5, 6}  # inputs of a recurrent layer that may be left out, and are zero then
CHANCE = {"Bernoulli", "Multinomial", "RandomNormal", "RandomUniform"}

Values = dict[str, list[NDArray[Any]]]


def settled(model: Any) -> Any:
    """The model with what depends on shapes alone put in place of what works it out."""
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(model)
    sized = sized_values(found.graph)
    wanted = sorted({name for node, at in uses(found.graph, sized) for name in [node.input[at]]})
    if not wanted:
        return found
    values = probed(found, wanted)
    constants: dict[bytes, str] = {}
    for node, at in list(uses(found.graph, sized)):
        constant = settled_value(node, at, values[node.input[at]])
        if constant is not None:
            node.input[at] = stored(found.graph, constant, constants) if constant.size else ""
    drop_dead(found.graph)
    return found


def sized_values(graph: Any) -> set[str]:
    """Names of values that follow from shapes, and from constants beside them."""
    constants = {tensor.name for tensor in graph.initializer}
    found: set[str] = set()
    for node in graph.node:
        plain = node.op_type not in CHANCE and not any(a.HasField("g") for a in node.attribute)
        given = {name for name in node.input if name}
        if node.op_type in {"Shape", "Size"}:
            found.update(node.output)
        elif plain and given <= constants:
            constants.update(node.output)
        elif plain and given <= constants | found:
            found.update(node.output)
    return found


def uses(graph: Any, sized: Collection[str]) -> Iterator[tuple[Any, int]]:
    """Where a node that is not itself worked out from shapes takes a value that is."""
    for node in graph.node:
        if node.op_type in {"Shape", "Size"} or node.output[0] in sized:
            continue
        for at, name in enumerate(node.input):
            if name in sized:
                yield node, at


def probed(model: Any, names: list[str]) -> Values:
    """What the values are for batches of several sizes."""
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = session_of(probe.SerializeToString())
    found: Values = {name: [] for name in names}
    for batch in BATCHES:
        answers = session.run(names, {v.name: zeros(v, batch) for v in model.graph.input})
        for name, answer in zip(names, answers, strict=True):
            found[name].append(np.asarray(answer))
    return found


def zeros(value: Any, batch: int) -> NDArray[Any]:
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [batch, *(dim.dim_value for dim in tensor.shape.dim[1:])]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def settled_value(node: Any, at: int, values: list[NDArray[Any]]) -> NDArray[Any] | None:
    """The constant that does for all batches; an empty one for an input that may be left out."""
    first, *others = values
    if node.op_type in RECURRENT and at in STATES:
        return None if any(value.any() for value in values) else np.empty(0)
    same = [np.array_equal(first, other) for other in others]
    if all(same):
        return first if 0 < first.size <= MOST_VALUES else None
    if node.op_type != "Reshape" or at != 1 or attribute(node, "allowzero", 0):
        return None
    grows = (first != others[0]) | (first != others[-1])
    if grows.sum() != 1 or (first < 1).any():
        return None
    return np.where(grows, -1, first)


def stored(graph: Any, values: NDArray[Any], known: dict[bytes, str]) -> str:
    """The name of an initializer with these values, added unless it was before."""
    from onnx import numpy_helper

    key = repr((values.dtype, values.shape)).encode() + values.tobytes()
    if key not in known:
        taken = {tensor.name for tensor in graph.initializer}
        taken |= {name for node in nodes_of(graph) for name in node.output}
        count = len(known)
        while f"size_{count}" in taken:
            count += 1
        known[key] = f"size_{count}"
        graph.initializer.append(numpy_helper.from_array(values, known[key]))
    return known[key]


def drop_dead(graph: Any) -> None:
    """Nodes and stored values that no output needs go; in place."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for item in node.attribute:
            for inner in (item.g, *item.graphs):
                needed.update(name for one in nodes_of(inner) for name in one.input)
                needed.update(value.name for value in inner.output)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
