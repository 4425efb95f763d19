"""Stored in fewer bits, and integer products with ranges found at run time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.onnx_graph import operators
from toolkit.quantization.dynamic import quantize_dynamic, reasons
from toolkit.quantization.storing import need_weights, store_codes, store_halves

Array = np.ndarray[Any, Any]
ALL = ["chain", "residual", "perceptron", "sequence", "normalized"]
every_graph = pytest.mark.parametrize("graph", ALL, indirect=True)


def share(expected: Array, found: Array) -> float:
    """Of the answers' spread that an answer is off by, on average."""
    return float(np.sqrt(np.square(found - expected).mean()) / expected.std())


@every_graph
@pytest.mark.parametrize(
    ("bits", "block", "allowed"), [(8, 0, 0.02), (4, 0, 0.2), (4, 4, 0.2), (8, 16, 0.02)]
)
def test_codes_stand_for_nearly_the_same_weights(
    graph: bytes,
    bits: int,
    block: int,
    allowed: float,
    items: Callable[..., Array],
    run: Callable[..., Array],
) -> None:
    inputs = items(graph, 32)

    found = store_codes(graph, bits, per_channel=True, block=block, job=QUIET)

    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    before, after = layers_of(graph), layers_of(found)
    assert [x.name for x in after] == [x.name for x in before]
    assert {x.bits for x in after} == {bits}
    assert share(run(graph, inputs), run(found, inputs)) < allowed
    assert share(run(graph, inputs), run(found, inputs, optimized=True)) < allowed


@every_graph
def test_half_the_bits_are_hardly_an_error(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 32)

    found = store_halves(graph, QUIET)

    assert {layer.bits for layer in layers_of(found)} == {16}
    assert share(run(graph, inputs), run(found, inputs)) < 2e-3


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_what_is_stored_already_is_refused(graph: bytes) -> None:
    once = store_codes(graph, 8, per_channel=True, block=0, job=QUIET)

    with pytest.raises(UnsupportedError, match="quantize_weights: no layer") as caught:
        need_weights(once, "quantize_weights")

    assert caught.value.hint


@pytest.mark.parametrize("graph", ["perceptron"], indirect=True)
def test_weights_that_are_no_numbers_are_refused_by_their_layer(graph: bytes) -> None:
    model = onnx.load_from_string(graph)
    [tensor] = [t for t in model.graph.initializer if t.name == "1.2.weight"]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0, 0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    broken = model.SerializeToString()

    works: list[Callable[[bytes], bytes]] = [
        lambda graph: store_codes(graph, 8, per_channel=True, block=0, job=QUIET),
        lambda graph: store_halves(graph, QUIET),
        lambda graph: quantize_dynamic(graph, True, QUIET),
    ]
    for work in works:
        with pytest.raises(UnsupportedError, match=r"'1\.2' has 1 of 48 weights"):
            work(broken)


@pytest.mark.parametrize("graph", ["chain", "perceptron", "sequence"], indirect=True)
def test_dynamic_products_are_near_and_leave_convolutions_alone(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 32)

    found = quantize_dynamic(graph, True, QUIET)

    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    counts = operators(found)
    assert counts.get("Conv", 0) == operators(graph).get("Conv", 0)
    assert counts["MatMulInteger"] >= 1
    assert "Gemm" not in counts
    assert [x.name for x in layers_of(found)] == [x.name for x in layers_of(graph)]
    assert share(run(graph, inputs), run(found, inputs, optimized=True)) < 0.02


@pytest.mark.parametrize("graph", ["sequence"], indirect=True)
def test_a_recurrent_layer_stores_bytes(graph: bytes) -> None:
    found = quantize_dynamic(graph, True, QUIET)

    assert operators(found)["LSTM"] == 1
    assert {layer.name: layer.bits for layer in layers_of(found)} == {"0": 8, "1": 8}


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_convolutions_are_left_out_with_the_reason(graph: bytes) -> None:
    why = reasons(graph)

    assert set(why) == {"0", "1", "2"}
    assert all("slower" in text for text in why.values())


def test_a_model_of_convolutions_alone_is_refused(make: Callable[..., bytes]) -> None:
    nodes = [onnx.helper.make_node("Conv", ["x", "0.weight"], ["y"], name="only")]
    graph = make(nodes, (1, 4, 4), (2, 2, 2), {"0.weight": np.ones((2, 1, 3, 3), np.float32)})

    with pytest.raises(UnsupportedError, match="no dense or recurrent layer") as caught:
        quantize_dynamic(graph, True, QUIET)

    assert "quantize_int8" in caught.value.hint
