"""Quantized graphs: near the float one, fused by the runtime, exceptions where they were asked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.equivalence import session_of
from toolkit.quantization.calibrate import channel_means, ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph

Array = np.ndarray[Any, Any]
ALL = ["chain", "residual", "perceptron", "sequence", "normalized"]
every_graph = pytest.mark.parametrize("graph", ALL, indirect=True)
the_chain = pytest.mark.parametrize("graph", ["chain"], indirect=True)


def quantized(
    graph: bytes,
    inputs: Array,
    *exceptions: str,
    base: LayerPlan | None = None,
    correct: bool = False,
    **options: Any,
) -> bytes:
    base, ready = base or LayerPlan(), prepared(graph)
    plan = plan_for(ready, base, exceptions)
    seen = observe(ready, inputs, QUIET)
    means = channel_means(seen) if correct else None
    return quantize_graph(ready, plan, ranges_for(ready, seen, plan, base), means=means, **options)


def loss_db(expected: Array, found: Array) -> float:
    """Signal to quantization noise."""
    return float(10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum()))


def fused(graph: bytes, path: Any) -> Mapping[str, int]:
    """Operators that are left when the runtime has optimized the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path / "optimized.onnx")
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return operators_of(onnx.load(path / "optimized.onnx"))


def operators_of(model: Any) -> dict[str, int]:
    names = [node.op_type for node in model.graph.node]
    return {name: names.count(name) for name in names}


@every_graph
@pytest.mark.parametrize("signed", [True, False])
def test_a_quantized_graph_is_valid_and_near_the_float_one(
    graph: bytes, signed: bool, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 64)

    found = quantized(graph, inputs, signed=signed)

    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    expected = run(graph, inputs)
    assert loss_db(expected, run(found, inputs)) > 35
    np.testing.assert_allclose(
        run(found, inputs, optimized=True), run(found, inputs), atol=2e-5 * np.ptp(expected)
    )


@every_graph
def test_layers_keep_their_names_and_inputs_and_outputs_too(
    graph: bytes, items: Callable[..., Array]
) -> None:
    found = quantized(graph, items(graph, 8))

    before, after = layers_of(prepared(graph)), layers_of(found)
    assert [layer.name for layer in after] == [layer.name for layer in before]
    for one, other in zip(
        onnx.load_from_string(graph).graph.output,
        onnx.load_from_string(found).graph.output,
        strict=True,
    ):
        assert one == other


@the_chain
def test_the_runtime_finds_integer_kernels_for_every_layer(
    graph: bytes, items: Callable[..., Array], tmp_path: Any
) -> None:
    left = fused(quantized(graph, items(graph, 32)), tmp_path)

    assert left["QLinearConv"] == 3
    assert left["QGemm"] == 1
    assert "Conv" not in left
    assert left["QuantizeLinear"] == left["DequantizeLinear"] == 1  # in, and before the softmax


@pytest.mark.parametrize("graph", ["residual"], indirect=True)
def test_sums_and_joined_branches_stay_integer(
    graph: bytes, items: Callable[..., Array], tmp_path: Any
) -> None:
    """Unsigned: on x86 the runtime turns signed values unsigned, but not those with two readers."""
    left = fused(quantized(graph, items(graph, 32), signed=False), tmp_path)

    assert left["QLinearConv"] == 2
    assert left["QLinearAdd"] == left["QLinearConcat"] == left["QGemm"] == 1
    assert not {"Clip", "Relu", "Add"} & set(left)


@the_chain
def test_what_only_moves_values_keeps_their_scale(
    graph: bytes, items: Callable[..., Array]
) -> None:
    nodes = onnx.load_from_string(quantized(graph, items(graph, 8))).graph.node

    quantizers = {n.input[0]: tuple(n.input[1:]) for n in nodes if n.op_type == "QuantizeLinear"}
    assert quantizers["r2"] == quantizers["p"] == quantizers["f"]
    assert quantizers["g"] != quantizers["f"]
    assert not {"c0", "c1", "c2"} & set(quantizers)  # a kernel does its Relu at once


