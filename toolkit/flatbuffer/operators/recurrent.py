"""LSTM, GRU and RNN: the input's share of all steps in one product, then step by step in a loop.

TFLite's own UNIDIRECTIONAL_SEQUENCE_LSTM is not used: LiteRT.js does not have it, there is none
for a GRU, and where nobody reads every step it is 1.4 times slower than a loop on x86. (It also
begins where the last run ended, unless an operator that no delegate takes, such as ZEROS_LIKE,
writes its variables in every run.) Short sequences are written out: that is the fastest while
their copies of the weights fit a processor's cache.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Array, Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.cells import (
    FUNCTIONS,
    Cell,
    Kind,
    Step,
    kind_of,
    product,
    resets_behind,
)
from toolkit.flatbuffer.operators.shaping import slice_of
from toolkit.flatbuffer.operators.weights import Weights, filters, weights_of
from toolkit.flatbuffer.scan import State, scan
from toolkit.flatbuffer.writer import Tensor

LONGEST = {False: 64, True: 128}  # steps that are written out, by whether each is read
CACHE = {False: 512 << 10, True: 3 << 20}  # bytes of weights: every such step has them once
TURN = {False: (2,), True: (4,)}  # steps a turn of a loop takes
NESTED = (128, 4)  # the same for more than LONG steps that are read: a loop of loops
LONG = 512


def recurrent(compiler: Compiler, node: Node) -> None:
    kind = kind_of(node)
    batch_first = bool(node.attributes.get("layout"))
    x = compiler.take(node)
    if batch_first:
        x = compiler.transpose(x, (1, 0, 2))
    steps, batch, _ = x.shape
    check(compiler, node, kind, steps)
    hidden = node.attributes["hidden_size"]
    orders = orders_of(node)
    whole: list[Tensor] = []
    ends: list[State] = []
    for place, backwards in enumerate(orders):
        layer = Layer(compiler, node, kind, place, backwards)
        state = tuple(layer.start(5 + index, batch) for index in range(kind.states))
        state, line = layer.run(x, state)
        ends.append(state)
        if line and is_read(compiler, node, 0):
            whole.append(compiler.reshape(line, (steps, 1, batch, hidden)))
    if whole:
        every = joined(compiler, whole, 1)
        compiler.give(node, compiler.transpose(every, (2, 0, 1, 3)) if batch_first else every)
    for output in range(1, 1 + kind.states):
        if is_read(compiler, node, output):
            last = [compiler.reshape(end[output - 1], (1, batch, hidden)) for end in ends]
            final = joined(compiler, last, 0)
            turned = compiler.transpose(final, (1, 0, 2)) if batch_first else final
            compiler.give(node, turned, output=output)


def orders_of(node: Node) -> list[bool]:
    """For each direction whether it goes backwards."""
    direction = node.attributes.get("direction", "forward")
    return {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]


def is_read(compiler: Compiler, node: Node, output: int) -> bool:
    name = node.outputs[output] if output < len(node.outputs) else ""
    graph = compiler.graph
    return bool(name) and (name in graph.outputs or name in graph.consumers)


def check(compiler: Compiler, node: Node, kind: Kind, steps: int) -> None:
    given = node.attributes
    unknown = [name for name in given.get("activations", ()) if word(name) not in FUNCTIONS]
    if unknown:
        raise node.unsupported(
            f"activates with {word(unknown[0])}", f"Use {', '.join(sorted(FUNCTIONS))}."
        )
    if given.get("input_forget"):
        raise node.unsupported("couples its input gate", "Use an LSTM with both gates.")
    lengths = compiler.constant_input(node, 4)
    if lengths is not None and (lengths != steps).any():
        raise node.unsupported(
            f"ends before its {steps} steps", "Give every sequence the same length."
        )


def word(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


class Layer:
    """One direction of a recurrent operator."""

    def __init__(
        self, compiler: Compiler, node: Node, kind: Kind, place: int, backwards: bool
    ) -> None:
        self.compiler = compiler
        self.node = node
        self.kind = kind
        self.place = place
        self.backwards = backwards
        self.hidden = int(node.attributes["hidden_size"])
        self.inputs = self.weights(1)
        biases = compiler.constant_input(node, 3)
        both = np.zeros(2 * kind.gates * self.hidden, np.float32)
        first, second = np.split(both if biases is None else biases[place], 2)
        own = np.zeros_like(second)
        if resets_behind(node):  # this one is reset, and may not be added before
            own[2 * self.hidden :] = second[2 * self.hidden :]
        self.bias = (first + second - own).astype(np.float32)
        self.cell = self.cell_of(own if own.any() else None)

    def weights(self, index: int) -> Weights:
        found = weights_of(self.compiler, self.node, 1, index)
        return found.arranged(lambda values: np.ascontiguousarray(values[self.place]))

    def cell_of(self, bias: Array | None) -> Cell:
        given, hidden = self.node.attributes, self.hidden
        peepholes = self.compiler.constant_input(self.node, 7) if self.node.op == "LSTM" else None
        names = [word(name) for name in given.get("activations", ())]
        count = len(self.kind.functions)
        chosen = names[count * self.place :][:count] or self.kind.functions
        return Cell(
            self.node,
            hidden,
            self.weights(2),
            bias,
            None if peepholes is None else peepholes[self.place].reshape(3, hidden),
            tuple(FUNCTIONS[name] for name in chosen),
            float(given.get("clip", 0)),
        )

    def start(self, index: int, batch: int) -> Tensor:
        """The initial state; zeros unless given."""
        shape = (batch, self.hidden)
        if not self.node.has(index):
            return self.compiler.writer.constant(np.zeros(shape, np.float32))
        given = self.compiler.take(self.node, index)
        if self.node.attributes.get("layout"):
            given = self.compiler.transpose(given, (1, 0, 2))
        own = slice_of(self.compiler, given, (self.place, 0, 0), (1, *shape))
        return self.compiler.reshape(own, shape)

    def run(self, x: Tensor, state: State) -> tuple[State, Tensor | None]:
        """The last state, and every step's hidden state in one line when somebody reads it."""
        steps, batch, _ = x.shape
        kept = is_read(self.compiler, self.node, 0)
        matrix = filters(self.compiler, self.node, self.inputs, 0)
        share = product(self.compiler, x, matrix, self.bias)
        line = self.compiler.reshape(share, (1, math.prod(share.shape)))
        return self.go(self.compiler, line, state, self.turns(steps, kept), batch, kept)

    def turns(self, steps: int, kept: bool) -> Sequence[int]:
        """How many steps a turn of each loop takes, the outer one's first; none: no loop."""
        copies = steps * self.cell.states.values.size * np.dtype(np.float32).itemsize
        if steps <= LONGEST[kept] and copies <= CACHE[kept]:
            return ()
        return NESTED if kept and steps > LONG else TURN[kept]

    def go(
        self,
        compiler: Compiler,
        line: Tensor,
        state: State,
        turns: Sequence[int],
        batch: int,
        kept: bool,
    ) -> tuple[State, Tensor | None]:
        """Take the steps of a line: those that fill no turn first, then the loop."""
        step_size = batch * self.kind.gates * self.hidden
        steps = line.shape[1] // step_size
        if not turns:
            begun = self.kind.begin(compiler, self.cell)
            return self.written_out(compiler, line, state, begun, batch)
        size, *inner = turns
        count, rest = divmod(steps, size)
        if count < 2:
            return self.go(compiler, line, state, inner, batch, kept)
        done: Tensor | None = None
        if rest:
            at = (steps - rest) * step_size if self.backwards else 0
            lead = slice_of(compiler, line, (0, at), (1, rest * step_size))
            state, done = self.go(compiler, lead, state, inner, batch, kept)
            at = 0 if self.backwards else rest * step_size
            line = slice_of(compiler, line, (0, at), (1, count * size * step_size))
        width = size * batch * self.hidden if kept else 0

        def turn(body: Compiler, row: Tensor, before: State) -> tuple[State, Tensor | None]:
            return self.go(body, row, before, inner, batch, kept)

        rows = compiler.reshape(line, (count, size * step_size))
        state, found = scan(compiler, rows, state, turn, width, backwards=self.backwards)
        if found is None:
            return state, None
        result = compiler.reshape(found, (1, count * width))
        if done is None:
            return state, result
        pieces = [result, done] if self.backwards else [done, result]
        return state, joined(compiler, pieces, 1)

    def written_out(
        self, compiler: Compiler, line: Tensor, state: State, step: Step, batch: int
    ) -> tuple[State, Tensor]:
        size = self.kind.gates * self.hidden
        order = range(line.shape[1] // (batch * size))
        outputs = []
        for time in reversed(order) if self.backwards else order:
            now = slice_of(compiler, line, (0, time * batch * size), (1, batch * size))
            state = step(compiler.reshape(now, (batch, size)), state)
            outputs.append(compiler.reshape(state[0], (1, batch * self.hidden)))
        return state, joined(compiler, outputs[:: -1 if self.backwards else 1], 1)


def joined(compiler: Compiler, tensors: Sequence[Tensor], axis: int) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    shape = list(tensors[0].shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return compiler.emit("CONCATENATION", tensors, shape, axis=axis)


TRANSLATIONS: Mapping[str, Translation] = dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent)
