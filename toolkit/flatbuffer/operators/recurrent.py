"""LSTM and GRU, unrolled over time.

TFLite's own LSTM operator keeps its state from one run to the next unless the program around
it says otherwise; unrolled, every run starts anew in every runtime.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.shaping import slice_of
from toolkit.flatbuffer.operators.weights import filters, weights_of
from toolkit.flatbuffer.writer import Tensor

LONGEST = 512  # steps: beyond that the file is mostly operators


@dataclass(frozen=True)
class Cell:
    """One direction's weights, the gates' rows below each other."""

    inputs: Tensor  # shape (gates · hidden, features)
    states: Tensor  # shape (gates · hidden, hidden)
    input_bias: Array
    state_bias: Array
    hidden: int


State = tuple[Tensor, ...]  # the hidden state first
Step = Callable[[Compiler, Cell, Tensor, State], State]


def recurrent(compiler: Compiler, node: Node, step: Step, gates: int, states: int) -> None:
    steps, batch, _ = compiler.shape(node.inputs[0])
    check(compiler, node, steps)
    hidden = node.attributes["hidden_size"]
    direction = node.attributes.get("direction", "forward")
    orders = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}[direction]
    x = compiler.take(node)
    sequences: list[list[Tensor]] = []
    ends: list[State] = []
    for place, order in enumerate(orders):
        cell = cell_of(compiler, node, place, gates, hidden)
        state = tuple(start(compiler, node, 5 + i, place, batch) for i in range(states))
        projected = dense(compiler, x, cell.inputs, cell.input_bias)
        outputs: list[Tensor] = []
        for time in range(steps)[::order]:
            now = slice_of(compiler, projected, (time, 0, 0), (1, batch, gates * hidden))
            state = step(compiler, cell, compiler.reshape(now, now.shape[1:]), state)
            outputs.append(compiler.reshape(state[0], (1, 1, batch, hidden)))
        sequences.append(outputs[::order])
        ends.append(state)
    give_sequence(compiler, node, sequences)
    for output in range(1, 1 + states):
        if output < len(node.outputs) and node.outputs[output]:
            last = [compiler.reshape(end[output - 1], (1, batch, hidden)) for end in ends]
            compiler.give(node, joined(compiler, last, 0), output=output)


def check(compiler: Compiler, node: Node, steps: int) -> None:
    given = node.attributes
    if given.get("layout") or given.get("clip") or given.get("activations"):
        raise node.unsupported("is not a plain one", "Use torch's nn.LSTM or nn.GRU.")
    if node.op == "GRU" and not given.get("linear_before_reset"):
        raise node.unsupported("resets before its product", "Use torch's nn.GRU.")
    if node.op == "LSTM" and (node.has(7) or given.get("input_forget")):
        raise node.unsupported("has peepholes", "Use torch's nn.LSTM.")
    lengths = compiler.constant_input(node, 4)
    if steps > LONGEST or (lengths is not None and (lengths != steps).any()):
        raise node.unsupported(f"runs over {steps} steps", f"Use at most {LONGEST}, all of them.")


def cell_of(compiler: Compiler, node: Node, place: int, gates: int, hidden: int) -> Cell:
    inputs, states = (
        filters(
            compiler, node, weights_of(compiler, node, 1, index).arranged(lambda a: a[place]), 0
        )
        for index in (1, 2)
    )
    biases = compiler.constant_input(node, 3)
    both = np.zeros(2 * gates * hidden, np.float32) if biases is None else biases[place]
    first, second = np.split(both, 2)
    return Cell(inputs, states, first, second, hidden)


def start(compiler: Compiler, node: Node, index: int, place: int, batch: int) -> Tensor:
    """The initial state of a direction; zeros unless given."""
    hidden = node.attributes["hidden_size"]
    if not node.has(index):
        return compiler.writer.constant(np.zeros((batch, hidden), np.float32))
    given = compiler.take(node, index)
    return compiler.reshape(
        slice_of(compiler, given, (place, 0, 0), (1, batch, hidden)), (batch, hidden)
    )


def lstm_step(compiler: Compiler, cell: Cell, x: Tensor, state: State) -> State:
    """ONNX orders the gates input, output, forget, cell."""
    hidden, memory = state
    product = dense(compiler, hidden, cell.states, cell.state_bias)
    total = compiler.emit("ADD", [x, product], x.shape)
    enter, leave, forget, fresh = parts(compiler, total, cell.hidden, 4)
    enter, leave, forget = (logistic(compiler, gate) for gate in (enter, leave, forget))
    kept = compiler.emit("MUL", [forget, memory], memory.shape)
    added = compiler.emit("MUL", [enter, tanh(compiler, fresh)], memory.shape)
    memory = compiler.emit("ADD", [kept, added], memory.shape)
    return compiler.emit("MUL", [leave, tanh(compiler, memory)], memory.shape), memory


def gru_step(compiler: Compiler, cell: Cell, x: Tensor, state: State) -> State:
    """ONNX orders the gates update, reset, hidden; the reset comes after the product."""
    [hidden] = state
    product = dense(compiler, hidden, cell.states, cell.state_bias)
    given, own = parts(compiler, x, cell.hidden, 3), parts(compiler, product, cell.hidden, 3)
    update, reset = (
        logistic(compiler, compiler.emit("ADD", pair, hidden.shape))
        for pair in zip(given[:2], own[:2], strict=True)
    )
    held = compiler.emit("MUL", [reset, own[2]], hidden.shape)
    fresh = tanh(compiler, compiler.emit("ADD", [given[2], held], hidden.shape))
    change = compiler.emit("SUB", [hidden, fresh], hidden.shape)
    kept = compiler.emit("MUL", [update, change], hidden.shape)
    return (compiler.emit("ADD", [fresh, kept], hidden.shape),)


def dense(compiler: Compiler, x: Tensor, weights: Tensor, bias: Array) -> Tensor:
    inputs = [x, weights, compiler.writer.constant(bias)]
    shape = (*x.shape[:-1], weights.shape[0])
    return compiler.emit("FULLY_CONNECTED", inputs, shape, keepNumDims=True)


def parts(compiler: Compiler, x: Tensor, size: int, count: int) -> list[Tensor]:
    begins = [(0, index * size) for index in range(count)]
    return [slice_of(compiler, x, begin, (x.shape[0], size)) for begin in begins]


def logistic(compiler: Compiler, x: Tensor) -> Tensor:
    return compiler.emit("LOGISTIC", [x], x.shape)


def tanh(compiler: Compiler, x: Tensor) -> Tensor:
    return compiler.emit("TANH", [x], x.shape)


def joined(compiler: Compiler, tensors: Sequence[Tensor], axis: int) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    shape = list(tensors[0].shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return compiler.emit("CONCATENATION", tensors, shape, axis=axis)


def give_sequence(compiler: Compiler, node: Node, sequences: list[list[Tensor]]) -> None:
    """Every step's hidden state: (steps, directions, batch, hidden)."""
    if node.outputs[0]:
        whole = [joined(compiler, sequence, 0) for sequence in sequences]
        compiler.give(node, joined(compiler, whole, 1))


def lstm(compiler: Compiler, node: Node) -> None:
    recurrent(compiler, node, lstm_step, gates=4, states=2)


def gru(compiler: Compiler, node: Node) -> None:
    recurrent(compiler, node, gru_step, gates=3, states=1)


TRANSLATIONS: Mapping[str, Translation] = {"GRU": gru, "LSTM": lstm}