@the_chain
def test_a_bias_is_stored_in_the_scale_of_the_sums(
    graph: bytes, items: Callable[..., Array], stored: Callable[..., Any]
) -> None:
    before, after = stored(graph), stored(quantized(graph, items(graph, 8)))

    scale = after["x_scale"] * after["0.weight_int8_scale"]
    np.testing.assert_allclose(after["0.bias_int32_scale"], scale, rtol=1e-6)
    np.testing.assert_allclose(after["0.bias_int32"] * scale, before["0.bias"], atol=scale.max())


@the_chain
@pytest.mark.parametrize("how", ["float", "half", "weights"])
def test_a_layer_that_is_left_out_computes_exactly_what_its_weights_say(
    graph: bytes, how: str, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    """The runtime would quantize float weights behind an integer input on its own."""
    inputs = items(graph, 32)

    found = quantized(graph, inputs, f"2={how}")

    bits = {layer.name: layer.bits for layer in layers_of(found)}
    assert bits == {"0": 8, "1": 8, "2": {"float": 32, "half": 16, "weights": 8}[how], "3": 8}
    np.testing.assert_allclose(run(found, inputs, optimized=True), run(found, inputs), atol=1e-5)


@the_chain
def test_sixteen_bits_bring_a_layers_values_nearer(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 64)
    expected = run(graph, inputs)

    plain = loss_db(expected, run(quantized(graph, inputs), inputs))
    every = [f"{name}=int16" for name in "0123"]
    wide = loss_db(expected, run(quantized(graph, inputs, *every), inputs))

    assert wide > plain + 3


@the_chain
@pytest.mark.parametrize("how", ["minmax", "percentile", "entropy", "mse", "per_tensor"])
def test_an_exception_changes_its_layer_alone(
    graph: bytes, how: str, items: Callable[..., Array], stored: Callable[..., Any]
) -> None:
    inputs = items(graph, 400)
    base = LayerPlan(calibration="percentile" if how == "minmax" else "minmax")

    before = stored(quantized(graph, inputs, base=base))
    after = stored(quantized(graph, inputs, f"1={how}", base=base))

    changed = {
        name
        for name in before.keys() & after.keys()
        if not np.array_equal(before[name], after[name])
    }
    if how == "per_tensor":
        assert changed == {
            "1.weight_int8", "1.weight_int8_scale", "1.weight_int8_zero", "1.bias_int32",
            "1.bias_int32_scale",
        }  # fmt: skip
    else:  # what the layer gives; and the bias of the next, which counts in its steps
        assert changed <= {"r1_scale", "r1_zero", "2.bias_int32", "2.bias_int32_scale"}
        assert (how == "entropy") or "r1_scale" in changed


@the_chain
def test_four_bits_gain_from_a_corrected_bias(
    graph: bytes, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    """Inputs with a mean far from 0, as images have: rounding then shifts every sum."""
    inputs = items(graph, 64) + 2
    expected, base = run(graph, inputs), LayerPlan(weights=4)

    plain = run(quantized(graph, inputs, base=base), inputs)
    better = run(quantized(graph, inputs, base=base, correct=True), inputs)

    assert loss_db(expected, better) > loss_db(expected, plain)


def dense(make: Callable[..., bytes], weight: Array, bias: Array) -> bytes:
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["y"], name="dense", transB=1)
    ]
    return make(nodes, (weight.shape[1],), (len(bias),), {"0.weight": weight, "0.bias": bias})


def test_a_channel_without_weights_keeps_its_bias(
    make: Callable[..., bytes], run: Callable[..., Array]
) -> None:
    weight = np.array([[1, -2], [0, 0]], np.float32)
    graph = dense(make, weight, np.array([0.5, 3.0], np.float32))
    inputs = np.random.default_rng(0).normal(0, 10, (50, 2)).astype(np.float32)

    found = run(quantized(graph, inputs), inputs)

    step = np.ptp(run(graph, inputs)) / 255
    np.testing.assert_allclose(found[:, 1], 3.0, atol=step)


def test_a_bias_that_an_int32_cannot_hold_widens_the_scale(
    make: Callable[..., bytes], run: Callable[..., Array]
) -> None:
    graph = dense(make, np.full((1, 2), 1e-9, np.float32), np.array([100.0], np.float32))
    inputs = np.random.default_rng(0).normal(0, 0.01, (50, 2)).astype(np.float32)

    np.testing.assert_allclose(run(quantized(graph, inputs), inputs), 100, rtol=0.01)


