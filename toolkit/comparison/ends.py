"""Where what a layer gives can be seen in a graph, and what has been done to it by then."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = {"Clip", "Relu"}  # that kernels do together with the layer
SHIFTS = {"Add", "BatchNormalization"}  # with stored numbers they belong to the layer
UNROUNDED = {"Cast", "Mul"}  # turn the sums of an integer product into numbers
ROUNDING = "QuantizeLinear"


@dataclass(frozen=True)
class End:
    """Names of values.

    Attributes:
        raw: what the layer itself gives, its bias included.
        last: the same with its activation, and rounded to the steps that it is stored in.
        activated: whether an activation lies between them; `rounded` likewise.
    """

    raw: str
    last: str
    activated: bool
    rounded: bool


def seen(first: End, second: End) -> tuple[str, str]:
    """The values of two layers that mean the same.

    Rounding cuts off what an activation would, so that a rounded value needs none.
    """
    fair = first.activated == second.activated or (
        second.rounded if first.activated else first.rounded
    )
    return (first.last, second.last) if fair else (first.raw, second.raw)


def readers_of(model: Any) -> dict[str, list[Any]]:
    """Who reads a value; those in branches count with the node that they are in."""
    found: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in names_in(node):
            found.setdefault(name, []).append(node)
    return found


def names_in(node: Any) -> set[str]:
    names = {*node.input}
    for given in node.attribute:
        for graph in (given.g, *given.graphs):
            for inner in graph.node:
                names |= names_in(inner)
    return names - {""}


def end_of(
    node: Any, readers: Mapping[str, list[Any]], stored: Mapping[str, Any], outputs: set[str]
) -> End:
    integer = node.op_type.endswith("Integer")
    raw = here = str(node.output[0])
    activated = False
    while here not in outputs and len(readers.get(here, [])) == 1:
        [reader] = readers[here]
        if reader.op_type == ROUNDING:
            again = readers.get(reader.output[0], [])
            if again and all(each.op_type == "DequantizeLinear" for each in again):
                return End(raw, str(again[0].output[0]), activated, True)
            break
        if activated:
            break
        if reader.op_type in ACTIVATIONS:
            activated = True
        elif belongs(reader, here, stored, integer):
            raw = str(reader.output[0])
        else:
            break
        here = str(reader.output[0])
    return End(raw, here, activated, False)


def belongs(reader: Any, here: str, stored: Mapping[str, Any], integer: bool) -> bool:
    """Whether a node behind a layer does what is part of that layer."""
    others = [name for name in reader.input if name and name != here]
    if reader.op_type in SHIFTS:
        return all(name in stored for name in others)
    return integer and reader.op_type in UNROUNDED
