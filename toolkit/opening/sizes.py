"""Sizes of inputs that a file leaves free: named, and fixed by what the user says."""

import math
from collections.abc import Mapping
from typing import Any

from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import shape_of

MOST_VALUES = 1 << 26  # an item: 268 MB in float32; more fits on no device
PICTURE = 224  # a side, where an example is needed
FEW = frozenset({1, 3, 4})  # channels of pictures


def fix(graph: Any, given: Mapping[str, tuple[int, ...]], where: str) -> list[str]:
    """Give inputs the sizes the user says; sizes of one name are the same in every input.

    Raises:
        UnsupportedError: an input of that name, rank or size does not exist; or sizes stay free.
    """
    inputs = {value.name: value for value in graph.input}
    named: dict[str, int] = {}
    notes = []
    for name, shape in given.items():
        if name not in inputs:
            raise UnsupportedError(
                f"{where} has no input {name!r}.", f"It takes: {', '.join(inputs)}."
            )
        fix_one(inputs[name], shape, named)
        notes.append(f"Its input {name!r} has the sizes that were given: {words(inputs[name])}.")
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim[1:]:
            if dim.dim_param in named and not dim.HasField("dim_value"):
                dim.dim_value = named[dim.dim_param]
    refuse_free(graph, where)
    return notes


def add_missing(graph: Any, given: Mapping[str, tuple[int, ...]]) -> None:
    """Inputs that say nothing of their shape get one with as many sizes as the user names."""
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        kind = value.type.tensor_type
        if value.name in stored or not kind.elem_type or kind.HasField("shape"):
            continue
        if value.name not in given:
            raise UnsupportedError(
                f"{value.name!r} has shape unknown.",
                f"Say its sizes, batch first: {example(value)}.",
            )
        for _ in given[value.name]:
            kind.shape.dim.add()


def fix_one(value: Any, shape: tuple[int, ...], named: dict[str, int]) -> None:
    dims = value.type.tensor_type.shape.dim
    known = shape_of(value)
    fits = len(known) == len(shape) and all(
        size > 0 and held in {-1, 0, size} for held, size in zip(known[1:], shape[1:], strict=True)
    )
    if not fits:
        raise UnsupportedError(
            f"{value.name!r} has shape {words(value)}: {list(shape)} does not fit it.",
            f"Write all its sizes, batch first: {example(value)}.",
        )
    for dim, size in zip(dims[1:], shape[1:], strict=True):
        if dim.dim_param:
            named[dim.dim_param] = size
        dim.dim_value = size


def refuse_free(graph: Any, where: str) -> None:
    """Every size but the batch must be known, and one that fits on a device."""
    for value in graph.input:
        shape = shape_of(value)
        if not shape:
            raise UnsupportedError(
                f"{value.name!r} has shape []: a single number, without a batch.",
                "Export the model with the batch as first axis of every input, or with this "
                "number stored inside.",
            )
    free = [value for value in graph.input if not settled(value)]
    if free:
        said = "; ".join(f"{value.name!r} has shape {words(value)}" for value in free)
        raise UnsupportedError(
            f"{where}: {said}: only the first axis may be free.",
            "Say the sizes, batch first: " + " ".join(example(value) for value in free) + ".",
        )
    for value in graph.input:
        batch, *sizes = shape_of(value)
        if math.prod(sizes) * max(batch, 1) > MOST_VALUES:
            many = "values an item" if math.prod(sizes) > MOST_VALUES else "values a batch"
            raise UnsupportedError(
                f"{value.name!r} has shape {words(value)}: more than {MOST_VALUES:,} {many}.",
                "Export the model with smaller inputs and outputs.",
            )


def settled(value: Any) -> bool:
    shape = shape_of(value)
    return bool(shape) and all(size > 0 for size in shape[1:])


def words(value: Any) -> str:
    """A shape as a person reads it: `[batch, 3, height, 224]`; `?` for a size without name."""
    dims = value.type.tensor_type.shape.dim
    sizes = (str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in dims)
    return f"[{', '.join(sizes)}]"


def example(value: Any) -> str:
    """The option that says its sizes: those that are known, and a guess at the others."""
    shape = shape_of(value)
    if not shape:
        return f"--shape {value.name}=1,3,{PICTURE},{PICTURE}"
    picture = len(shape) == 4 and (shape[1] in FEW or shape[3] in FEW or max(shape[1:]) < 1)
    guess = [3 if picture and axis == 1 else PICTURE if picture else 16 for axis in range(4)]
    sizes = [
        size if size > 0 else guess[min(axis, 3)] for axis, size in enumerate(shape[1:], start=1)
    ]
    return f"--shape {value.name}={','.join(str(size) for size in (1, *sizes))}"
