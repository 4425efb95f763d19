"""Every operator that is read answers as in LiteRT, in its ways and for several items at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toolkit.importers.tflite_files import Array, Maker, both, found_in, random
from toolkit.onnx_graph import operators

Build = Callable[[Maker, int], Sequence[int]]
IMAGE = (1, 8, 6, 4)
SERIES = (1, 7, 5)
SAME, VALID, TANH = 0, 1, 4


def one(code: str, shape: Sequence[int] = IMAGE, dtype: str = "", **options: Any) -> Build:
    return lambda m, x: [m.emit(code, [x], shape, dtype, **options)]


def shifted(m: Maker, x: int) -> int:
    return m.emit("ADD", [x, m.constant(random(m.shape(x)[-1]))], m.shape(x))


def pair(code: str, dtype: str = "", **options: Any) -> Build:
    return lambda m, x: [m.emit(code, [x, shifted(m, x)], m.shape(x), dtype, **options)]


def to_bool(m: Maker, x: int) -> int:
    return m.emit("GREATER", [x, m.constant(np.float32(0))], m.shape(x), "bool")


def to_float(m: Maker, x: int) -> int:
    return m.emit("CAST", [x], m.shape(x), "float32")


def to_int(m: Maker, x: int, scale: float = 10) -> int:
    wide = m.emit("MUL", [x, m.constant(np.float32(scale))], m.shape(x))
    return m.emit("CAST", [wide], m.shape(x), "int32")


def logic(code: str) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        made = m.emit(code, [to_bool(m, x), to_bool(m, shifted(m, x))], m.shape(x), "bool")
        return [to_float(m, made)]

    return build


def positive(code: str) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        base = m.emit("EXP", [x], m.shape(x))
        return [m.emit(code, [base, m.constant(np.float32(1.7))], m.shape(x))]

    return build


def whole(code: str) -> Build:
    """Of integers, the divisor not zero."""

    def build(m: Maker, x: int) -> list[int]:
        divisor = m.constant(np.array([3, -4, 5, -7], np.int32))
        return [m.emit(code, [to_int(m, x), divisor], m.shape(x), "int32")]

    return build


def reduced(code: str, *axes: int, keep: bool = False) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        shape = [1 if i in axes else n for i, n in enumerate(m.shape(x))]
        if not keep:
            shape = [n for i, n in enumerate(m.shape(x)) if i not in axes]
        return [m.emit(code, [x, m.integers(*axes)], shape, keepDims=keep)]

    return build


def any_of(m: Maker, x: int) -> list[int]:
    made = m.emit("REDUCE_ANY", [to_bool(m, x), m.integers(2)], (1, 8, 4), "bool")
    return [to_float(m, made)]


def best(code: str, dtype: str) -> Build:
    number = 2 if dtype == "int32" else 4
    return lambda m, x: [
        m.emit(code, [x, m.integers(-1)], m.shape(x)[:-1], dtype, outputType=number)
    ]


def top(m: Maker, x: int) -> list[int]:
    shape = (*m.shape(x)[:-1], 2)
    values, places = m.tensor(shape), m.tensor(shape, "int32")
    m.operate("TOPK_V2", [x, m.constant(np.int32(2))], [values, places])
    return [values, places]


def split(m: Maker, x: int) -> list[int]:
    made = [m.tensor((1, 8, 6, 2)) for _ in range(2)]
    m.operate("SPLIT", [m.constant(np.int32(3)), x], made, numSplits=2)
    return made


def split_sizes(m: Maker, x: int) -> list[int]:
    made = [m.tensor((1, n, 6, 4)) for n in (1, 5, 2)]
    m.operate("SPLIT_V", [x, m.integers(1, 5, 2), m.constant(np.int32(1))], made, numSplits=3)
    return made


def unpacked(m: Maker, x: int) -> list[int]:
    made = [m.tensor((1, 8, 4)) for _ in range(6)]
    m.operate("UNPACK", [x], made, num=6, axis=2)
    return made[::2]


def packed(m: Maker, x: int) -> list[int]:
    parts = [x, m.constant(random(*IMAGE)), shifted(m, x)]
    return [m.emit("PACK", parts, (1, 8, 3, 6, 4), valuesCount=3, axis=2)]


def joined(m: Maker, x: int) -> list[int]:
    """With a constant, which every item gets."""
    behind = convolved(m, x)
    extra = m.constant(random(1, 8, 6, 3))
    return [m.emit("CONCATENATION", [behind, extra, x], (1, 8, 6, 12), axis=3)]


def convolved(m: Maker, x: int, outputs: int = 5) -> int:
    """As the channels lie first behind it, in our graph."""
    weights = m.constant(random(outputs, 1, 1, m.shape(x)[3]))
    inputs = [x, weights, m.constant(random(outputs))]
    window: dict[str, Any] = {
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
    }
    return m.emit("CONV_2D", inputs, (*m.shape(x)[:3], outputs), padding=SAME, **window)


def cut(
    shape: Sequence[int], start: Sequence[int], stop: Sequence[int], step: Sequence[int],
    **masks: Any,
) -> Build:  # fmt: skip
    return lambda m, x: [
        m.emit(
            "STRIDED_SLICE",
            [x, m.integers(*start), m.integers(*stop), m.integers(*step)],
            shape,
            **{f"{name}Mask": bits for name, bits in masks.items()},
        )
    ]


def rows_of_table(m: Maker, x: int) -> list[int]:
    """An embedding: the indices are data, modulo the rows that there are."""
    places = m.emit("FLOOR_MOD", [to_int(m, x), m.constant(np.int32(9))], m.shape(x), "int32")
    table = m.constant(random(9, 3))
    return [m.emit("GATHER", [table, places], (*m.shape(x), 3), "float32", axis=0)]


def row_of_pairs(m: Maker, x: int) -> list[int]:
    places = m.emit("FLOOR_MOD", [to_int(m, x), m.constant(np.int32(4))], m.shape(x), "int32")
    return [m.emit("GATHER_ND", [m.constant(random(4, 4, 3)), places], (1, 7, 3), "float32")]


def by_item(m: Maker, x: int) -> list[int]:
    """Values of each item by its own indices."""
    best = m.emit("ARG_MAX", [x, m.integers(1)], (1, 5), "int32", outputType=2)
    return [m.emit("GATHER", [x, best], (1, 5, 5), axis=1, batchDims=1)]


def hot(m: Maker, x: int) -> list[int]:
    places = m.emit("FLOOR_MOD", [to_int(m, x), m.constant(np.int32(6))], m.shape(x), "int32")
    given = [places, m.constant(np.int32(6)), *(m.constant(np.float32(v)) for v in (2, -1))]
    return [m.emit("ONE_HOT", given, (*m.shape(x), 6), "float32", axis=-1)]


def resized(code: str, **options: Any) -> Build:
    return lambda m, x: [m.emit(code, [x, m.integers(13, 11)], (1, 13, 11, 4), **options)]


def transposed(stride: int, padding: int, bias: bool) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        height, width = (
            (8 * stride, 6 * stride) if padding == SAME else (7 * stride + 3, 5 * stride + 3)
        )
        inputs = [m.integers(1, height, width, 5), m.constant(random(5, 3, 3, 4)), x]
        if bias:
            inputs.append(m.constant(random(5)))
        options: dict[str, Any] = {"padding": padding, "strideH": stride, "strideW": stride}
        return [m.emit("TRANSPOSE_CONV", inputs, (1, height, width, 5), "float32", **options)]

    return build


def dilated_by_items(m: Maker, x: int) -> list[int]:
    """As old converters wrote a dilated convolution."""
    pads = m.constant(np.array([[2, 2], [2, 2]], np.int32))
    apart = m.emit("SPACE_TO_BATCH_ND", [x, m.integers(2, 2), pads], (4, 6, 5, 4))
    window: dict[str, Any] = {
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
    }
    inputs = [apart, m.constant(random(5, 3, 3, 4)), m.constant(random(5))]
    made = m.emit("CONV_2D", inputs, (4, 4, 3, 5), padding=VALID, **window)
    crops = m.constant(np.array([[0, 0], [0, 1]], np.int32))
    return [m.emit("BATCH_TO_SPACE_ND", [made, m.integers(2, 2), crops], (1, 8, 5, 5))]


def pooled_by_items(m: Maker, x: int) -> int:
    """What stands between is no convolution."""
    pads = m.constant(np.zeros((2, 2), np.int32))
    apart = m.emit("SPACE_TO_BATCH_ND", [x, m.integers(2, 2), pads], (4, 4, 3, 4))
    made = m.emit("EXP", [apart], (4, 4, 3, 4))
    crops = m.constant(np.array([[1, 0], [0, 1]], np.int32))
    return m.emit("BATCH_TO_SPACE_ND", [made, m.integers(2, 2), crops], (1, 7, 5, 4))


def mirrored(mode: int) -> Build:
    pads = np.array([[0, 0], [2, 1], [1, 3], [0, 0]], np.int32)
    return lambda m, x: [m.emit("MIRROR_PAD", [x, m.constant(pads)], (1, 11, 10, 4), mode=mode)]


def product(adjoint: bool) -> Build:
    """Of values with values: attention."""

    def build(m: Maker, x: int) -> list[int]:
        other = shifted(m, x)
        if not adjoint:
            other = m.emit("TRANSPOSE", [other, m.integers(0, 2, 1)], (1, 5, 7))
        return [m.emit("BATCH_MATMUL", [x, other], (1, 7, 7), adjY=adjoint)]

    return build


def constant_product(m: Maker, x: int) -> list[int]:
    return [m.emit("BATCH_MATMUL", [x, m.constant(random(5, 6))], (1, 7, 6))]


def rows_apart(m: Maker, x: int) -> list[int]:
    """The batch and the rows as one axis, as dense layers of old converters have them."""
    rows = m.emit("RESHAPE", [x, m.integers(7, 5)], (7, 5))
    made = m.emit(
        "FULLY_CONNECTED", [rows, m.constant(random(3, 5)), m.constant(random(3))], (7, 3)
    )
    made = m.emit("SOFTMAX", [made], (7, 3), beta=1.0)
    return [m.emit("RESHAPE", [made, m.integers(1, 7, 3)], (1, 7, 3))]


def computed_shape(m: Maker, x: int) -> list[int]:
    """The arithmetic that a batch of unknown size leaves behind."""
    size = m.emit("SHAPE", [x], (3,), "int32", outType=2)
    bounds = [m.integers(0), m.integers(1), m.integers(1)]
    batch = m.emit("STRIDED_SLICE", [size, *bounds], (), "int32", shrinkAxisMask=1)
    wanted = m.emit("PACK", [batch, m.constant(np.int32(35))], (2,), "int32", valuesCount=2)
    flat = m.emit("RESHAPE", [x, wanted], (1, 35), "float32")
    rows = m.emit("PACK", [batch, m.constant(np.int32(2))], (2,), "int32", valuesCount=2)
    ones = m.emit("FILL", [rows, m.constant(np.float32(1))], (1, 2), "float32")
    return [m.emit("CONCATENATION", [flat, ones], (1, 37), axis=1)]


def lstm(time_first: bool, coupled: bool = False, holes: bool = False) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        if time_first:
            x = m.emit("TRANSPOSE", [x, m.integers(1, 0, 2)], (7, 1, 5))
        inputs = [x, *direction(m, coupled=coupled, holes=holes), -1, -1]
        inputs += [m.tensor((1, 6), state=True) for _ in range(2)] + [-1] * 4
        shape = (7, 1, 6) if time_first else (1, 7, 6)
        made = m.emit(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, shape, fusedActivationFunction=TANH,
            timeMajor=time_first,
        )  # fmt: skip
        if time_first:
            made = m.emit("TRANSPOSE", [made, m.integers(1, 0, 2)], (1, 7, 6))
        return [made]

    return build


def direction(m: Maker, seed: int = 0, coupled: bool = False, holes: bool = False) -> list[int]:
    weights = [m.constant(random(6, 5, seed=seed + i)) for i in range(4)]
    recurrent = [m.constant(random(6, 6, seed=seed + i) / 2) for i in range(4)]
    peepholes = [m.constant(random(6, seed=seed + i)) if holes else -1 for i in range(3)]
    biases = [m.constant(random(6, seed=seed + 7 + i)) for i in range(4)]
    if coupled:
        weights[0] = recurrent[0] = peepholes[0] = biases[0] = -1
    return [*weights, *recurrent, *peepholes, *biases]


def lstm_both_ways(merged: bool) -> Build:
    def build(m: Maker, x: int) -> list[int]:
        inputs = [x, *direction(m), -1, -1, *direction(m, 20), -1, -1]
        inputs += [m.tensor((1, 6), state=True) for _ in range(4)] + [-1] * 9
        shapes = [(1, 7, 12)] if merged else [(1, 7, 6)] * 2
        made = [m.tensor(shape) for shape in shapes]
        m.operate(
            "BIDIRECTIONAL_SEQUENCE_LSTM", inputs, made, fusedActivationFunction=TANH,
            mergeOutputs=merged, timeMajor=False,
        )  # fmt: skip
        return made

    return build


def rnn(m: Maker, x: int) -> list[int]:
    given = [m.constant(random(6, 5)), m.constant(random(6, 6) / 3), m.constant(random(6))]
    inputs = [x, *given, m.tensor((1, 6), state=True)]
    return [m.emit("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, (1, 7, 6), fusedActivationFunction=TANH)]


def rnn_both_ways(m: Maker, x: int) -> list[int]:
    inputs = [x]
    for seed in (0, 5):
        shapes = ((6, 5), (6, 6), (6,))
        inputs += [m.constant(random(*shape, seed=seed) / 2) for shape in shapes]
        inputs.append(m.tensor((1, 6), state=True))
    made = [m.tensor((1, 7, 6)) for _ in range(2)]
    m.operate(
        "BIDIRECTIONAL_SEQUENCE_RNN", [*inputs, -1, -1, -1], made, fusedActivationFunction=TANH
    )
    return made


def select(m: Maker, x: int) -> list[int]:
    return [m.emit("SELECT_V2", [to_bool(m, x), x, shifted(m, x)], m.shape(x), "float32")]


def normed(m: Maker, x: int) -> list[int]:
    options: dict[str, Any] = {"radius": 2, "bias": 1.0, "alpha": 0.3, "beta": 0.75}
    return [m.emit("LOCAL_RESPONSE_NORMALIZATION", [convolved(m, x)], (1, 8, 6, 5), **options)]


IMAGES: dict[str, Build] = {
    **{code: one(code) for code in ("ABS", "CEIL", "COS", "FLOOR", "NEG", "ROUND", "SIGN", "SIN")},
    **{code: one(code) for code in ("RELU_0_TO_1", "SQUARE", "ZEROS_LIKE", "L2_NORMALIZATION")},
    "GELU": one("GELU", approximate=False),
    "GELU by tanh": one("GELU", approximate=True),
    **{code: pair(code) for code in ("SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", "MINIMUM")},
    **{
        code: pair(code, "bool")
        for code in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
    },
    **{code: logic(code) for code in ("LOGICAL_AND", "LOGICAL_OR")},
    **{f"{code} of integers": whole(code) for code in ("FLOOR_DIV", "FLOOR_MOD", "MUL", "DIV")},
    "LOGICAL_NOT": lambda m, x: [to_float(m, m.emit("LOGICAL_NOT", [to_bool(m, x)], IMAGE))],
    "ADD_N": lambda m, x: [m.emit("ADD_N", [x, shifted(m, x), x], IMAGE)],
    "POW": positive("POW"),
    "SELECT_V2": select,
    "SUM": reduced("SUM", 1, 3),
    "SUM, kept": reduced("SUM", 3, keep=True),
    "REDUCE_PROD": reduced("REDUCE_PROD", 2),
    "REDUCE_ANY": any_of,
    "ARG_MAX": best("ARG_MAX", "int64"),
    "ARG_MIN": best("ARG_MIN", "int32"),
    "TOPK_V2": top,
    "CUMSUM": lambda m, x: [
        m.emit("CUMSUM", [x, m.constant(np.int32(2))], IMAGE, exclusive=True, reverse=True)
    ],
    "LOCAL_RESPONSE_NORMALIZATION": normed,
    "SPLIT": split,
    "SPLIT_V": split_sizes,
    "UNPACK": unpacked,
    "PACK": packed,
    "CONCATENATION with a constant": joined,
    "STRIDED_SLICE": cut((1, 3, 6, 4), (0, 6, 0, 0), (1, 0, 6, 4), (1, -2, 1, 1)),
    "STRIDED_SLICE, masked": cut((1, 4, 4), (0, 1, 3, 0), (0, 5, 0, 0), (1, 1, 1, 1),
                                 begin=9, end=9, shrinkAxis=4),
    "STRIDED_SLICE, ellipsis": cut((1, 1, 8, 6), (0, 0, -1), (0, 0, 0), (1, 1, 1),
                                   ellipsis=2, newAxis=0, shrinkAxis=4, begin=1, end=1),
    "SLICE": lambda m, x: [
        m.emit("SLICE", [x, m.integers(0, 2, 0, 1), m.integers(1, 3, -1, 2)], (1, 3, 6, 2))
    ],
    "GATHER": lambda m, x: [m.emit("GATHER", [x, m.integers(3, 0, 3)], (1, 8, 6, 3), axis=3)],
    "REVERSE_V2": lambda m, x: [m.emit("REVERSE_V2", [x, m.integers(2)], IMAGE)],
    "TILE": lambda m, x: [m.emit("TILE", [x, m.integers(1, 2, 1, 3)], (1, 16, 6, 12))],
    "BROADCAST_TO": lambda m, x: [
        m.emit("BROADCAST_TO", [reduced("SUM", 3, keep=True)(m, x)[0], m.integers(*IMAGE)], IMAGE)
    ],
    "RESIZE_BILINEAR": resized("RESIZE_BILINEAR"),
    "RESIZE_BILINEAR, corners": resized("RESIZE_BILINEAR", alignCorners=True),
    "RESIZE_BILINEAR, centres": resized("RESIZE_BILINEAR", halfPixelCenters=True),
    "RESIZE_NEAREST_NEIGHBOR": resized("RESIZE_NEAREST_NEIGHBOR"),
    "RESIZE_NEAREST_NEIGHBOR, corners": resized("RESIZE_NEAREST_NEIGHBOR", alignCorners=True),
    "RESIZE_NEAREST_NEIGHBOR, centres": resized("RESIZE_NEAREST_NEIGHBOR", halfPixelCenters=True),
    "TRANSPOSE_CONV": transposed(2, SAME, bias=False),
    "TRANSPOSE_CONV, valid": transposed(2, VALID, bias=True),
    "TRANSPOSE_CONV at stride 1": transposed(1, SAME, bias=True),
    "TRANSPOSE_CONV, apart": transposed(4, SAME, bias=False),
    "DEPTH_TO_SPACE": one("DEPTH_TO_SPACE", (1, 16, 12, 1), blockSize=2),
    "SPACE_TO_DEPTH": one("SPACE_TO_DEPTH", (1, 4, 3, 16), blockSize=2),
    "SPACE_TO_BATCH_ND": dilated_by_items,
    "BATCH_TO_SPACE_ND": lambda m, x: [pooled_by_items(m, x)],
    "MIRROR_PAD, reflected": mirrored(0),
    "MIRROR_PAD, symmetric": mirrored(1),
    "EXPAND_DIMS": lambda m, x: [m.emit("EXPAND_DIMS", [x, m.integers(1)], (1, 1, 8, 6, 4))],
}  # fmt: skip
OF_SERIES: dict[str, Build] = {
    "BATCH_MATMUL": product(adjoint=False),
    "BATCH_MATMUL, turned": product(adjoint=True),
    "BATCH_MATMUL with a constant": constant_product,
    "GATHER of a table": rows_of_table,
    "GATHER by item": by_item,
    "ONE_HOT": hot,
    "rows apart": rows_apart,
    "SHAPE": computed_shape,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm(time_first=False),
    "UNIDIRECTIONAL_SEQUENCE_LSTM, time first": lstm(time_first=True),
    "UNIDIRECTIONAL_SEQUENCE_LSTM, coupled": lstm(time_first=False, coupled=True),
    "UNIDIRECTIONAL_SEQUENCE_LSTM, peepholes": lstm(time_first=False, holes=True),
    "BIDIRECTIONAL_SEQUENCE_LSTM": lstm_both_ways(merged=False),
    "BIDIRECTIONAL_SEQUENCE_LSTM, merged": lstm_both_ways(merged=True),
    "UNIDIRECTIONAL_SEQUENCE_RNN": rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": rnn_both_ways,
}


def holds(build: Build, shape: tuple[int, ...], folder: Path) -> None:
    maker = Maker()
    x = maker.tensor(shape, name="x")
    outputs = build(maker, x)
    items = random(3, *shape[1:], seed=1)

    for ours, theirs in both(maker.file([x], outputs), [items], folder):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", IMAGES)
def test_an_operator_on_images_answers_as_in_litert(case: str, tmp_path: Path) -> None:
    holds(IMAGES[case], IMAGE, tmp_path)


@pytest.mark.parametrize("case", OF_SERIES)
def test_an_operator_on_series_answers_as_in_litert(case: str, tmp_path: Path) -> None:
    holds(OF_SERIES[case], SERIES, tmp_path)


def test_pairs_of_indices_choose_rows(tmp_path: Path) -> None:
    holds(row_of_pairs, (1, 7, 2), tmp_path)


def test_several_inputs_of_several_types_are_taken(tmp_path: Path) -> None:
    m = Maker()
    x, mask, places = m.tensor((1, 4)), m.tensor((1, 4), "bool"), m.tensor((1, 3), "int64")
    chosen = m.emit("SELECT_V2", [mask, x, m.constant(np.float32(-1))], (1, 4), "float32")
    rows = m.emit("GATHER", [m.constant(random(6, 2)), places], (1, 3, 2), "float32")
    generator = np.random.default_rng(0)
    feeds: list[Array] = [
        random(5, 4), generator.random((5, 4)) > 0.5, generator.integers(0, 6, (5, 3)),
    ]  # fmt: skip

    for ours, theirs in both(m.file([x, mask, places], [chosen, rows]), feeds, tmp_path):
        np.testing.assert_array_equal(ours, theirs)


def test_a_convolution_between_items_is_one_dilated_convolution(tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor(IMAGE, name="x")

    model = found_in(m.file([x], dilated_by_items(m, x)), tmp_path).model

    assert operators(model.graph) == {"Conv": 1, "Transpose": 2}


def test_a_value_may_be_given_twice_and_an_input_as_it_is(tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor((1, 4), name="x")
    y = m.emit("NEG", [x], (1, 4))
    rows = random(3, 4)

    found = both(m.file([x], [y, y, x]), [rows], tmp_path)

    for (ours, _), expected in zip(found, (-rows, -rows, rows), strict=True):
        np.testing.assert_array_equal(ours, expected)
