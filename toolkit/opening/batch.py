"""The batch of a graph that was exported for a fixed number of items, made free.

Most files in the world are exported for one item. The number then stands in the inputs, and in
constants that were computed from it. Both are rewritten, and the result is believed only where
two and three items give what the file gives item by item.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import BATCH, shape_of
from toolkit.opening.constants import rewritings, watched
from toolkit.opening.running import (
    Arrays,
    RefusedError,
    Tolerance,
    alike,
    drawn,
    loaded,
    run,
    tolerance_of,
    tried,
)

PROBES = (2, 3)  # items at once: one would not show a fixed batch, two might be a coincidence


def size_of(model: Any, file: Path) -> int:
    """How many items the inputs are fixed to; 0 where every input leaves it free.

    Raises:
        UnsupportedError: the inputs do not agree.
    """
    sizes = {value.name: shape_of(value)[0] for value in model.graph.input}
    fixed = {size for size in sizes.values() if size > 0}
    if len(fixed) > 1:
        said = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
        raise UnsupportedError(
            f"{file} does not run with a batch of any size: its first axes differ ({said}).",
            "Export the model with the batch as first axis of every input.",
        )
    return fixed.pop() if fixed else 0


def freed(model: Any, specs: Sequence[TensorSpec], size: int, file: Path) -> tuple[Any, list[str]]:
    """The graph for any number of items; and what to know.

    Raises:
        UnsupportedError: names the operator that holds the batch.
    """
    bound = tolerance_of(model.graph)
    if not size:
        runtime = loaded(model)
        try:
            return model, mixing(one_by_one(runtime, specs, 1), runtime, bound)
        except RefusedError:
            size = 1  # it may be free by name only: then it is made so
    try:
        feeds, expected = one_by_one(loaded(model), specs, size)
    except RefusedError as error:
        raise unfree(file, str(error), error.where) from error
    refuse_other_outputs(expected, size, file)
    why = where = ""
    try:
        for candidate in candidates(model, feeds, size):
            try:
                wrong = difference(loaded(candidate), feeds, expected, bound)
            except RefusedError as error:
                why, where = str(error), error.where
                continue
            if not wrong:
                return candidate, [f"Its batch of {size} was made free."]
            why, where = wrong, parted(model, candidate, feeds, size)
    except RefusedError as error:
        why, where = str(error), error.where
    raise unfree(file, why, where)


def candidates(model: Any, feeds: Arrays, size: int) -> Iterator[Any]:
    """As it is with free inputs, then with its constants rewritten."""
    loose = unfixed(model)
    yield loose
    yield from rewritings(loose, model, feeds, size)


def one_by_one(runtime: Any, specs: Sequence[TensorSpec], size: int) -> tuple[Arrays, Arrays]:
    """Drawn items and their answers, given to the runtime `size` at a time."""
    feeds, first = tried(runtime, specs, size)
    counted = [values.max() for values in feeds.values() if values.dtype.kind == "i"]
    parts, answers = [feeds], [first]
    for turn in range(1, turns(size)):
        parts.append(drawn(specs, size, 1 + int(max(counted, default=0)), turn))
        answers.append(run(runtime, parts[-1]))
    return joined(parts), joined(answers)


def turns(size: int) -> int:
    """How often a batch of this size is run: for enough items, and for two batches to compare."""
    return max(2, -(-max(PROBES) // size))


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Batches one after the other; `RefusedError` where the shape depends on what is in them."""
    found = {}
    for name, first in parts[0].items():
        if any(part[name].shape != first.shape for part in parts):
            said = f"how much {name!r} holds depends on the values of the inputs"
            raise RefusedError(ValueError(said))
        found[name] = np.concatenate([part[name] for part in parts]) if first.ndim else first
    return found


def mixing(singles: tuple[Arrays, Arrays], runtime: Any, bound: Tolerance) -> list[str]:
    """What to know of a graph that takes any batch; `RefusedError` where it does not."""
    feeds, expected = singles
    for items in PROBES:
        found = run(runtime, {name: values[:items] for name, values in feeds.items()})
        for name, answer in found.items():
            if answer.shape != (items, *expected[name].shape[1:]):
                said = f"{items} items give {name!r} shape {list(answer.shape)}"
                raise RefusedError(ValueError(said))
    if all(alike(found[name], expected[name][:items], bound) for name in found):
        return []
    return [
        "It answers otherwise when it is given several items at once: it mixes them, or draws lots."
    ]


def refuse_other_outputs(expected: Arrays, size: int, file: Path) -> None:
    times = turns(size)
    for name, answer in expected.items():
        if not answer.ndim or answer.shape[0] != size * times:
            shape = [answer.shape[0] // times, *answer.shape[1:]] if answer.ndim else []
            raise UnsupportedError(
                f"{file} does not run with a batch of any size: its output {name!r} has shape "
                f"{shape}, without the batch as first axis.",
                "Export the model with the batch as first axis of every output.",
            )


def unfixed(model: Any) -> Any:
    """The same graph with a free first axis in every input and output."""
    loose = type(model)()
    loose.CopyFrom(model)
    del loose.graph.value_info[:]
    for value in [*loose.graph.input, *loose.graph.output]:
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_param = BATCH
    return loose


def difference(runtime: Any, feeds: Arrays, expected: Arrays, bound: Tolerance) -> str:
    """What is wrong with the answers to two and three items at once; empty where nothing is."""
    for items in PROBES:
        found = run(runtime, {name: values[:items] for name, values in feeds.items()})
        for name, answer in found.items():
            right = expected[name][:items]
            if answer.shape != right.shape:
                return f"{items} items give {name!r} shape {list(answer.shape)}"
            if not alike(answer, right, bound):
                return f"{items} items at once give {name!r} other values than one by one"
    return ""


def parted(model: Any, candidate: Any, feeds: Arrays, size: int) -> str:
    """The first operator whose results for two batches are not those of each of them."""
    halves = [
        {name: values[i * size : (i + 1) * size] for name, values in feeds.items()}
        for i in range(2)
    ]
    try:
        before = [run(loaded(watched(model), optimised=False), half) for half in halves]
        after = run(loaded(watched(candidate), optimised=False), joined(halves))
    except (RefusedError, UnsupportedError):
        return ""  # a name for the error is a courtesy
    for node in model.graph.node:
        for name in node.output:
            known = isinstance(after.get(name), np.ndarray) and name in before[0]
            if known and not follows(after[name], before, name):
                return f"{node.op_type} (node {node.name!r})"
    return ""


def follows(found: Any, before: Sequence[Arrays], name: str) -> bool:
    """Whether a value for both batches is made of the values for each, along some axis."""
    first, second = (part[name] for part in before)
    if alike(found, first) and alike(first, second):
        return True
    if first.shape != second.shape:
        return False
    return any(
        alike(found, np.concatenate([first, second], axis=axis)) for axis in range(first.ndim)
    )


def unfree(file: Path, why: str, where: str) -> UnsupportedError:
    holder = f" {where} holds it:" if where else ""
    return UnsupportedError(
        f"{file} does not run with a batch of any size:{holder} {why}.",
        "Export the model with a free first axis (dynamic_axes or dynamic_shapes).",
    )
