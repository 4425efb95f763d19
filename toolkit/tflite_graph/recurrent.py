"""Recurrent layers over a whole sequence: LSTM and plain ones, in one or two directions.

TFLite keeps a matrix for each gate, ONNX one for all gates; the rows of the first are put one
below the other, with their scales.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.numbers import along, real
from toolkit.tflite_graph.parts import Array, Operation, Scales, Tensor, damaged
from toolkit.tflite_graph.scaled import constant_of_codes
from toolkit.tflite_graph.weights import weights_of

GATES = (0, 3, 1, 2)  # ONNX's order (input, output, forget, cell) in TFLite's (i, f, c, o)
FORGET = 1
ACTIVATIONS = {0: "Affine", 1: "Relu", 4: "Tanh"}  # of the schema's ActivationFunctionType
WITHOUT = "Export the layer as a plain one: no projection, no normalisation inside."


@dataclass(frozen=True)
class Places:
    """Where the inputs of one direction lie: weights, recurrent weights and biases by gate."""

    weights: tuple[int, ...]
    recurrent: tuple[int, ...]
    biases: tuple[int, ...]
    peepholes: tuple[int, ...] = ()
    unread: tuple[int, ...] = ()
    states: tuple[int, ...] = ()


def lstm_places(start: int, states: tuple[int, int], norms: tuple[int, ...]) -> Places:
    """The schema's order: four matrices, four recurrent ones, three peepholes, four biases."""
    first = tuple(range(start, start + 4))
    return Places(
        first, tuple(i + 4 for i in first), tuple(range(start + 11, start + 15)),
        tuple(range(start + 8, start + 11)), (start + 15, start + 16, *norms), states,
    )  # fmt: skip


FORWARD = lstm_places(1, (18, 19), (20, 21, 22, 23))
BOTH = (lstm_places(1, (35, 36), tuple(range(39, 48))), lstm_places(18, (37, 38), ()))


def lstm(builder: Builder, operation: Operation) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    sequence(builder, operation, "LSTM", [FORWARD])


def lstm_both(builder: Builder, operation: Operation) -> None:
    """BIDIRECTIONAL_SEQUENCE_LSTM."""
    sequence(builder, operation, "LSTM", BOTH)


def plain(builder: Builder, operation: Operation) -> None:
    """UNIDIRECTIONAL_SEQUENCE_RNN."""
    sequence(builder, operation, "RNN", [Places((1,), (2,), (3,), states=(4,))])


def plain_both(builder: Builder, operation: Operation) -> None:
    """BIDIRECTIONAL_SEQUENCE_RNN."""
    both = [
        Places((1,), (2,), (3,), unread=(9, 10, 11), states=(4,)),
        Places((5,), (6,), (7,), states=(8,)),
    ]
    sequence(builder, operation, "RNN", both)


def sequence(builder: Builder, operation: Operation, op: str, directions: Sequence[Places]) -> None:
    source, place = builder.tensor(operation, 0), builder.place(operation, 0)
    if len(source.shape) != 3:
        raise damaged(f"{operation.code} works on {len(source.shape)} axes")
    is_time_first = bool(operation.option("TimeMajor", False))
    if builder.batch(place) != int(is_time_first):
        raise operation.unsupported("runs along the batch", "Put time behind the batch.")
    refuse_special(builder, operation, directions)
    builder.scope = builder.layer(operation, op.lower(), directions[0].weights[-1])
    steps, batch = source.shape[0], source.shape[1]
    x = builder.take(operation, 0)
    if not is_time_first:
        steps, batch = batch, steps
        x = builder.emit("Transpose", [x], (steps, batch, source.shape[2]), perm=[1, 0, 2])
    hidden = weights_of(builder, operation, directions[0].weights[-1]).shape[0]
    count, ways = len(directions), "bidirectional" if len(directions) > 1 else "forward"
    inputs = [x, *stored(builder, operation, op, directions)]
    kind = ACTIVATIONS.get(operation.option("FusedActivationFunction"), "")
    if not kind or (op == "LSTM" and kind != "Tanh"):
        raise operation.unsupported("has another activation than tanh", "Use tanh, or ReLU.")
    more = {} if op == "LSTM" or kind == "Tanh" else {"activations": [kind] * count}
    note_clip(builder, operation, steps)
    made = builder.emit(
        op, inputs, (steps, count, batch, hidden), hidden_size=hidden, direction=ways, **more
    )
    give(builder, operation, made, (steps, count, batch, hidden), is_time_first)


def refuse_special(builder: Builder, operation: Operation, directions: Sequence[Places]) -> None:
    for one in directions:
        found = [i for i in one.unread if builder.has(operation, i)]
        if found:
            raise operation.unsupported("has a projection, a norm or a second input", WITHOUT)
        for index in one.states:
            if builder.has(operation, index):
                state = builder.tensor(operation, index)
                if not state.is_state and builder.constant(operation, index).any():
                    raise operation.unsupported("starts from a state of its own", WITHOUT)


def note_clip(builder: Builder, operation: Operation, steps: int) -> None:
    """A cell changes by one a step at most: fewer steps than the bound never reach it."""
    bound = float(operation.option("CellClip", 0.0)) if "LSTM" in operation.code else 0.0
    if 0 < bound < steps:
        builder.notes.append(
            f"{operation.code} holds its cells within ±{bound:g} where it is run by TFLite; here "
            "they are free, which only cells of more than that could show."
        )


