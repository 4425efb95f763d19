"""Parity: a compiled file is equal to its model, or it is said that it is not."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.artifact import INT8_TOLERANCE, compare, compile_model, difference
from toolkit.data import Dataset, Facts
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of, parse
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.training import Settings, fit

outputs = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.integers(2, 4)),
    elements=st.floats(-60_000, 60_000, width=16),
)


def giving(*names: str, labels: tuple[str, ...] = ()) -> Signature:
    return Signature((), tuple(TensorSpec(name, (-1, 2)) for name in names), labels)


NUMBERS = giving("y")
CLASSES = giving("y", labels=("a", "b"))


@given(values=outputs, quantized=st.booleans())
def test_a_file_is_equal_to_itself(values: Any, quantized: bool) -> None:
    for signature in (NUMBERS, CLASSES):
        found = compare({"y": values}, {"y": values}, signature, quantized)

        assert found.passed
        assert (found.max_difference, found.samples) == (0, len(values))
        assert found.label_agreement == (1 if signature.labels else None)


@given(
    values=outputs,
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    place=st.integers(0, 79),
    quantized=st.booleans(),
)
def test_what_is_no_number_never_passes(
    values: Any, bad: float, place: int, quantized: bool
) -> None:
    broken = values.copy()
    broken.reshape(-1)[place % values.size] = bad

    for one, other in ((values, broken), (broken, values), (broken, broken)):
        found = compare({"y": one}, {"y": other}, NUMBERS, quantized)
        assert not found.passed
        assert found.explained is None or np.isfinite(found.explained)


def test_labels_must_agree_on_995_of_1000_items() -> None:
    # shares so near to each other that none of them has changed much
    one = np.tile([0.51, 0.49], (1000, 1))
    one[0] = [1, 0]
    other, worse = one.copy(), one.copy()
    other[1:6] = worse[1:7] = [0.49, 0.51]

    assert compare({"y": one}, {"y": other}, CLASSES, quantized=True).passed
    assert not compare({"y": one}, {"y": worse}, CLASSES, quantized=True).passed
    assert compare({"y": one}, {"y": worse}, NUMBERS, quantized=True).label_agreement is None


@given(values=outputs, unit=st.sampled_from([1e-30, 1e-5, 1.0, 1e30]))
def test_a_difference_does_not_depend_on_the_unit(values: Any, unit: float) -> None:
    one, other = values.astype(np.float64), values + np.float64(1)

    found, scaled = difference(one, other), difference(one * unit, other * unit)

    # but for zeros alone, which have no unit
    assert scaled == pytest.approx(found if one.any() else unit)


@pytest.mark.parametrize("unit", [1.3e-5, 1.0, 2e6])
@pytest.mark.parametrize("quantized", [False, True])
def test_a_file_that_always_answers_zero_or_the_mean_never_passes(
    unit: float, quantized: bool
) -> None:
    answers = {"y": unit * np.random.default_rng(0).uniform(-1, 1, (200, 2))}

    for same in (0, answers["y"].mean(axis=0)):
        constant = {"y": np.full((200, 2), same)}
        assert not compare(answers, constant, NUMBERS, quantized).passed


def test_in_int8_numbers_must_follow_and_not_just_be_near() -> None:
    # a few outliers make the spread so wide that the mean is near everything else
    answers = np.append(np.random.default_rng(0).normal(size=1000), [30, -30])[:, None]
    middle = np.where(np.abs(answers) > 20, answers * 0.6, 0)

    found = compare({"y": answers}, {"y": middle}, NUMBERS, quantized=True)

    assert found.max_difference <= INT8_TOLERANCE
    assert found.explained is not None
    assert found.explained < 0.99
    assert not found.passed


def test_every_output_is_compared_in_its_own_size() -> None:
    rng = np.random.default_rng(0)
    right = {"y": rng.uniform(-1e6, 1e6, (50, 2)), "small": rng.uniform(-1e-5, 1e-5, (50, 2))}
    wrong = {**right, "small": np.zeros((50, 2))}

    for quantized in (False, True):
        assert compare(right, right, giving("y", "small"), quantized).passed
        assert not compare(right, wrong, giving("y", "small"), quantized).passed
        labels = giving("y", "small", labels=("a", "b"))
        assert not compare(right, wrong, labels, quantized).passed


def test_numbers_that_hardly_differ_may_be_rounded_otherwise() -> None:
    near = (293 + np.linspace(0, 1e-3, 50)[:, None]).astype(np.float32)
    rounded = np.nextafter(near, np.float32(0))

    assert compare({"y": near}, {"y": rounded}, NUMBERS, quantized=False).passed


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_compiled_file_answers_like_its_model(
    exported: Model, digits: Dataset, name: str
) -> None:
    found = compile_model(exported, name, digits.inputs[:300], QUIET)

    assert found.parity.passed
    assert found.parity.label_agreement == 1
    assert found.parity.samples == 300
    assert not found.quantized


def test_a_file_with_other_weights_does_not_pass(exported: Model, digits: Dataset) -> None:
    graph = parse(exported.graph)
    layer = next(t for t in graph.graph.initializer if len(t.dims) == 2)
    weights = onnx.numpy_helper.to_array(layer)
    layer.CopyFrom(onnx.numpy_helper.from_array(weights + np.float32(0.01), layer.name))
    changed = exported.with_graph(graph.SerializeToString())

    right, wrong = (
        Runner.of_model(model, QUIET).outputs(digits.inputs[:200], QUIET)
        for model in (exported, changed)
    )

    assert not compare(right, wrong, exported.signature, quantized=False).passed


@pytest.mark.parametrize("unit", [1e6, 1e-5])
@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_model_of_any_numbers_is_compared_in_their_size(unit: float, name: str) -> None:
    x = np.linspace(-1, 1, 90, dtype=np.float32)[:, None]
    facts = Facts("made", TensorSpec("x", (-1, 1)), ())
    split = np.tile(np.array([0, 1, 2], np.uint8), 30)
    data = Dataset("made", facts, x, (unit * (2 + x[:, 0])).astype(np.float32), split)
    blank = Model(data.signature(), Mlp(hidden=(8,)), data=data)
    model = fit(blank, Settings(epochs=20, learning_rate=0.01), QUIET).model

    for made in (model, QuantizeInt8().apply(model, QUIET)):
        found = compile_model(made.with_graph(graph_of(made, QUIET)), name, x, QUIET)

        assert found.parity.passed
        assert found.quantized == (made is not model)
        assert (found.parity.explained or 0) > 0.99 or not found.quantized
