"""Files that take any number of items, out of two that were compiled for different batches.

Whatever depends on the batch differs between the two. A shape that is stored for RESHAPE can say
-1 there, a slice that takes all can say so; a constant of any other kind pins the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.writer import Operation, Tensor, Writer

BATCHES = (3, 5)  # primes, and neither is one: what holds for one item need not hold for more
FREE = -1
HINT = "Build it for one item at a time, the default."


@dataclass(frozen=True)
class Program:
    """A file before it is packed."""

    writer: Writer
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def freed(few: Program, many: Program) -> Program:
    """The program for one item that works for any number, out of those for two batches.

    Raises:
        UnsupportedError: an operator that holds the batch in a way that cannot be left open.
    """
    if few.writer.subgraphs or many.writer.subgraphs:
        raise pinned("WHILE", "a loop")
    found = _Freed(few.writer, many.writer)
    inputs = {n: found.tensor(t, many.inputs[n]) for n, t in few.inputs.items()}
    steps, others = (one.writer.needed([*one.outputs.values()]) for one in (few, many))
    for one, other in zip(steps, others, strict=False):
        if one.code != other.code:
            raise pinned(one.code, found.name(one))
        found.add(one, other)
    if len(steps) != len(others):
        raise pinned(steps[-1].code, found.name(steps[-1]))
    outputs = {n: found.tensor(t, many.outputs[n]) for n, t in few.outputs.items()}
    return Program(found.writer, inputs, outputs)


def pinned(code: str, where: str) -> UnsupportedError:
    return UnsupportedError(
        f"TFLite: {code} ({where}) works for a number of items that is fixed.", HINT
    )


class _Freed:
    """The new program while it grows."""

    def __init__(self, few: Writer, many: Writer) -> None:
        self.few = few
        self.many = many
        self.writer = Writer()
        self.made: dict[int, Tensor] = {}

    def name(self, operation: Operation) -> str:
        """The node that an operator comes from."""
        return f"node {self.few.names[operation.outputs[0].index].rpartition('#')[0]!r}"

    def add(self, one: Operation, other: Operation) -> None:
        inputs: list[Tensor | None] = []
        options = dict(one.options)
        for place, (few, many) in enumerate(zip(one.inputs, other.inputs, strict=True)):
            if few is None or many is None or few.index not in self.few.data:
                inputs.append(few and many and self.tensor(few, many))
            elif self.few.data[few.index] == self.many.data.get(many.index):
                inputs.append(self.constant(few))
            else:
                inputs.append(self.writer.constant(self.opened(one, place, few, many)))
        if "newShape" in options:
            shape = inputs[1]
            stored = self.writer.data[shape.index] if shape else b""
            options["newShape"] = np.frombuffer(stored, np.int32).tolist()
        outputs = [
            self.tensor(few, many) for few, many in zip(one.outputs, other.outputs, strict=True)
        ]
        self.writer.append(one.code, inputs, outputs, **options)

    def opened(self, one: Operation, place: int, few: Tensor, many: Tensor) -> Sequence[int]:
        """A stored shape with the batch left open."""
        if few.dtype != "int32" or few.shape != many.shape or len(few.shape) != 1:
            raise pinned(one.code, self.name(one))
        sizes = np.frombuffer(self.few.data[few.index], np.int32)
        others = np.frombuffer(self.many.data[many.index], np.int32)
        changed = np.flatnonzero(sizes != others).tolist()
        is_shape = one.code == "RESHAPE" and len(changed) == 1
        if not is_shape and not self.takes_all(one, place, changed):
            raise pinned(one.code, self.name(one))
        return [FREE if axis in changed else int(size) for axis, size in enumerate(sizes)]

    def takes_all(self, one: Operation, place: int, changed: Sequence[int]) -> bool:
        """Whether a slice begins with the first of each of these axes."""
        begin = one.inputs[1]
        if one.code != "SLICE" or place != 2 or begin is None or begin.index not in self.few.data:
            return False
        starts = np.frombuffer(self.few.data[begin.index], np.int32)
        return not any(starts[axis] for axis in changed)

    def tensor(self, few: Tensor, many: Tensor) -> Tensor:
        """A computed value, as it is for one item; its shape says where there may be more."""
        if len(few.shape) != len(many.shape):
            raise pinned("a value of another rank", self.few.names[few.index])
        if few.index not in self.made:
            step = BATCHES[1] - BATCHES[0]
            slopes = [(b - a) // step for a, b in zip(few.shape, many.shape, strict=True)]
            single = [a - (BATCHES[0] - 1) * s for a, s in zip(few.shape, slopes, strict=True)]
            made = self.writer.tensor(single, few.dtype, few.quantization)
            free = tuple(FREE if s else a for a, s in zip(single, slopes, strict=True))
            made = replace(made, free=free if any(slopes) else ())
            self.writer.names[made.index] = self.few.names[few.index]
            self.made[few.index] = made
        return self.made[few.index]

    def constant(self, few: Tensor) -> Tensor:
        if few.index not in self.made:
            made = self.writer.tensor(few.shape, few.dtype, few.quantization)
            self.writer.names[made.index] = self.few.names[few.index]
            self.writer.data[made.index] = self.few.data[few.index]
            self.made[few.index] = made
        return self.made[few.index]