def stored(
    builder: Builder, operation: Operation, op: str, directions: Sequence[Places]
) -> list[str]:
    """W, R, B and peepholes of all directions."""
    gates = GATES if op == "LSTM" else (0,)
    found = [gathered(builder, operation, one, gates) for one in directions]
    names = [
        joined(builder, [f[0] for f in found], "weight"),
        joined(builder, [f[1] for f in found], "recurrent"),
    ]
    zeros = np.zeros_like(found[0][2])
    both = np.stack([np.concatenate([f[2], zeros]) for f in found])
    names.append(builder.store(f"{builder.scope}.bias", both))
    if any(f[3].any() for f in found):
        peepholes = builder.store(f"{builder.scope}.peepholes", np.stack([f[3] for f in found]))
        names += ["", "", "", peepholes]
    return names


Direction = tuple[Tensor, Tensor, Array, Array]


def gathered(
    builder: Builder, operation: Operation, one: Places, gates: Sequence[int]
) -> Direction:
    """Matrices as one tensor each, the bias, and the peepholes."""
    coupled = len(gates) > 1 and not builder.has(operation, one.weights[0])
    forget = [FORGET if coupled and gate == 0 else gate for gate in gates]
    # an input gate that is one minus the forget gate is the logistic of the negated sum
    signs = [-1 if coupled and gate == 0 else 1 for gate in gates]
    matrices = [
        rows([weights_of(builder, operation, places[gate]) for gate in forget], signs)
        for places in (one.weights, one.recurrent)
    ]
    size = weights_of(builder, operation, one.recurrent[-1]).shape[0]
    biases = [bias(builder, operation, one.biases[gate], size) for gate in forget]
    total = np.concatenate([sign * b for sign, b in zip(signs, biases, strict=True)])
    holes = [np.zeros(size, np.float32)] * 3
    if len(gates) > 1:
        order = (1 if coupled else 0, 2, 1)  # ONNX's (input, output, forget) in TFLite's (i, f, o)
        holes = [bias(builder, operation, one.peepholes[place], size) for place in order]
        holes[0] = holes[0] * signs[0]
    return matrices[0], matrices[1], total.astype(np.float32), np.concatenate(holes)


def bias(builder: Builder, operation: Operation, index: int, size: int) -> Array:
    """Of a gate, as real numbers; zeros where it is not given."""
    if not builder.has(operation, index):
        return np.zeros(size, np.float32)
    found = builder.constant(operation, index).reshape(-1)
    if found.size != size or found.dtype.kind != "f":
        raise damaged(f"{operation.code} has a bias for other weights")
    return found


def rows(parts: Sequence[Tensor], signs: Sequence[int]) -> Tensor:
    """Matrices one below the other; codes stay codes, with a scale for each row."""
    if len({part.shape for part in parts}) != 1 or len(parts[0].shape) != 2:
        raise damaged("the gates of a recurrent layer have different shapes")
    symmetric = all(
        part.dtype == "INT8" and part.scales is not None and not part.scales.zero.any()
        and (not part.scales.per_channel or not part.scales.axis)
        for part in parts
    )  # fmt: skip
    if not symmetric:
        whole = np.concatenate([s * real(p) for s, p in zip(signs, parts, strict=True)])
        return Tensor(parts[0].name, whole.shape, "FLOAT32", whole.astype(np.float32))
    codes, scales = [], []
    for part, sign in zip(parts, signs, strict=True):
        assert part.data is not None
        assert part.scales is not None
        codes.append(np.clip(sign * part.data.astype(np.int16), -128, 127).astype(np.int8))
        scale, _ = along(part.scales, 1)
        scales.append(np.broadcast_to(scale, part.shape[:1]))
    scale = np.concatenate(scales).astype(np.float32)
    whole = np.concatenate(codes)
    zero = np.zeros(scale.shape, np.int64)
    return Tensor(parts[0].name, whole.shape, "INT8", whole, Scales(scale, zero))


def joined(builder: Builder, parts: Sequence[Tensor], word: str) -> str:
    """One matrix a direction, as codes where all of them are, and the scales alike."""
    name = f"{builder.scope}.{word}"
    if len({part.shape for part in parts}) > 1:
        raise damaged("the directions of a recurrent layer have different shapes")
    first = parts[0]
    if len(parts) > 1 or not first.quantized:
        return builder.store(name, np.stack([real(part) for part in parts]))
    assert first.data is not None
    made = constant_of_codes(name, first.data[None], first, axis=1)
    return builder.add(made, (1, *first.shape))


def give(
    builder: Builder, operation: Operation, name: str, shape: tuple[int, int, int, int],
    is_time_first: bool,
) -> None:  # fmt: skip
    """From (steps, directions, batch, hidden) to the file's order."""
    steps, count, batch, hidden = shape
    axes = [0, 2, 1, 3] if is_time_first else [2, 0, 1, 3]
    front = (steps, batch) if is_time_first else (batch, steps)
    merged = count == 1 or operation.option("MergeOutputs", False)
    if merged:
        turned = builder.emit("Transpose", [name], (*front, count, hidden), perm=axes)
        sizes = [0, 0, count * hidden]  # zero: as it is
        made = builder.emit("Reshape", [turned, builder.integers(sizes)], (*front, count * hidden))
        builder.give(operation, made, batch=int(is_time_first))
        return
    for direction in range(count):
        place = builder.store("direction", np.array(direction, np.int64))
        one = builder.emit("Gather", [name, place], (steps, batch, hidden), axis=1)
        if not is_time_first:
            one = builder.emit("Transpose", [one], (batch, steps, hidden), perm=[1, 0, 2])
        builder.give(operation, one, output=direction, batch=int(is_time_first))


TRANSLATIONS: Mapping[str, Translation] = {
    "BIDIRECTIONAL_SEQUENCE_LSTM": lstm_both,
    "BIDIRECTIONAL_SEQUENCE_RNN": plain_both,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": plain,
}
