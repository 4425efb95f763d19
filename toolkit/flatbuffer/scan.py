"""A loop over the rows of a matrix: TFLite's WHILE, with the graph of one turn beside the main one.

LiteRT hands what never changes from turn to turn without copying it, runs delegates inside the
loop, and packs the weights there once: a loop is as fast as what it replaces and stays small
however long it runs. What grows turn by turn it copies whole, so long ones are nested.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.writer import Subgraph, Tensor

State = tuple[Tensor, ...]
Turn = Callable[[Compiler, Tensor, State], tuple[State, Tensor | None]]
"""From a row and the state before it to the state behind it and, when asked, a row of results."""


def scan(
    compiler: Compiler, rows: Tensor, state: State, turn: Turn, width: int, *, backwards: bool
) -> tuple[State, Tensor | None]:
    """Take `turn` on every row; gives the last state, and the rows of the result below each other.

    Args:
        width: of a row of the result; 0 when nobody reads it.
        backwards: from the last row to the first.
    """
    count = rows.shape[0]
    first = compiler.writer.constant((count - 1 if backwards else 0,))
    carried = [first, rows, *state]
    if width:
        zero = compiler.writer.constant(np.zeros((1, 1), np.float32))
        size = compiler.writer.constant((count, width))
        carried.append(compiler.emit("BROADCAST_TO", [zero, size], (count, width)))
    options = {
        "condSubgraphIndex": condition(compiler, carried, count, backwards),
        "bodySubgraphIndex": body(compiler, carried, len(state), turn, backwards),
    }
    ends = copies(compiler, carried)
    compiler.writer.append("WHILE", carried, ends, **options)
    return tuple(ends[2 : 2 + len(state)]), ends[-1] if width else None


def copies(compiler: Compiler, carried: Sequence[Tensor]) -> list[Tensor]:
    return [compiler.writer.tensor(tensor.shape, tensor.dtype) for tensor in carried]


def condition(compiler: Compiler, carried: Sequence[Tensor], count: int, backwards: bool) -> int:
    inner = inside(compiler)
    inputs = copies(inner, carried)
    code, limit = ("GREATER_EQUAL", 0) if backwards else ("LESS", count)
    more = inner.emit(code, [inputs[0], inner.writer.constant((limit,))], (1,), dtype="bool")
    return compiler.writer.add(Subgraph(inner.writer, tuple(inputs), (more,)))


def body(
    compiler: Compiler, carried: Sequence[Tensor], states: int, turn: Turn, backwards: bool
) -> int:
    inner = inside(compiler)
    inputs = copies(inner, carried)
    place, rows, *rest = inputs
    row = inner.emit("GATHER", [rows, place], (1, rows.shape[1]), axis=0)
    state, result = turn(inner, row, tuple(rest[:states]))
    step = inner.writer.constant((-1 if backwards else 1,))
    outputs = [inner.emit("ADD", [place, step], (1,)), rows, *state]
    if len(rest) > states:
        corner = [place, inner.writer.constant((0,))]
        at = inner.emit("CONCATENATION", corner, (2,), axis=0)
        outputs.append(inner.emit("DYNAMIC_UPDATE_SLICE", [rest[-1], result, at], rest[-1].shape))
    return compiler.writer.add(Subgraph(inner.writer, tuple(inputs), tuple(outputs)))


def inside(compiler: Compiler) -> Compiler:
    """A compiler of the same graph whose operators go into a graph of their own."""
    return replace(compiler, writer=compiler.writer.inner(), values={}, _moved={})
