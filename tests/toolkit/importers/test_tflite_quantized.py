"""Quantized TFLite files: the same integers as in LiteRT, as nearly as rounding allows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.importers.tflite_files import (
    Array,
    Maker,
    Scale,
    again,
    both,
    codes,
    found_in,
    random,
)
from toolkit.formats import formats
from toolkit.onnx_graph import operators

Build = Callable[[Maker, int], int]
INPUT = Scale((0.04,), (3,))
WINDOW: dict[str, Any] = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
SAME, RELU, RELU6 = 0, 1, 3
IMAGE = (1, 8, 6, 4)


def weights(
    m: Maker, shape: tuple[int, ...], axis: int, dtype: str = "int8", per_channel: bool = True
) -> tuple[int, Array]:
    """A tensor of codes, and the scales of its channels."""
    values = random(*shape)
    rest = tuple(i for i in range(len(shape)) if i != axis)
    most = 7 if dtype == "int4" else 127
    reach = np.abs(values).max(axis=rest, keepdims=True)
    scale = (reach if per_channel else reach.max()) / most
    found = np.rint(values / scale).clip(-most, most).astype(np.int8)
    flat = np.broadcast_to(np.asarray(scale).reshape(-1), shape[axis : axis + 1])
    told = Scale(tuple(map(float, flat if per_channel else flat[:1])), (0,), axis)
    if dtype == "int4":
        row = np.append(found.reshape(-1), np.zeros(found.size % 2, np.int8)).astype(np.uint8) & 15
        return m.tensor(shape, "int4", told, (row[0::2] | row[1::2] << 4).tobytes()), flat
    return m.constant(found, told), flat


def bias(m: Maker, scale: Array, step: float, dtype: str = "int32") -> int:
    sums = np.asarray(scale, np.float64) * step
    told = Scale(tuple(map(float, sums if np.ptp(sums) else sums[:1])))
    return m.constant(np.rint(random(len(scale)) / sums).astype(dtype), told)


def convolution(
    m: Maker, x: int, scale: Scale, outputs: int = 6, per_channel: bool = True, kind: str = "int8",
    **more: Any,
) -> int:  # fmt: skip
    step, dtype = m.tensors[x]["scale"].scale[0], m.tensors[x]["dtype"]
    stored, scales = weights(m, (outputs, 3, 3, m.shape(x)[3]), 0, kind, per_channel)
    inputs = [x, stored, bias(m, scales, step, "int64" if dtype == "int16" else "int32")]
    shape = (*m.shape(x)[:3], outputs)
    return m.emit("CONV_2D", inputs, shape, dtype, scale, 3, padding=SAME, **WINDOW, **more)


def depthwise(m: Maker, x: int, scale: Scale) -> int:
    stored, scales = weights(m, (1, 3, 3, m.shape(x)[3]), 3)
    inputs = [x, stored, bias(m, scales, m.tensors[x]["scale"].scale[0])]
    options = {"padding": SAME, "depthMultiplier": 1, "fusedActivationFunction": RELU}
    return m.emit("DEPTHWISE_CONV_2D", inputs, m.shape(x), "int8", scale, 3, **WINDOW, **options)


def dense(m: Maker, x: int, scale: Scale, per_channel: bool = False) -> int:
    flat = int(np.prod(m.shape(x)))
    stored, scales = weights(m, (5, flat), 0, per_channel=per_channel)
    inputs = [x, stored, bias(m, scales, m.tensors[x]["scale"].scale[0])]
    return m.emit("FULLY_CONNECTED", inputs, (1, 5), "int8", scale, 4)


def softmax(m: Maker, x: int) -> int:
    return m.emit("SOFTMAX", [x], m.shape(x), "int8", Scale((1 / 256,), (-128,)), 2, beta=1.0)


WIDE = Scale((0.15,), (-4,))
SIX = Scale((6 / 255,), (-128,))
CLIPPING = Scale((0.02,), (-20,))


def network(m: Maker, x: int) -> int:
    """What every file of a small image network has."""
    first = convolution(m, x, SIX, fusedActivationFunction=RELU6)
    second = depthwise(m, first, Scale((0.05,), (-128,)))
    third = convolution(m, second, WIDE, per_channel=False)
    total = m.emit("ADD", [third, first], m.shape(third), "int8", WIDE, 2)
    small = m.emit(
        "MAX_POOL_2D", [total], (1, 4, 3, 6), "int8", WIDE, 2, padding=SAME, strideH=2, strideW=2,
        filterHeight=2, filterWidth=2,
    )  # fmt: skip
    flat = m.emit("RESHAPE", [small, m.integers(1, 72)], (1, 72), "int8", WIDE)
    return softmax(m, dense(m, flat, Scale((0.3,), (10,))))


def own_scale(code: str, scale: float, zero: int, version: int = 2) -> Build:
    return lambda m, x: m.emit(code, [x], m.shape(x), "int8", Scale((scale,), (zero,)), version)


def joined(m: Maker, x: int) -> int:
    other = convolution(m, x, INPUT)
    return m.emit("CONCATENATION", [x, other], (1, 8, 6, 10), "int8", INPUT, 2, axis=3)


def padded(m: Maker, x: int) -> int:
    pads = m.constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32))
    return m.emit("PAD", [x, pads], (1, 11, 7, 4), "int8", INPUT, 2)


def turned(m: Maker, x: int) -> int:
    return m.emit("TRANSPOSE", [x, m.integers(0, 3, 1, 2)], (1, 4, 8, 6), "int8", INPUT, 2)


def averaged(m: Maker, x: int) -> int:
    return m.emit("MEAN", [x, m.integers(1, 2)], (1, 4), "int8", Scale((0.03,), (1,)), 2)


def with_constant(m: Maker, x: int) -> int:
    scale = Scale((0.05,), (7,))
    other = m.constant(codes(random(4), 0.05, 7, "int8"), scale)
    return m.emit("MUL", [x, other], m.shape(x), "int8", Scale((0.07,), (0,)), 2)


def of_rows(m: Maker, x: int) -> int:
    stored, scales = weights(m, (5, 4), 0, per_channel=False)
    inputs = [x, stored, bias(m, scales, INPUT.scale[0])]
    return m.emit("FULLY_CONNECTED", inputs, (1, 8, 6, 5), "int8", WIDE, 4, keepNumDims=True)


def pooled(m: Maker, x: int) -> int:
    return m.emit(
        "AVERAGE_POOL_2D", [x], (1, 4, 3, 4), "int8", INPUT, 2, padding=SAME, strideH=2, strideW=2,
        filterHeight=2, filterWidth=2,
    )  # fmt: skip


def larger(code: str, **options: Any) -> Build:
    return lambda m, x: m.emit(
        code, [x, m.integers(16, 12)], (1, 16, 12, 4), "int8", INPUT, 2, **options
    )


def transposed(m: Maker, x: int) -> int:
    stored, scales = weights(m, (5, 3, 3, 4), 0)
    inputs = [m.integers(1, 16, 12, 5), stored, x, bias(m, scales, INPUT.scale[0])]
    options = {"padding": SAME, "strideH": 2, "strideW": 2}
    return m.emit("TRANSPOSE_CONV", inputs, (1, 16, 12, 5), "int8", WIDE, 3, **options)


def cut(m: Maker, x: int) -> int:
    bounds = [m.integers(*row) for row in ((0, 1, 0, 0), (1, 7, 6, 4), (1, 2, 1, 1))]
    return m.emit("STRIDED_SLICE", [x, *bounds], (1, 3, 6, 4), "int8", INPUT, 2)


def apart(m: Maker, x: int) -> int:
    made = [m.tensor((1, 8, 6, 2), "int8", INPUT) for _ in range(2)]
    m.operate("SPLIT", [m.constant(np.int32(3)), x], made, 2, numSplits=2)
    return m.emit("MAXIMUM", made[::-1], (1, 8, 6, 2), "int8", INPUT, 2)


def sloped(m: Maker, x: int) -> int:
    slope = m.constant(codes(np.abs(random(1, 1, 4)), 0.01, 0, "int8"), Scale((0.01,)))
    return m.emit("PRELU", [x, slope], m.shape(x), "int8", Scale((0.05,), (2,)), 1)


def least(m: Maker, x: int) -> int:
    other = m.emit("QUANTIZE", [x], m.shape(x), "int8", Scale((0.06,), (-30,)), 2)
    return m.emit("SUB", [x, other], m.shape(x), "int8", Scale((0.01,), (0,)), 2)


def highest(m: Maker, x: int) -> int:
    return m.emit(
        "REDUCE_MAX", [x, m.integers(1, 2)], (1, 1, 1, 4), "int8", INPUT, 2, keepDims=True
    )


def multiplied(m: Maker, x: int) -> int:
    rows = m.emit("RESHAPE", [x, m.integers(1, 8, 24)], (1, 8, 24), "int8", INPUT)
    options = {"adjY": True}
    return m.emit(
        "BATCH_MATMUL", [rows, rows], (1, 8, 8), "int8", Scale((0.3,), (-20,)), 2, **options
    )


def rows_of_codes(m: Maker, x: int) -> int:
    table = m.constant(codes(random(4, 5), 0.03, 1, "int8"), Scale((0.03,), (1,)))
    best = m.emit("ARG_MAX", [x, m.integers(3)], (1, 8, 6), "int32", outputType=2, version=2)
    return m.emit("GATHER", [table, best], (1, 8, 6, 5), "int8", Scale((0.03,), (1,)), 2, axis=0)


CASES: dict[str, Build] = {
    "a mean of windows": pooled,
    "larger, linear": larger("RESIZE_BILINEAR", halfPixelCenters=True),
    "larger, nearest": larger("RESIZE_NEAREST_NEIGHBOR"),
    "a transposed convolution": transposed,
    "cut": cut,
    "apart": apart,
    "sloped": sloped,
    "difference": least,
    "highest": highest,
    "multiplied": multiplied,
    "rows of codes": rows_of_codes,
    "a network": network,
    "a convolution": lambda m, x: convolution(m, x, WIDE),
    "a convolution that clips": lambda m, x: convolution(m, x, CLIPPING),
    "a convolution below six": lambda m, x: convolution(m, x, WIDE, fusedActivationFunction=RELU6),
    "a depthwise one": lambda m, x: depthwise(m, x, Scale((0.05,), (-128,))),
    "weights in four bits": lambda m, x: convolution(m, x, WIDE, kind="int4"),
    "a dense layer": lambda m, x: dense(m, x, WIDE),
    "a dense layer of rows": of_rows,
    "logistic": own_scale("LOGISTIC", 1 / 256, -128),
    "tanh": own_scale("TANH", 1 / 128, 0),
    "leaky": own_scale("LEAKY_RELU", 0.04, 3),
    "hard swish": own_scale("HARD_SWISH", 0.05, -100, 1),
    "another scale": own_scale("QUANTIZE", 0.07, -9),
    "joined": joined,
    "padded": padded,
    "turned": turned,
    "averaged": averaged,
    "times a constant": with_constant,
}


OTHERWISE_ROUNDED = {
    "a mean of windows": 0.85,
    "averaged": 0.95,
    "larger, linear": 0.9,
    "weights in four bits": 0.9,
}
"""Kernels of either engine that round halves the other way, or twice."""


def file_of(build: Build, dtype: str = "int8", scale: Scale = INPUT) -> bytes:
    m = Maker()
    x = m.tensor(IMAGE, dtype, scale, name="x")
    return m.file([x], [build(m, x)])


def items(scale: Scale = INPUT, count: int = 8) -> Array:
    """Real numbers that are codes: nothing is left to round at the door."""
    values = np.rint(random(count, *IMAGE[1:], seed=3) / np.float32(scale.scale[0]))
    return (values.clip(-120, 120) * np.float32(scale.scale[0])).astype(np.float32)


def agree(ours: Array, theirs: Array, step: float, share: float = 0.99) -> None:
    """All but a few codes are the same; those are neighbours."""
    steps = np.abs(ours - theirs) / step
    assert steps.max() < 1.01
    assert (steps < 0.01).mean() >= share


@pytest.mark.parametrize("case", CASES)
def test_codes_are_those_of_litert(case: str, tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor(IMAGE, "int8", INPUT, name="x")
    made = CASES[case](m, x)

    [(ours, theirs)] = both(m.file([x], [made]), [items()], tmp_path)

    agree(ours, theirs, m.tensors[made]["scale"].scale[0], OTHERWISE_ROUNDED.get(case, 0.99))


@pytest.mark.parametrize("case", CASES)
def test_codes_survive_the_way_there_and_back(case: str, tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor(IMAGE, "int8", INPUT, name="x")
    made = CASES[case](m, x)

    [(second, first)] = again(m.file([x], [made]), [items()], tmp_path)

    agree(second, first, m.tensors[made]["scale"].scale[0])


def test_the_way_back_has_the_same_integer_kernels(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = found_in(file_of(network), tmp_path).model

    made = formats["tflite"]().build(model.graph, model.signature, QUIET).data
    runner = Interpreter(model_content=made)
    kinds = {d["index"]: np.dtype(d["dtype"]).name for d in runner.get_tensor_details()}
    weighted = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MAX_POOL_2D"}
    found = [o for o in runner._get_ops_details() if o["op_name"] in weighted]
    assert len(found) == 6
    assert all(kinds[o["inputs"][0]] == kinds[o["outputs"][0]] == "int8" for o in found)


def test_outside_are_real_numbers_and_a_note_says_so(tmp_path: Path) -> None:
    found = found_in(file_of(network), tmp_path)

    [taken], [given] = found.model.signature.inputs, found.model.signature.outputs
    assert (taken.dtype, given.dtype) == ("float32", "float32")
    assert any("'x' holds real numbers" in note and "int8" in note for note in found.notes)


def test_unsigned_codes_with_weights_off_the_middle(tmp_path: Path) -> None:
    """As the first quantizing converters wrote them."""

    def build(m: Maker, x: int) -> int:
        stored = codes(random(6, 3, 3, 4), 0.02, 120, "uint8")
        w = m.constant(stored, Scale((0.02,), (120,)))
        b = bias(m, np.full(6, 0.02), 0.04)
        shape, scale = (1, 8, 6, 6), Scale((0.15,), (130,))
        return m.emit("CONV_2D", [x, w, b], shape, "uint8", scale, padding=SAME, **WINDOW)

    scale = Scale((0.04,), (128,))

    [(ours, theirs)] = both(file_of(build, "uint8", scale), [items(scale)], tmp_path)

    agree(ours, theirs, 0.15)


def test_codes_of_sixteen_bits(tmp_path: Path) -> None:
    scale, result = Scale((4 / 32768,)), Scale((40 / 32768,))

    def build(m: Maker, x: int) -> int:
        return convolution(m, x, result, fusedActivationFunction=RELU)

    [(ours, theirs)] = both(file_of(build, "int16", scale), [random(4, *IMAGE[1:])], tmp_path)

    agree(ours, theirs, result.scale[0], share=0.9)


def float_file(build: Build) -> bytes:
    m = Maker()
    x = m.tensor((1, 12), name="x")
    return m.file([x], [build(m, x)])


def test_a_range_that_is_measured_while_it_runs(tmp_path: Path) -> None:
    def build(m: Maker, x: int) -> int:
        stored, _ = weights(m, (5, 12), 0, per_channel=False)
        given = [x, stored, m.constant(random(5))]
        return m.emit("FULLY_CONNECTED", given, (1, 5), "float32", None, 9)

    data, rows = float_file(build), random(20, 12)

    for row in rows[:, None]:  # of several items at once, the range would be that of all
        [(ours, theirs)] = both(data, [row], tmp_path)
        [(second, first)] = again(data, [row], tmp_path)

        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(second, first)
    found = found_in(data, tmp_path)
    assert "MatMulInteger" in operators(found.model.graph)
    assert any("over all items" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["int8", "int4", "float16"])
def test_weights_that_are_unpacked_before_they_are_used(kind: str, tmp_path: Path) -> None:
    def build(m: Maker, x: int) -> int:
        if kind == "float16":
            stored = m.constant(random(5, 12).astype(np.float16))
        else:
            stored, _ = weights(m, (5, 12), 0, kind)
        version = {"int8": 5, "int4": 6, "float16": 3}[kind]
        real = m.emit("DEQUANTIZE", [stored], (5, 12), "float32", None, version)
        return m.emit("FULLY_CONNECTED", [x, real, m.constant(random(5))], (1, 5))

    data = float_file(build)

    [(ours, theirs)] = both(data, [random(20, 12)], tmp_path)

    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    if kind != "float16":
        assert operators(found_in(data, tmp_path).model.graph)["DequantizeLinear"] == 1


def test_a_layer_that_is_float_behind_codes_stays_so(tmp_path: Path) -> None:
    """ONNX Runtime would round its weights to one scale, as they lie behind codes."""

    def build(m: Maker, x: int) -> int:
        real = m.emit("DEQUANTIZE", [x], m.shape(x), "float32", None, 2)
        stored = random(6, 3, 3, 4)
        stored[0] *= 1000  # which a scale for all could not bear
        given = [real, m.constant(stored), m.constant(random(6))]
        made = m.emit("CONV_2D", given, (1, 8, 6, 6), padding=SAME, **WINDOW)
        return m.emit("QUANTIZE", [made], (1, 8, 6, 6), "int8", WIDE)

    [(ours, theirs)] = both(file_of(build), [items()], tmp_path)

    agree(ours, theirs, WIDE.scale[0])


def test_a_recurrent_layer_with_stored_codes_keeps_them(tmp_path: Path) -> None:
    def build(m: Maker, x: int) -> int:
        series = m.emit("RESHAPE", [x, m.integers(1, 4, 3)], (1, 4, 3))
        shapes: Sequence[tuple[int, ...]] = [(6, 3)] * 4 + [(6, 6)] * 4
        held = [weights(m, shape, 0, per_channel=False)[0] for shape in shapes]
        biases = [m.constant(random(6, seed=i)) for i in range(4)]
        states = [m.tensor((1, 6), state=True) for _ in range(2)]
        return m.emit(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [series, *held, -1, -1, -1, *biases, -1, -1, *states],
            (1, 4, 6), fusedActivationFunction=4,
        )  # fmt: skip

    data = float_file(build)

    [(ours, theirs)] = both(data, [random(6, 12)], tmp_path)

    assert np.abs(ours - theirs).max() < 0.03 * np.ptp(theirs)
    assert operators(found_in(data, tmp_path).model.graph)["DequantizeLinear"] == 2


def test_bytes_that_stand_for_themselves_stay_bytes(tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor((1, 6), "uint8", name="x")
    made = m.emit("CAST", [x], (1, 6), "float32")
    rows = np.arange(24, dtype=np.uint8).reshape(4, 6)

    [(ours, theirs)] = both(m.file([x], [made]), [rows], tmp_path)

    np.testing.assert_array_equal(ours, theirs)
    assert found_in(m.file([x], [made]), tmp_path).model.signature.inputs[0].dtype == "uint8"


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (Scale((float("nan"),), (0,)), "no positive number"),
        (Scale((-1.0,), (0,)), "no positive number"),
        (Scale((1.0,), (400,)), "none of its codes"),
        (Scale((1.0, 2.0), (0, 0)), "another shape"),
        (Scale((0.0,), (0,)), "one of zero"),
    ],
)
def test_a_scale_that_is_none_is_damage(scale: Scale, words: str, tmp_path: Path) -> None:
    data = file_of(lambda m, x: m.emit("RELU", [x], IMAGE, "int8", INPUT), scale=scale)

    with pytest.raises(IntegrityError, match=words):
        found_in(data, tmp_path)


def test_integers_without_a_scale_are_refused_by_layers(tmp_path: Path) -> None:
    def build(m: Maker, x: int) -> int:
        return m.emit("FULLY_CONNECTED", [x, m.constant(np.ones((5, 12), np.int8))], (1, 5))

    with pytest.raises(UnsupportedError, match="int8 weights"):
        found_in(float_file(build), tmp_path)
