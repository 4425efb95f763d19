"""Recurrent layers as the operators that ONNX has for them: one node a layer, or for both ways."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.foreign.graph import Graph, Value
from toolkit.foreign.keras_layers.base import (
    array,
    shape_after,
    translate,
    translates,
    untranslated,
)

GATES = {"SimpleRNN": [0], "GRU": [0, 1, 2], "LSTM": [0, 3, 1, 2]}  # ONNX: i o f c, Keras: i f c o
OPERATORS = {"SimpleRNN": "RNN", "GRU": "GRU", "LSTM": "LSTM"}
ACTIVATIONS = {
    "tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "softsign": "Softsign",
    "softplus": "Softplus", "hard_sigmoid": "HardSigmoid",
}  # fmt: skip
ALPHA, BETA = 1 / 6, 0.5  # of the hard sigmoid


@translates("SimpleRNN", "GRU", "LSTM")
def recurrent(graph: Graph, layer: Any, x: Value, initial_state: Any = None, **others: Any) -> Any:
    if others:
        raise untranslated(layer, f"called with {', '.join(others)}")
    names = run(graph, [layer], x, initial_state)
    sequence, last, *states = names
    squeezed = graph.constant([0], np.int64)
    if layer.return_sequences:
        made = graph.emit(
            "Squeeze", sequence, graph.constant([1], np.int64)
        )  # (time, batch, units)
        if layer.go_backwards:
            made = backwards(graph, made)
        made = graph.emit("Transpose", made, perm=[1, 0, 2])
        value = Value((None, x.shape[1], layer.units), made)
    else:
        value = Value((None, layer.units), graph.emit("Squeeze", last, squeezed))
    if not layer.return_state:
        return value
    ends = [Value((None, layer.units), graph.emit("Squeeze", s, squeezed)) for s in (last, *states)]
    return [value, *ends]


@translates("Bidirectional")
def bidirectional(graph: Graph, layer: Any, x: Value, **others: Any) -> Value:
    one, other = layer.forward_layer, layer.backward_layer
    units, mode = one.units, layer.merge_mode
    if others or one.return_state or mode is None or units != other.units:
        raise untranslated(layer, f"merge mode {mode!r} or states")
    if one.go_backwards or not other.go_backwards or settings_of(one) != settings_of(other):
        raise untranslated(layer, "two layers that differ")
    sequence, last, *_ = run(graph, [one, other], x)
    if one.return_sequences:
        made = graph.emit("Transpose", sequence, perm=[2, 0, 1, 3])  # (batch, time, 2, units)
        shape: tuple[int | None, ...] = (None, x.shape[1])
    else:
        made = graph.emit("Transpose", last, perm=[1, 0, 2])
        shape = (None,)
    if mode == "concat":
        sizes = graph.constant([-1, *shape[1:], 2 * units], np.int64)
        return Value((*shape, 2 * units), graph.emit("Reshape", made, sizes))
    axis = graph.constant([len(shape)], np.int64)
    op = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}[mode]
    return Value((*shape, units), graph.emit(op, made, axis, keepdims=0))


@translates("TimeDistributed")
def time_distributed(graph: Graph, layer: Any, x: Value, **others: Any) -> Value:
    """The inner layer sees the steps of all items as one batch."""
    if others:
        raise untranslated(layer, f"called with {', '.join(others)}")
    after = shape_after(layer, x.shape)
    sizes = graph.constant([-1, *x.shape[2:]], np.int64)
    flat = Value((None, *x.shape[2:]), graph.emit("Reshape", graph.plain(x), sizes))
    made = translate(graph, layer.layer, flat)
    back = graph.constant([-1, *after[1:]], np.int64)
    return Value(after, graph.emit("Reshape", graph.plain(made), back))


def run(graph: Graph, layers: list[Any], x: Value, initial_state: Any = None) -> list[str]:
    """Sequence (time, ways, batch, units), then the last states (ways, batch, units)."""
    first = layers[0]
    kind = type(first).__name__
    if kind not in OPERATORS or any(layer.stateful for layer in layers):
        raise untranslated(first, "it keeps its state from one call to the next")
    parts = [weights_of(layer, kind) for layer in layers]
    stored = [
        graph.store(stem, np.stack([part[index] for part in parts]))
        for index, stem in enumerate(("weight", "recurrence", "bias"))
    ]
    states = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
    begin = [
        graph.emit("Unsqueeze", graph.plain(state), graph.constant([0], np.int64))
        for state in states
        if state is not None
    ]
    words: dict[str, Any] = {"hidden_size": first.units, **functions(layers, kind)}
    words["direction"] = "bidirectional" if len(layers) > 1 else (
        "reverse" if first.go_backwards else "forward"
    )  # fmt: skip
    if kind == "GRU":
        words["linear_before_reset"] = int(first.reset_after)
    turned = graph.emit("Transpose", graph.plain(x), perm=[1, 0, 2])
    inputs = [turned, *stored, *(["", *begin] if begin else [])]
    outputs = 3 if kind == "LSTM" else 2
    return graph.several(OPERATORS[kind], outputs, *inputs, **words)


def weights_of(layer: Any, kind: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Input weights, recurrent weights and both biases of one way, gates in the order of ONNX."""
    cell, gates = layer.cell, GATES[kind]

    def ordered(values: NDArray[Any]) -> NDArray[Any]:
        """(…, gates * units) as (gates * units, …)."""
        by_gate = values.reshape(-1, len(gates), layer.units)[:, gates]
        return by_gate.reshape(-1, len(gates) * layer.units).T

    bias = np.zeros((2, len(gates) * layer.units), np.float32)
    if layer.use_bias:
        given = array(cell.bias).reshape(-1, len(gates) * layer.units)
        bias[: len(given)] = ordered(given).T
    return ordered(array(cell.kernel)), ordered(array(cell.recurrent_kernel)), bias.reshape(-1)


def functions(layers: list[Any], kind: str) -> dict[str, Any]:
    """The activations of every way, where they are not those that ONNX takes anyway."""
    names: list[str] = []
    for layer in layers:
        inner = layer.activation.__name__
        outer = layer.recurrent_activation.__name__ if kind != "SimpleRNN" else ""
        used = {"SimpleRNN": [inner], "GRU": [outer, inner], "LSTM": [outer, inner, inner]}[kind]
        if any(name not in ACTIVATIONS for name in used):
            raise untranslated(layer, f"activation {', '.join(used)}")
        names += [ACTIVATIONS[name] for name in used]
    if "HardSigmoid" not in names and set(names) <= {"Sigmoid", "Tanh"}:
        usual = {"SimpleRNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"]}
        if names == usual.get(kind, ["Sigmoid", "Tanh", "Tanh"]) * len(layers):
            return {}
    words: dict[str, Any] = {"activations": names}
    if "HardSigmoid" in names:  # one number for each function that takes one
        count = names.count("HardSigmoid")
        words |= {"activation_alpha": [ALPHA] * count, "activation_beta": [BETA] * count}
    return words


def settings_of(layer: Any) -> tuple[Any, ...]:
    return (type(layer), layer.units, layer.return_sequences, getattr(layer, "reset_after", None))


def backwards(graph: Graph, name: str) -> str:
    """The first axis from its end to its start."""
    words = [[-1], [np.iinfo(np.int64).min + 1], [0], [-1]]
    return graph.emit("Slice", name, *(graph.constant(word, np.int64) for word in words))
