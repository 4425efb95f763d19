"""Equalization: the same answers from weights whose channels are alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from edge_targets.runtime.events import QUIET
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.equalize import equalized
from toolkit.quantization.fold import fold_batch_norms
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph

Array = np.ndarray[Any, Any]
ALL = ["chain", "residual", "perceptron", "sequence", "normalized"]


@pytest.mark.parametrize("graph", ALL, indirect=True)
def test_an_equalized_graph_answers_as_before(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 16)

    found = equalized(fold_batch_norms(graph)[0])[0]

    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    np.testing.assert_allclose(run(found, inputs), run(graph, inputs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_each_channel_is_as_large_in_one_layer_as_in_the_next(
    graph: bytes, stored: Callable[..., Any]
) -> None:
    found, count = equalized(graph)

    arrays = stored(found)
    first = np.abs(arrays["0.weight"]).max(axis=(1, 2, 3))
    deep = np.abs(arrays["1.weight"]).max(axis=(1, 2, 3))
    point = np.abs(arrays["2.weight"]).max(axis=(0, 2, 3))
    last = np.abs(arrays["3.weight"].reshape(5, 12, 16)).max(axis=(0, 2))
    assert count == 3
    np.testing.assert_allclose(first, deep, rtol=0.01)
    np.testing.assert_allclose(deep, point, rtol=0.01)
    np.testing.assert_allclose(np.abs(arrays["2.weight"]).max(axis=(1, 2, 3)), last, rtol=0.01)


def two(make: Callable[..., bytes], between: list[Any], out: str = "r") -> bytes:
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["g"], name="one"),
        *between,
        helper.make_node("Gemm", [out, "1.weight"], ["y"], name="two"),
    ]
    stored = {
        "0.weight": np.array([[8, 1]], np.float32), "0.bias": np.array([4, 1], np.float32),
        "1.weight": np.array([[2], [4]], np.float32),
    }  # fmt: skip
    return make(nodes, (1,), (1,), stored)


def test_two_channels_by_hand(make: Callable[..., bytes], stored: Callable[..., Any]) -> None:
    """Factors sqrt(8 / 2) = 2 and sqrt(1 / 4) = 1/2."""
    graph = two(make, [helper.make_node("Relu", ["g"], ["r"], name="relu")])

    found = stored(equalized(graph)[0])

    assert found["0.weight"].tolist() == [[4, 2]]
    assert found["0.bias"].tolist() == [2, 2]
    assert found["1.weight"].tolist() == [[4], [2]]


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Exp", "HardSwish"])
def test_nothing_passes_through_what_bends(make: Callable[..., bytes], op: str) -> None:
    graph = two(make, [helper.make_node(op, ["g"], ["r"], name="bend")])

    assert equalized(graph) == (graph, 0)


def test_a_value_with_two_readers_is_left_alone(make: Callable[..., bytes]) -> None:
    graph = two(
        make,
        [
            helper.make_node("Relu", ["g"], ["a"], name="relu"),
            helper.make_node("Add", ["a", "a"], ["r"], name="twice"),
        ],
    )

    assert equalized(graph)[1] == 0


def test_channels_of_very_different_size_survive_one_scale_a_tensor(
    make: Callable[..., bytes], items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    """As in a depthwise network after folding: one scale cannot serve 1000 and 1."""
    rng, spread = np.random.default_rng(0), np.logspace(-2, 1.5, 8).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "0.weight"], ["c"], name="one"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "1.weight"], ["y"], name="two"),
    ]
    first = rng.normal(0, 1, (8, 3, 1, 1)).astype(np.float32) * spread[:, None, None, None]
    second = rng.normal(0, 1, (4, 8, 1, 1)).astype(np.float32) / spread[:, None, None]
    graph = make(nodes, (3, 5, 5), (4, 5, 5), {"0.weight": first, "1.weight": second})
    inputs, base = items(graph, 32), LayerPlan(per_channel=False)

    def error(source: bytes) -> float:
        plan, seen = plan_for(source, base), observe(source, inputs, QUIET)
        found = quantize_graph(source, plan, ranges_for(source, seen, plan, base))
        return float(np.square(run(found, inputs) - run(graph, inputs)).mean())

    assert error(equalized(graph)[0]) < error(graph) / 20
