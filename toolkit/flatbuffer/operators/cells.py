"""One step of a recurrent layer.

LSTM (Hochreiter and Schmidhuber 1997, with the peepholes of Gers and Schmidhuber 2000), GRU
(Cho et al. 2014) and the plain cell (Elman 1990). The gates' share of the input is computed for
all steps at once, before the first one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.weights import Weights, filters
from toolkit.flatbuffer.scan import State
from toolkit.flatbuffer.writer import Tensor

FUNCTIONS = {"Relu": "RELU", "Sigmoid": "LOGISTIC", "Tanh": "TANH"}


@dataclass(frozen=True)
class Cell:
    """One direction of a layer.

    Attributes:
        states: what the hidden state is multiplied with, shape (gates · hidden, hidden).
        bias: added to that product; what can be added to the input's share is there.
        peepholes: of shape (3, hidden), for the gates input, output, forget; None without.
        functions: TFLite's names of the activations, the gates' first.
        clip: bound of what goes into an activation; 0 is none.
    """

    node: Node
    hidden: int
    states: Weights
    bias: Array | None
    peepholes: Array | None
    functions: tuple[str, ...]
    clip: float


Step = Callable[[Tensor, State], State]
"""From the input's share of the gates, (batch, gates · hidden), and the state to the next one."""


def lstm(compiler: Compiler, cell: Cell) -> Step:
    """ONNX orders the gates input, output, forget, cell."""
    matrix = filters(compiler, cell.node, cell.states, 0)
    gate, update, leave_by = cell.functions

    def step(x: Tensor, state: State) -> State:
        hidden, memory = state
        total = compiler.emit("ADD", [x, product(compiler, hidden, matrix, None)], x.shape)
        enter, leave, forget, fresh = parts(compiler, total, 4)
        enter = activated(compiler, cell, gate, peep(compiler, cell, enter, memory, 0))
        forget = activated(compiler, cell, gate, peep(compiler, cell, forget, memory, 2))
        kept = compiler.emit("MUL", [forget, memory], memory.shape)
        new = activated(compiler, cell, update, fresh)
        memory = compiler.emit(
            "ADD", [kept, compiler.emit("MUL", [enter, new], memory.shape)], memory.shape
        )
        leave = activated(compiler, cell, gate, peep(compiler, cell, leave, memory, 1))
        shown = compiler.emit(leave_by, [memory], memory.shape)
        return compiler.emit("MUL", [leave, shown], memory.shape), memory

    return step


def gru(compiler: Compiler, cell: Cell) -> Step:
    """ONNX orders the gates update, reset, hidden; the reset comes behind the product."""
    matrix = filters(compiler, cell.node, cell.states, 0)
    gate, update = cell.functions

    def step(x: Tensor, state: State) -> State:
        [hidden] = state
        given = parts(compiler, x, 3)
        own = parts(compiler, product(compiler, hidden, matrix, cell.bias), 3)
        keep, reset = (
            activated(compiler, cell, gate, compiler.emit("ADD", pair, hidden.shape))
            for pair in zip(given[:2], own[:2], strict=True)
        )
        held = compiler.emit("MUL", [reset, own[2]], hidden.shape)
        total = compiler.emit("ADD", [given[2], held], hidden.shape)
        return (blended(compiler, keep, hidden, activated(compiler, cell, update, total)),)

    return step


def gru_reset_first(compiler: Compiler, cell: Cell) -> Step:
    """As Cho et al. wrote it: the reset comes ahead of the product."""
    gates, fresh = (
        filters(compiler, cell.node, rows(cell.states, start, end), 0)
        for start, end in ((0, 2 * cell.hidden), (2 * cell.hidden, 3 * cell.hidden))
    )
    gate, update = cell.functions

    def step(x: Tensor, state: State) -> State:
        [hidden] = state
        given = parts(compiler, x, 3)
        own = parts(compiler, product(compiler, hidden, gates, None), 2)
        keep, reset = (
            activated(compiler, cell, gate, compiler.emit("ADD", pair, hidden.shape))
            for pair in zip(given[:2], own, strict=True)
        )
        held = compiler.emit("MUL", [reset, hidden], hidden.shape)
        total = compiler.emit("ADD", [given[2], product(compiler, held, fresh, None)], hidden.shape)
        return (blended(compiler, keep, hidden, activated(compiler, cell, update, total)),)

    return step


