"""Folding: the same answers from fewer operators, under the same names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from toolkit.anatomy import layers_of
from toolkit.onnx_graph import operators
from toolkit.quantization.fold import fold_batch_norms, prepared

Array = np.ndarray[Any, Any]
ALL = ["chain", "residual", "perceptron", "sequence", "normalized"]
every_graph = pytest.mark.parametrize("graph", ALL, indirect=True)


@every_graph
def test_a_prepared_graph_answers_as_before(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 16)

    found = prepared(graph)

    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    np.testing.assert_allclose(run(found, inputs), run(graph, inputs), rtol=1e-4, atol=1e-4)
    assert [x.name for x in layers_of(found)] == [x.name for x in layers_of(graph)]
    assert prepared(found) == found


@pytest.mark.parametrize("graph", ["normalized"], indirect=True)
def test_batch_norms_go_into_the_layers_before_them(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 16)

    found, count = fold_batch_norms(graph)

    assert count == 3
    assert "BatchNormalization" not in operators(found)
    np.testing.assert_allclose(run(found, inputs), run(graph, inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_without_batch_norms_nothing_changes(graph: bytes) -> None:
    assert fold_batch_norms(graph) == (graph, 0)


def test_a_batch_norm_whose_layer_has_another_reader_stays(
    make: Callable[..., bytes], items: Callable[..., Array]
) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight"], ["g"], name="dense"),
        helper.make_node("BatchNormalization", ["g", "s", "b", "m", "v"], ["n"], name="norm"),
        helper.make_node("Add", ["g", "n"], ["y"], name="sum"),
    ]
    ones = np.ones(3, np.float32)
    stored = {"0.weight": np.eye(3, dtype=np.float32), "s": ones, "b": ones, "m": ones, "v": ones}

    assert fold_batch_norms(make(nodes, (3,), (3,), stored))[1] == 0


def test_a_batch_norm_by_hand(make: Callable[..., bytes], stored: Callable[..., Any]) -> None:
    """(2x + 1 - 3) · 4 / sqrt(4) + 5 = 4x + 1."""
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["g"], name="dense"),
        helper.make_node(
            "BatchNormalization", ["g", "s", "b", "m", "v"], ["y"], name="norm", epsilon=0.0
        ),
    ]
    numbers = {"0.weight": 2, "0.bias": 1, "s": 4, "b": 5, "m": 3, "v": 4}
    arrays = {name: np.array([value], np.float32) for name, value in numbers.items()}
    arrays["0.weight"] = arrays["0.weight"].reshape(1, 1)

    found = stored(fold_batch_norms(make(nodes, (1,), (1,), arrays))[0])

    assert found["0.weight"].item() == pytest.approx(4)
    assert found["0.bias"].item() == pytest.approx(1)


def test_a_weight_that_is_computed_keeps_the_stem_of_its_name(make: Callable[..., bytes]) -> None:
    nodes = [
        helper.make_node("Transpose", ["0.weight"], ["t"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"], name="dense"),
    ]
    graph = make(nodes, (2,), (3,), {"0.weight": np.ones((3, 2), np.float32)})

    assert operators(prepared(graph)) == {"MatMul": 1}
    assert [layer.name for layer in layers_of(prepared(graph))] == ["0"]


def test_factors_of_a_gemm_go_into_its_weights(
    make: Callable[..., bytes], items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    nodes = [
        helper.make_node(
            "Gemm", ["x", "0.weight", "0.bias"], ["y"], name="dense", alpha=2.0, beta=0.5
        )
    ]
    stored = {"0.weight": np.eye(3, dtype=np.float32), "0.bias": np.ones(3, np.float32)}
    graph = make(nodes, (3,), (3,), stored)
    inputs = items(graph, 4)

    found = prepared(graph)

    given = {a.name: a.f for a in onnx.load_from_string(found).graph.node[0].attribute}
    assert (given["alpha"], given["beta"]) == (1, 1)
    np.testing.assert_allclose(run(found, inputs), run(graph, inputs), rtol=1e-6)


def test_what_is_stored_in_half_the_bits_is_not_unpacked(make: Callable[..., bytes]) -> None:
    nodes = [
        helper.make_node("Cast", ["0.weight_half"], ["w"], name="cast", to=1),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="dense"),
    ]
    graph = make(nodes, (2,), (2,), {"0.weight_half": np.eye(2, dtype=np.float16)})

    assert prepared(graph) == graph
