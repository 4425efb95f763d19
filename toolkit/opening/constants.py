"""Constants that were computed from a fixed batch, rewritten for any.

Where the batch lies in a value is found by ONNX's own shape inference, on the graph rewritten so
far: the rules then say what each operator makes of it.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import chain, combinations, islice
from typing import Any

from toolkit.opening.ends import drop_unneeded
from toolkit.opening.rules import rules_for
from toolkit.opening.running import Arrays, RefusedError, loaded, run
from toolkit.opening.work import Doubt, Work

ROUNDS = 64  # of inference: each sees past the shapes that the one before has freed
MOST_TRIES = 16  # of ways to read shapes that are not clear
STANDARD = frozenset({"", "ai.onnx"})
BIG = 1024  # values: a larger constant is no shape, and inference goes without it


def rewritings(loose: Any, model: Any, feeds: Arrays, size: int) -> Iterator[Any]:
    """Copies of `loose`, their constants free of the batch that `model` has; the likeliest first.

    With a batch of 1, a shape may not tell with which of its neighbours the batch is one axis:
    then the other neighbours are tried as well.

    Raises:
        RefusedError: the runtime does not run the graph as it was.
    """
    one = {name: values[:size] for name, values in feeds.items()}
    ruled = [node for node in model.graph.node if node.op_type in rules_for(size)]
    touched = {name for node in ruled for name in (*node.input, *node.output)}
    seen = run(loaded(watched(model, touched), optimised=False), one)
    values = {**seen, **one, **stored_in(model)}
    fixed, stored = (independent(model.graph, shapes) for shapes in (True, False))
    opset = next(o.version for o in model.opset_import if o.domain in STANDARD)
    work = Work(loose.graph, opset, values, fixed, stored, {}, size)
    found, doubts = rewritten(loose, work)
    yield found
    turned = chain.from_iterable(combinations(sorted(doubts), n) for n in range(1, len(doubts) + 1))
    for some in islice(turned, MOST_TRIES):
        yield rewritten(loose, replace(work, turned=frozenset(some)))[0]


def rewritten(loose: Any, known: Work) -> tuple[Any, set[Doubt]]:
    """A copy with every rule applied, and the shapes that were not clear."""
    found, before = loose, b""
    for _ in range(ROUNDS):
        axes = batch_axes(found)
        found = type(loose)()
        found.CopyFrom(loose)
        work = replace(known, graph=found.graph, axes=axes, doubts=set())
        for node in list(found.graph.node):
            rule = rules_for(work.size).get(node.op_type)
            if rule and node.domain in STANDARD:
                rule(work, node)
        after = found.SerializeToString(deterministic=True)
        if after == before:
            break
        before = after
    drop_unneeded(found.graph)
    return found, work.doubts


def watched(model: Any, names: Collection[str] | None = None) -> Any:
    """The same graph, giving the results of these names as well; of all, where none are said."""
    from onnx import ValueInfoProto

    open_ = type(model)()
    open_.CopyFrom(model)
    known = {value.name for value in [*open_.graph.output, *open_.graph.input]}
    for node in open_.graph.node:
        for name in node.output:
            if name and name not in known and (names is None or name in names):
                open_.graph.output.append(ValueInfoProto(name=name))
    return open_


def stored_in(model: Any) -> Arrays:
    from onnx import numpy_helper

    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def independent(graph: Any, shapes: bool) -> frozenset[str]:
    """Names of values that no input's value reaches; nor its shape, unless `shapes` says so."""
    reached = {value.name for value in graph.input}
    found = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        bodies = any(a.HasField("g") or a.graphs for a in node.attribute)
        still = shapes and node.op_type in {"Shape", "Size"}
        if not still and (bodies or any(name in reached for name in node.input)):
            reached.update(node.output)
        else:
            found.update(node.output)
    return frozenset(found)


def batch_axes(model: Any) -> dict[str, int]:
    """The axis of unknown size of each value that has exactly one.

    Raises:
        RefusedError: the types in the graph contradict each other.
    """
    import onnx
    from onnx import TensorProto, helper

    light = type(model)()
    light.CopyFrom(model)
    for tensor in list(light.graph.initializer):
        if math.prod(tensor.dims) > BIG:
            light.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
            light.graph.initializer.remove(tensor)
    for value in light.graph.output:
        value.type.tensor_type.ClearField("shape")
    light.ir_version = max(light.ir_version, 4)
    try:
        inferred = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except Exception as error:  # a C++ library: its errors share no base
        raise RefusedError(error) from error
    found = {}
    for value in [*inferred.graph.value_info, *inferred.graph.input]:
        if value.type.tensor_type.elem_type == TensorProto.UNDEFINED:
            continue
        dims = value.type.tensor_type.shape.dim
        free = [axis for axis, dim in enumerate(dims) if not dim.HasField("dim_value")]
        if len(free) == 1:
            found[value.name] = free[0]
    return found