def test_an_output_that_is_also_read_inside_is_given_as_it_is_read(
    make: Callable[..., bytes], run: Callable[..., Array]
) -> None:
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "0.weight"], ["h"], name="one"),
        onnx.helper.make_node("MatMul", ["h", "1.weight"], ["y"], name="two"),
    ]
    eye = np.eye(3, dtype=np.float32)
    model = onnx.load_from_string(make(nodes, (3,), (3,), {"0.weight": eye, "1.weight": eye}))
    more = onnx.helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, ["batch", 3])
    model.graph.output.append(more)
    inputs = np.random.default_rng(0).normal(0, 1, (20, 3)).astype(np.float32)

    found = quantized(model.SerializeToString(), inputs)

    assert [value.name for value in onnx.load_from_string(found).graph.output] == ["y", "h"]
    np.testing.assert_allclose(run(found, inputs), inputs, atol=0.1)


def test_a_weight_that_two_layers_share_is_stored_once(
    make: Callable[..., bytes], items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "w"], ["h"], name="one"),
        onnx.helper.make_node("Gemm", ["h", "w"], ["y"], name="two"),
    ]
    weight = np.random.default_rng(0).normal(0, 1, (4, 4)).astype(np.float32)
    graph = make(nodes, (4,), (4,), {"w": weight})
    inputs = items(graph, 40)

    found = quantized(graph, inputs)

    assert loss_db(run(graph, inputs), run(found, inputs)) > 35


def test_a_number_that_two_products_share_loads_where_sums_are_exact(
    make: Callable[..., bytes], items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "0.weight"], ["q"], name="one"),
        onnx.helper.make_node("Gemm", ["x", "1.weight"], ["k"], name="two"),
        onnx.helper.make_node("Reshape", ["q", "apart"], ["qs"], name="split_q"),
        onnx.helper.make_node("Reshape", ["k", "apart"], ["ks"], name="split_k"),
        onnx.helper.make_node("Mul", ["qs", "half"], ["a"], name="scale_q"),
        onnx.helper.make_node("Mul", ["ks", "half"], ["b"], name="scale_k"),
        onnx.helper.make_node("Transpose", ["b"], ["t"], name="turn", perm=[0, 2, 1]),
        onnx.helper.make_node("MatMul", ["a", "t"], ["s"], name="scores"),
        onnx.helper.make_node("Reshape", ["s", "flat"], ["y"], name="join"),
    ]
    draw = np.random.default_rng(0)
    stored = {f"{i}.weight": draw.normal(0, 1, (4, 4)).astype(np.float32) for i in (0, 1)}
    stored |= {"half": np.array(0.5, np.float32)}
    stored |= {"apart": np.array([-1, 2, 2], np.int64), "flat": np.array([-1, 4], np.int64)}
    graph = make(nodes, (4,), (4,), stored)
    inputs = items(graph, 40)

    found = quantized(graph, inputs)

    session_of(found)
    assert loss_db(run(graph, inputs), run(found, inputs)) > 30


@the_chain
def test_a_value_that_is_no_number_is_refused_by_its_layer(
    graph: bytes, items: Callable[..., Array]
) -> None:
    inputs = items(graph, 8)
    inputs[3] = np.inf

    with pytest.raises(UnsupportedError, match="layer '0'") as caught:
        quantized(graph, inputs)

    assert caught.value.hint


def test_scales_that_were_trained_are_taken_as_they_are(
    make: Callable[..., bytes], items: Callable[..., Array], stored: Callable[..., Any]
) -> None:
    graph = dense(make, np.array([[1, -2], [3, 4]], np.float32), np.zeros(2, np.float32))
    scales = np.array([0.1, 0.05], np.float32)

    found = stored(quantized(graph, items(graph, 8), weight_scales={"0.weight": scales}))

    assert found["0.weight_int8"].tolist() == [[10, -20], [60, 80]]
    np.testing.assert_array_equal(found["0.weight_int8_scale"], scales)
