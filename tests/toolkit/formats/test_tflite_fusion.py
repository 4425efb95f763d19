"""What several operators of a model become one of: the same numbers in fewer steps."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.events import QUIET
from tests.toolkit.formats.graphs import floats, graph_of, ints, step
from tests.toolkit.formats.light_networks import operators
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]

ROW, IMAGE = floats(1, 6), floats(1, 4, 6, 6)
NUMBERS = {
    "root": np.float32(2**0.5), "inverse": np.float32(0.5**0.5), "one": np.float32(1),
    "half": np.float32(0.5), "two": np.float32(2), "three": np.float32(3), "six": np.float32(6),
    "sixth": np.float32(1 / 6), "zero": np.float32(0), "minus": np.float32(-1),
}  # fmt: skip
LAYERS: dict[str, Array] = {
    "w": floats(4, 4, 3, 3), "k": floats(4), "s": floats(4) + 2, "o": floats(4, 1, 1),
    "f": floats(1, 4, 1, 1) + 2, "m": floats(4) / 3, "v": np.abs(floats(4)) + np.float32(0.5),
}  # fmt: skip
CONV = step("Conv", "x w k", "c", pads=[1, 1, 1, 1])

PATTERNS: dict[str, tuple[Sequence[onnx.NodeProto], Array, list[str]]] = {
    "GELU as torch writes it": (
        [
            step("Div", "x root", "a"), step("Erf", "a", "b"), step("Add", "b one", "c"),
            step("Mul", "x c", "d"), step("Mul", "d half", "y"),
        ],
        ROW,
        ["GELU"],
    ),
    "GELU with its half first": (
        [
            step("Mul", "x inverse", "a"), step("Erf", "a", "b"), step("Add", "one b", "c"),
            step("Mul", "half x", "d"), step("Mul", "d c", "y"),
        ],
        ROW,
        ["GELU"],
    ),
    "hard swish": (
        [
            step("Add", "x three", "a"), step("Clip", "a zero six", "b"),
            step("Mul", "x b", "c"), step("Div", "c six", "y"),
        ],
        ROW,
        ["HARD_SWISH"],
    ),
    "hard swish by a hard sigmoid": (
        [step("HardSigmoid", "x", "a", alpha=1 / 6), step("Mul", "a x", "y")],
        ROW,
        ["HARD_SWISH"],
    ),
    "a clip between ±1": ([CONV, step("Clip", "c minus one", "y")], IMAGE, ["CONV_2D"]),
    "a clip behind nothing": (
        [step("Sigmoid", "x", "a"), step("Clip", "a zero one", "y")],
        ROW,
        ["LOGISTIC", "RELU_0_TO_1"],
    ),
    "a normalization, a factor, an offset": (
        [
            CONV, step("BatchNormalization", "c s k m v", "d"), step("Mul", "d f", "e"),
            step("Add", "o e", "g"), step("Relu", "g", "y"),
        ],
        IMAGE,
        ["CONV_2D"],
    ),
    "a normalization before a layer": (
        [
            step("BatchNormalization", "x s k m v", "d"), step("Mul", "d f", "e"),
            step("Add", "e o", "g"), step("Conv", "g w", "y"),
        ],
        IMAGE,
        ["ADD", "CONV_2D", "MUL"],
    ),
    "a sum of two": (
        [CONV, step("Sum", "c x", "d"), step("Relu", "d", "y")],
        IMAGE,
        ["ADD", "CONV_2D"],
    ),
}  # fmt: skip


@pytest.fixture(params=PATTERNS)
def pattern(request: pytest.FixtureRequest) -> tuple[onnx.ModelProto, Array, list[str]]:
    nodes, x, wanted = PATTERNS[request.param]
    used = {name for each in nodes for name in each.input}
    constants = {n: np.asarray(a) for n, a in (NUMBERS | LAYERS).items() if n in used}
    return graph_of(nodes, x, constants), x, wanted


def test_operators_become_one(pattern: tuple[onnx.ModelProto, Array, list[str]]) -> None:
    model, _, wanted = pattern

    found = operators(translate(model, QUIET))

    del found["TRANSPOSE"], found["RESHAPE"]
    assert sorted(found.elements()) == wanted


def test_one_operator_gives_the_same_numbers(
    pattern: tuple[onnx.ModelProto, Array, list[str]], assert_same: Callable[..., None]
) -> None:
    model, x, _ = pattern

    assert_same(model, x)


def test_what_only_looks_alike_stays_as_it_is(assert_same: Callable[..., None]) -> None:
    nodes = [
        step("Div", "x two", "a"), step("Erf", "a", "b"), step("Add", "b one", "c"),
        step("Mul", "x c", "d"), step("Mul", "d half", "y"),
    ]  # fmt: skip
    model = graph_of(nodes, ROW, {n: np.asarray(NUMBERS[n]) for n in ("two", "one", "half")})

    assert "GELU" not in operators(translate(model, QUIET))
    assert_same(model, ROW)


def test_a_value_that_others_read_is_kept(assert_same: Callable[..., None]) -> None:
    nodes = [CONV, step("Mul", "c f", "d"), step("Add", "d c", "y")]

    assert_same(graph_of(nodes, IMAGE, {n: LAYERS[n] for n in ("w", "k", "f")}), IMAGE)


def test_a_sum_of_three_is_clipped_once(assert_same: Callable[..., None]) -> None:
    nodes = [step("Neg", "x", "a"), step("Sum", "x k a", "s"), step("Relu", "s", "y")]

    assert_same(graph_of(nodes, ROW, {"k": floats(6)}), ROW)


@pytest.mark.parametrize("bits", ["BatchNormalization", "Mul"])
def test_a_factor_along_another_axis_is_no_factor_of_channels(
    bits: str, assert_same: Callable[..., None]
) -> None:
    across = {"Mul": step("Mul", "c n", "y"), "BatchNormalization": step("Add", "c n", "y")}
    constants = {"w": LAYERS["w"], "k": LAYERS["k"], "n": floats(6)}

    assert_same(graph_of([CONV, across[bits]], IMAGE, constants), IMAGE)


EDGES = 10.0 ** np.arange(-12, 2)
FAR = np.concatenate([np.linspace(-30, 30, 601), EDGES]).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        ("Erf", -6, 6), ("Sinh", -8, 8), ("Cosh", -8, 8), ("Tan", -1.5, 1.5), ("Asin", -1, 1),
        ("Acos", -1, 1), ("Atan", -30, 30), ("Asinh", -30, 30), ("Acosh", 1, 30),
        ("Atanh", -0.99, 0.99), ("Softplus", -30, 30), ("Mish", -30, 30), ("Softsign", -30, 30),
        ("Celu", -30, 30), ("Selu", -30, 30), ("Gelu", -6, 6), ("HardSwish", -6, 6),
    ],
)  # fmt: skip
def test_a_composed_function_is_as_exact_as_floats_are(
    op: str, low: float, high: float, run_tflite: Callable[..., Any]
) -> None:
    from onnx.reference import ReferenceEvaluator

    x = FAR[(low <= FAR) & (high >= FAR)][None]
    model = graph_of([step(op, "x", "y")], x)
    exact = onnx.version_converter.convert_version(model, 20)
    for value in (*exact.graph.input, *exact.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE

    [found] = run_tflite(translate(model, QUIET), {"x": x})
    [expected] = ReferenceEvaluator(exact).run(None, {"x": x.astype(np.float64)})

    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("opset", range(7, 13))
def test_an_old_opset_is_raised(opset: int, assert_same: Callable[..., None]) -> None:
    """Softmax flattened its input, Squeeze and Clip had attributes."""
    clip = (
        step("Clip", "a", "b", min=-1.0, max=0.5) if opset < 11 else step("Clip", "a low high", "b")
    )
    nodes = [
        step("Conv", "x w", "a"), clip, step("Unsqueeze", "b", "c", axes=[0]),
        step("Squeeze", "c", "d", axes=[0]), step("Dropout", "d", "e"),
        step("BatchNormalization", "e s b0 m v", "f"), step("Softmax", "f", "y", axis=1),
    ]  # fmt: skip
    constants = {"w": LAYERS["w"], "s": LAYERS["s"], "b0": LAYERS["k"], "m": LAYERS["m"]}
    constants |= {"v": LAYERS["v"]}
    if opset > 10:
        constants |= {"low": np.array(-1, np.float32), "high": np.array(0.5, np.float32)}

    assert_same(graph_of(nodes, IMAGE, constants, opset), IMAGE)


def test_an_opset_that_cannot_be_raised_is_named() -> None:
    from edge_targets.runtime.errors import UnsupportedError

    model = graph_of([step("Upsample", "x k", "y")], IMAGE, {"k": ints(1)}, opset=1)

    with pytest.raises(UnsupportedError, match="opset 1, which cannot be raised") as caught:
        translate(model, QUIET)

    assert "newer opset" in caught.value.hint
