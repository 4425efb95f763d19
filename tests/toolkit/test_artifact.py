"""Parity: a compiled file is equal to its model, or it is said that it is not."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.artifact import compare, compile_model, size_of
from toolkit.data import Dataset, Facts
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of, parse
from toolkit.training import Settings, fit

outputs = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.integers(2, 4)),
    elements=st.floats(-60_000, 60_000, width=16),
)


@given(values=outputs)
def test_a_file_is_equal_to_itself(values: Any) -> None:
    found = compare(values, values, classes=True, tolerance=0.0)

    assert found.passed
    assert (found.max_difference, found.label_agreement) == (0, 1)
    assert found.samples == len(values)


@given(values=outputs, bad=st.sampled_from([np.nan, np.inf, -np.inf]), place=st.integers(0, 79))
def test_what_is_no_number_never_passes(values: Any, bad: float, place: int) -> None:
    broken = values.copy()
    broken.reshape(-1)[place % values.size] = bad

    for one, other in ((values, broken), (broken, values), (broken, broken)):
        assert not compare(one, other, classes=False, tolerance=1e30).passed


def test_labels_must_agree_on_995_of_1000_items() -> None:
    one = np.eye(2)[np.zeros(1000, int)]
    other = np.eye(2)[[1] * 5 + [0] * 995]
    worse = np.eye(2)[[1] * 6 + [0] * 994]

    assert compare(one, other, classes=True, tolerance=1).passed
    assert not compare(one, worse, classes=True, tolerance=1).passed
    assert compare(one, worse, classes=False, tolerance=1).label_agreement is None


def test_a_tolerance_grows_with_large_numbers_and_not_with_shares() -> None:
    assert size_of(np.array([0.1, 0.9])) == 1
    assert size_of(np.array([-2000.0, 3, np.nan, np.inf])) == 2000
    assert size_of(np.array([np.nan])) == 1


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
        Runner.of_model(model, QUIET).first_output(digits.inputs[:200], QUIET)
        for model in (exported, changed)
    )

    assert not compare(right, wrong, classes=True, tolerance=1e-4).passed


def test_a_model_of_large_numbers_is_compared_in_their_size() -> None:
    x = np.linspace(-1, 1, 90, dtype=np.float32)[:, None]
    facts = Facts("made", TensorSpec("x", (-1, 1)), ())
    split = np.tile(np.array([0, 1, 2], np.uint8), 30)
    data = Dataset("made", facts, x, (2e6 + 1e6 * x[:, 0]).astype(np.float32), split)
    blank = Model(data.signature(), Mlp(hidden=(8,)), data=data)
    model = fit(blank, Settings(epochs=20, learning_rate=0.01), QUIET).model

    found = compile_model(model.with_graph(graph_of(model, QUIET)), "tflite", x, QUIET)

    assert found.parity.passed
    assert found.parity.tolerance > 100
