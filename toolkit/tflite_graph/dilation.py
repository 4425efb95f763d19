"""A dilated convolution, as old converters wrote it: pixels apart, a dense one, and back.

SPACE_TO_BATCH_ND, a convolution without padding and BATCH_TO_SPACE_ND are one operator, where
nobody else reads what lies between them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from toolkit.flatbuffer.operators.base import Padding
from toolkit.tflite_graph.parts import Array, File, Operation

CONVOLUTIONS = {"CONV_2D", "DEPTHWISE_CONV_2D"}
PLAIN = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


@dataclass(frozen=True)
class Dilated:
    """The options of such a convolution: its own, the gaps, and the rim as numbers."""

    own: Any
    gaps: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    def __getattr__(self, name: str) -> Any:
        known = {"DilationHFactor": self.gaps[0], "DilationWFactor": self.gaps[1]}
        return (lambda: known[name]) if name in known else getattr(self.own, name)


def joined(file: File, known: Mapping[int, Array]) -> File:
    """The file with each such three as one operator."""
    counts: dict[int, int] = {}
    for place in (*file.outputs, *(p for o in file.operations for p in o.inputs)):
        counts[place] = counts.get(place, 0) + 1
    made: dict[int, Operation] = {}
    gone: set[int] = set()
    for last in file.operations:
        middle = file.makers.get(last.inputs[0]) if last.inputs else None
        first = file.makers.get(middle.inputs[0]) if middle and middle.inputs else None
        if first is None or middle is None or counts[last.inputs[0]] > 1:
            continue
        one = one_of(first, middle, last, file, known)
        if one is not None and counts[middle.inputs[0]] == 1:
            made[id(last)] = one
            gone |= {id(first), id(middle)}
    kept = [made.get(id(o), o) for o in file.operations if id(o) not in gone]
    return replace(file, operations=tuple(kept)) if made else file


def one_of(
    first: Operation, middle: Operation, last: Operation, file: File, known: Mapping[int, Array]
) -> Operation | None:
    if (first.code, last.code) != ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        return None
    if middle.code not in CONVOLUTIONS or middle.option("Padding") != Padding.VALID:
        return None
    if any(middle.option(name, 1) != value for name, value in PLAIN.items()):
        return None
    given = [held(file, known, place) for place in (*first.inputs[1:3], *last.inputs[1:3])]
    if len(given) != 4 or any(one is None for one in given):
        return None
    gaps, pads, blocks, crops = (one.tolist() for one in given if one is not None)
    if gaps != blocks or len(gaps) != 2 or min(gaps) < 1:
        return None
    rim = [[p - c for p, c in zip(*rows, strict=True)] for rows in zip(pads, crops, strict=True)]
    if [len(row) for row in rim] != [2, 2] or min(min(row) for row in rim) < 0:
        return None
    before, after = ((rim[0][side], rim[1][side]) for side in (0, 1))
    options = Dilated(middle.options, (gaps[0], gaps[1]), before, after)
    inputs = (first.inputs[0], *middle.inputs[1:])
    return Operation(middle.code, inputs, last.outputs, options)


def held(file: File, known: Mapping[int, Array], place: int) -> Array | None:
    return known[place] if place in known else file.tensors[place].data
