"""Plans: one way for all, exceptions by name, and a helpful no to what there is not."""

from collections.abc import Callable
from typing import Any

import pytest

from edge_targets.runtime.errors import RecipeError
from toolkit.anatomy import layers_of
from toolkit.quantization.plan import HOWS, LayerPlan, plan_for, reasons_for

BASE = LayerPlan()


@pytest.mark.parametrize(
    "graph", ["chain", "residual", "perceptron", "sequence", "normalized"], indirect=True
)
def test_every_layer_has_a_plan_under_the_name_that_reports_use(graph: bytes) -> None:
    assert list(plan_for(graph, BASE)) == [layer.name for layer in layers_of(graph)]


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_exceptions_add_up_and_leave_the_others_alone(graph: bytes) -> None:
    plan = plan_for(graph, BASE, ["1=per_tensor", "1=mse", "3=int16", "0=float"])

    assert plan == {
        "0": LayerPlan(0, 0),
        "1": LayerPlan(per_channel=False, calibration="mse"),
        "2": BASE,
        "3": LayerPlan(activations=16),
    }


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
@pytest.mark.parametrize("how", HOWS)
def test_every_way_is_one(graph: bytes, how: str) -> None:
    assert set(plan_for(graph, BASE, [f"1={how}"])) == {"0", "1", "2", "3"}


@pytest.mark.parametrize("graph", ["perceptron"], indirect=True)
@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("1.00=float", "no layer '1.00'", "Did you mean '1.0'"),
        ("1.0=flaot", "no way to quantize 'flaot'", "Did you mean 'float'"),
        ("1.0", "expected LAYER=HOW", "1.0=float"),
        ("q=float", "no layer 'q'", "Known: 1.0, 1.2"),
    ],
)
def test_what_there_is_not_is_answered_with_what_there_is(
    graph: bytes, text: str, words: str, hint: str
) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        plan_for(graph, BASE, [text])

    assert text in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize("graph", ["sequence"], indirect=True)
def test_a_layer_that_cannot_be_int8_says_why(graph: bytes) -> None:
    assert plan_for(graph, BASE)["0"].is_float
    assert "LSTM" in reasons_for(graph, plan_for(graph, BASE))["0"]
    with pytest.raises(RecipeError, match="no static int8 LSTM"):
        plan_for(graph, BASE, ["0=int16"])


@pytest.mark.parametrize("graph", ["normalized"], indirect=True)
def test_a_transposed_convolution_stores_bytes_and_computes_in_floats(graph: bytes) -> None:
    assert plan_for(graph, BASE)["1"] == LayerPlan(activations=0)


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
def test_layers_left_out_by_the_user_are_told_as_asked_for(graph: bytes) -> None:
    plan = plan_for(graph, BASE, ["1=half", "3=float"])

    assert reasons_for(graph, plan) == {
        "1": "asked for: float16 weights, float arithmetic",
        "3": "asked for: float weights, float arithmetic",
    }


def test_a_step_that_prepares_the_input_is_no_layer_to_quantize(make: Callable[..., Any]) -> None:
    import numpy as np
    from onnx import helper

    nodes = [
        helper.make_node("MatMul", ["x", "0.1.basis"], ["m"], name="mel"),
        helper.make_node("MatMul", ["m", "1.0.weight"], ["y"], name="dense"),
    ]
    stored = {"0.1.basis": np.eye(4, dtype=np.float32), "1.0.weight": np.eye(4, dtype=np.float32)}

    plan = plan_for(make(nodes, (4,), (4,), stored), BASE)

    assert plan == {"mel": LayerPlan(0, 0), "1.0": BASE}
