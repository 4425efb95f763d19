"""Operators that hold the number of items in a stored shape, state or row; a rule for each."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_graph import attribute
from toolkit.opening.work import Work

SHAPE_PART = 15  # the opset in which Shape learned to give one size
STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}  # initial states, (directions, batch, hidden)
BROADCAST = ("Add", "Sub", "Mul", "Div", "Where", "MatMul", "Pow", "Max", "Min")


def free_reshape(work: Work, node: Any) -> None:
    """A stored target names the batch: it is the axis before or after which as many values lie."""
    if work.constant(node, 1) is None or node.input[0] in work.stored:
        return
    taken, given = work.values[node.input[0]].shape, list(work.values[node.output[0]].shape)
    if not given or 0 in given:
        return
    axis = min(work.axis(node.input[0]), max(len(taken) - 1, 0))
    place = place_of_batch(work, taken, axis, given)
    if place < 0:
        return
    same = place == axis and taken[axis : axis + 1] == (given[place],)
    given[place] = 0 if same and not attribute(node, "allowzero", 0) else -1
    work.replace(node, 1, np.array(given, np.int64))


def place_of_batch(work: Work, taken: Sequence[int], axis: int, given: Sequence[int]) -> int:
    """The axis of a reshaped value that takes in the batch; -1 where none can.

    Rows stay in their order: as many values lie before the batch as did, or as many after it.
    """
    before, after = math.prod(taken[:axis]), math.prod(taken[axis + 1 :])
    places = [place for place in range(len(given)) if given[place] % work.size == 0]
    right = [place for place in places if math.prod(given[:place]) == before]
    left = [place for place in places if math.prod(given[place + 1 :]) == after]
    alone = [place for place in (*right, *left) if given[place] == work.size]
    found = [*alone, *left, *right]
    if alone or not (left and right) or left == right:
        return next(iter(found), -1)
    doubt = (tuple(taken), axis, tuple(given))
    work.doubts.add(doubt)
    likely_left = len(given) < len(taken)  # axes are merged before a layer, and split after it
    return (left if likely_left != (doubt in work.turned) else right)[0]


def free_expand(work: Work, node: Any) -> None:
    """One item broadcasts to as many as there are."""
    target = work.constant(node, 1)
    if target is None or node.input[0] in work.stored:
        return
    taken = work.values[node.input[0]].ndim
    place = len(target) - taken + work.axis(node.input[0])
    if 0 <= place < len(target) and target[place] == work.size:
        freed = target.copy()
        freed[place] = 1
        work.replace(node, 1, freed)


def free_slice(work: Work, node: Any) -> None:
    """All of the batch stays all of it."""
    starts, ends, axes, steps = (work.constant(node, index) for index in (1, 2, 3, 4))
    if starts is None or ends is None or node.input[0] in work.stored:
        return
    places = list(range(len(ends))) if axes is None else axes.tolist()
    rank, batch, freed = work.values[node.input[0]].ndim, work.axes.get(node.input[0]), ends.copy()
    for index, place in enumerate(places):
        whole = starts[index] == 0 and ends[index] >= work.size
        if place % rank == batch and whole and (steps is None or steps[index] == 1):
            freed[index] = np.iinfo(ends.dtype).max
    if (freed != ends).any():
        work.replace(node, 2, freed)


def free_resize(work: Work, node: Any) -> None:
    """Sizes for the axes after the batch alone (opset 18 and later can say so)."""
    from onnx import helper

    sizes = work.constant(node, 3)
    if sizes is None or work.opset < 18 or any(a.name == "axes" for a in node.attribute):
        return
    batch = work.axis(node.input[0])
    axes = [axis for axis in range(len(sizes)) if axis != batch]
    node.attribute.append(helper.make_attribute("axes", axes))
    work.replace(node, 3, sizes[axes])


def free_concat(work: Work, node: Any) -> None:
    """What is joined to each item is repeated for each: a class token, say."""
    along = int(attribute(node, "axis", 0))
    moving = [name for name in node.input if name not in work.stored]
    if not moving or moving[0] not in work.axes:
        return
    batch = work.axes[moving[0]]
    if along % max(work.values[moving[0]].ndim, 1) == batch:
        return
    for index, name in enumerate(node.input):
        if name in work.stored:
            repeat(work, node, index, batch)


def free_states(work: Work, node: Any) -> None:
    """A state of zeros is what a layer starts from anyway; another is repeated for each item."""
    axis = 0 if attribute(node, "layout", 0) else 1
    for index in STATES[node.op_type]:
        state = work.constant(node, index)
        if state is None:
            continue
        if not state.any():
            node.input[index] = ""
        elif node.input[index] in work.stored:
            repeat(work, node, index, axis)


def free_grid(work: Work, node: Any) -> None:
    if node.input[1] in work.stored:
        repeat(work, node, 1, 0)


def free_rows(work: Work, node: Any) -> None:
    """A constant with the same row for each item of the batch needs one row: it broadcasts."""
    moving = [name for name in node.input if name and name not in work.stored]
    rank = work.values[node.output[0]].ndim
    for index, name in enumerate(node.input):
        if name not in work.stored or not moving:
            continue
        value = work.values[name]
        shift = rank - work.values[moving[0]].ndim
        place = work.axis(moving[0]) + shift - (rank - value.ndim)
        if 0 <= place < value.ndim and value.shape[place] == work.size and equal(value, place):
            work.replace(node, index, value.take([0], place))


def repeat(work: Work, node: Any, index: int, axis: int) -> None:
    """A stored value, once for every item there is."""
    from onnx import helper, numpy_helper

    value = work.values[node.input[index]]
    fits = axis < value.ndim and value.shape[axis] == work.size and equal(value, axis)
    name = f"{node.name}_each_{index}"
    if (
        not fits
        or work.opset < SHAPE_PART
        or any(tensor.name == f"{name}_one" for tensor in work.graph.initializer)
    ):
        return
    around = np.ones(value.ndim, np.int64)
    for label, array in (
        ("one", value.take([0], axis)),
        ("before", around[:axis]),
        ("after", around[axis + 1 :]),
    ):
        work.graph.initializer.append(numpy_helper.from_array(array, f"{name}_{label}"))
    source = work.graph.input[0].name
    steps = [
        helper.make_node("Shape", [source], [f"{name}_items"], f"{name}_a", start=0, end=1),
        helper.make_node(
            "Concat", [f"{name}_{part}" for part in ("before", "items", "after")],
            [f"{name}_shape"], f"{name}_b", axis=0,
        ),
        helper.make_node("Expand", [f"{name}_one", f"{name}_shape"], [name], f"{name}_c"),
    ]  # fmt: skip
    for place, step in enumerate(steps):
        work.graph.node.insert(place, step)
    node.input[index] = name


def equal(value: NDArray[Any], axis: int) -> bool:
    return bool((value == value.take([0], axis)).all())


Rule = Callable[[Work, Any], None]

RULES: dict[str, Rule] = {
    "Reshape": free_reshape,
    "Expand": free_expand,
    "Slice": free_slice,
    "Resize": free_resize,
    "Concat": free_concat,
    "GridSample": free_grid,
    **dict.fromkeys(STATES, free_states),
}


def rules_for(size: int) -> dict[str, Rule]:
    """By operator; a row for one item broadcasts as it is."""
    return RULES if size == 1 else {**RULES, **dict.fromkeys(BROADCAST, free_rows)}
