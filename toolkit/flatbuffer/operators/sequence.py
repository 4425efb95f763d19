"""UNIDIRECTIONAL_SEQUENCE_LSTM: a whole direction of an LSTM in one operator.

It keeps its state in variables and begins where the last run ended, so every run writes them
anew first. What writes them must run each time: an operator that delegates take, or that is
computed once because all it reads is stored, would not.
"""

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array
from toolkit.flatbuffer.operators.cells import Cell, rows
from toolkit.flatbuffer.operators.shaping import slice_of
from toolkit.flatbuffer.operators.weights import Weights, filters
from toolkit.flatbuffer.scan import State
from toolkit.flatbuffer.writer import Tensor

GATES = (0, 2, 3, 1)  # input, forget, cell, output, by their places in ONNX
PEEPHOLES = (0, 2, 1)  # input, forget, output
TANH = 4  # the schema's number of the activation


def is_plain(cell: Cell) -> bool:
    """Whether the kernel has the functions that a layer asks for."""
    return cell.functions == ("LOGISTIC", "TANH", "TANH") and not cell.clip


def sequence(
    compiler: Compiler,
    cell: Cell,
    inputs: Weights,
    bias: Array,
    x: Tensor,
    start: State | None,
    backwards: bool,
) -> tuple[State, Tensor]:
    """The last state, and every step's hidden state; `start` is None for zeros."""
    steps, batch, _ = x.shape
    hidden, memory = (
        compiler.writer.tensor((batch, cell.hidden), x.dtype, variable=True) for _ in range(2)
    )
    begin(compiler, (hidden, memory), start)
    bounds = [(place * cell.hidden, (place + 1) * cell.hidden) for place in GATES]
    weights = [
        filters(compiler, cell.node, rows(part, *bound), 0)
        for part in (inputs, cell.states)
        for bound in bounds
    ]
    peepholes: list[Tensor | None] = [None] * 3
    if cell.peepholes is not None:
        peepholes = [compiler.writer.constant(cell.peepholes[place]) for place in PEEPHOLES]
    biases = [compiler.writer.constant(bias[start:end]) for start, end in bounds]
    ahead = turned(compiler, x) if backwards else x
    found = compiler.emit(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [ahead, *weights, *peepholes, *biases, None, None, hidden, memory, *[None] * 4],
        (steps, batch, cell.hidden),
        fusedActivationFunction=TANH,
        timeMajor=True,
    )
    last = slice_of(compiler, found, (steps - 1, 0, 0), (1, batch, cell.hidden))
    end = (compiler.reshape(last, hidden.shape), memory)
    return end, turned(compiler, found) if backwards else found


def begin(compiler: Compiler, state: State, start: State | None) -> None:
    """Write the variables: zeros out of each other's shape, or a copy of what is given."""
    if start is None:
        hidden, memory = state
        compiler.writer.append("ZEROS_LIKE", [hidden], [memory])
        compiler.writer.append("ZEROS_LIKE", [memory], [hidden])
        return
    for variable, given in zip(state, start, strict=True):
        compiler.writer.append("CAST", [given], [variable])


def turned(compiler: Compiler, x: Tensor) -> Tensor:
    """The last step first."""
    return compiler.emit("REVERSE_V2", [x, compiler.writer.constant(np.array([0]))], x.shape)