def plain(compiler: Compiler, cell: Cell) -> Step:
    matrix = filters(compiler, cell.node, cell.states, 0)

    def step(x: Tensor, state: State) -> State:
        total = compiler.emit("ADD", [x, product(compiler, state[0], matrix, None)], x.shape)
        return (activated(compiler, cell, cell.functions[0], total),)

    return step


@dataclass(frozen=True)
class Kind:
    """What sets the recurrent operators apart; `functions` are ONNX's own choice."""

    gates: int
    states: int
    functions: tuple[str, ...]
    begin: Callable[[Compiler, Cell], Step]


KINDS: Mapping[str, Kind] = {
    "LSTM": Kind(4, 2, ("Sigmoid", "Tanh", "Tanh"), lstm),
    "GRU": Kind(3, 1, ("Sigmoid", "Tanh"), gru_reset_first),
    "RNN": Kind(1, 1, ("Tanh",), plain),
}


def kind_of(node: Node) -> Kind:
    kind = KINDS[node.op]
    return replace(kind, begin=gru) if resets_behind(node) else kind


def resets_behind(node: Node) -> bool:
    return node.op == "GRU" and bool(node.attributes.get("linear_before_reset"))


def product(compiler: Compiler, x: Tensor, weights: Tensor, bias: Array | None) -> Tensor:
    added = None if bias is None else compiler.writer.constant(bias)
    shape = (*x.shape[:-1], weights.shape[0])
    return compiler.emit("FULLY_CONNECTED", [x, weights, added], shape, keepNumDims=True)


def parts(compiler: Compiler, x: Tensor, count: int) -> list[Tensor]:
    """Columns in equal parts."""
    shape = (x.shape[0], x.shape[1] // count)
    made = [compiler.writer.tensor(shape, x.dtype) for _ in range(count)]
    axis = compiler.writer.constant(np.array(1, np.int32))
    compiler.writer.append("SPLIT", [axis, x], made, numSplits=count)
    return made


def activated(compiler: Compiler, cell: Cell, function: str, x: Tensor) -> Tensor:
    for code, bound in (("MAXIMUM", -cell.clip), ("MINIMUM", cell.clip)) if cell.clip else ():
        x = compiler.emit(code, [x, compiler.scalar(bound, x)], x.shape)
    return compiler.emit(function, [x], x.shape)


def peep(compiler: Compiler, cell: Cell, gate: Tensor, memory: Tensor, place: int) -> Tensor:
    """A gate that sees the memory."""
    if cell.peepholes is None:
        return gate
    weights = compiler.writer.constant(cell.peepholes[place])
    seen = compiler.emit("MUL", [memory, weights], memory.shape)
    return compiler.emit("ADD", [gate, seen], gate.shape)


def blended(compiler: Compiler, keep: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """As much of the old as is kept: keep · old + (1 - keep) · new."""
    change = compiler.emit("SUB", [old, new], old.shape)
    kept = compiler.emit("MUL", [keep, change], old.shape)
    return compiler.emit("ADD", [new, kept], old.shape)


def rows(weights: Weights, start: int, end: int) -> Weights:
    """Some rows, with their own scales."""
    part = weights.arranged(lambda values: np.ascontiguousarray(values[start:end]))
    stored = weights.quantization
    if stored is None or not stored.per_channel:
        return part
    return replace(
        part,
        quantization=replace(
            stored, scale=stored.scale[start:end], zero_point=stored.zero_point[start:end]
        ),
    )
