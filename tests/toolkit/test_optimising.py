"""Rewritten graphs: smaller, named as before, proven alike; whatever breaks one is thrown away."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.onnx_graph import OPSET, operators, parse
from toolkit.optimising import OPTIMISERS, Optimiser, optimised

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(1)


def weights(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def graph_with(
    nodes: list[Any], stored: Mapping[str, Any], taken: tuple[int, ...], given: tuple[int, ...]
) -> bytes:
    """From `x` to `y`, items of these shapes, with a free batch."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *taken])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", *given])],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
        doc_string="made in a folder of mine",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return bytes(model.SerializeToString())


def signature(taken: tuple[int, ...], given: tuple[int, ...]) -> Signature:
    labels = tuple(map(str, range(given[0]))) if len(given) == 1 else ()
    return Signature((TensorSpec("x", (-1, *taken)),), (TensorSpec("y", (-1, *given)),), labels)


def answer(graph: bytes, x: Array) -> Array:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: Array = session.run(["y"], {"x": x})[0]
    return found


@pytest.fixture
def small() -> bytes:
    """Convolution, batch normalization, mean, linear layer: with leftovers of an exporter."""
    stored = {
        "conv.weight": weights(4, 2, 3, 3),
        "conv.bias": weights(4),
        "norm.scale": weights(4),
        "norm.bias": weights(4),
        "norm.mean": weights(4),
        "norm.var": np.abs(weights(4)) + 1,
        "head.weight": weights(3, 4),
        "head.bias": weights(3),
        "forgotten": weights(1000),
        "axes": np.array([2, 3], np.int64),
    }
    norm = ["conv", "norm.scale", "norm.bias", "norm.mean", "norm.var"]
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["conv"], doc_string="here"),
        helper.make_node("BatchNormalization", norm, ["normal"]),
        helper.make_node("Relu", ["normal"], ["kept"]),
        helper.make_node("Identity", ["kept"], ["same"]),
        helper.make_node("ReduceMean", ["same", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    return graph_with(nodes, stored, (2, 8, 8), (3,))


SMALL = signature((2, 8, 8), (3,))


def test_a_graph_gets_smaller_and_answers_the_same(small: bytes) -> None:
    written = optimised(small, SMALL, None, QUIET)

    x = weights(5, 2, 8, 8)
    assert operators(written.data) == {"Conv": 1, "Gemm": 1, "ReduceMean": 1, "Relu": 1}
    assert len(written.data) < len(small) - 4000
    np.testing.assert_allclose(answer(written.data, x), answer(small, x), atol=1e-5)
    assert any("fold: 6 nodes became 4" in note for note in written.notes)


def test_names_stay_and_what_the_exporter_wrote_beside_goes(small: bytes) -> None:
    found = parse(optimised(small, SMALL, None, QUIET).data)

    assert {t.name for t in found.graph.initializer} >= {"conv.weight", "head.weight"}
    assert [value.name for value in found.graph.input] == ["x"]
    assert [value.name for value in found.graph.output] == ["y"]
    assert not found.graph.doc_string
    assert not any(node.doc_string or node.metadata_props for node in found.graph.node)
    assert not found.graph.value_info
    assert not any(t.external_data for t in found.graph.initializer)


def test_a_layer_keeps_its_name_where_folding_makes_its_weights_anew() -> None:
    nodes = [
        helper.make_node("Transpose", ["head.weight"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    graph = graph_with(nodes, {"head.weight": weights(3, 4)}, (4,), (3,))

    found = parse(optimised(graph, signature((4,), (3,)), None, QUIET).data)

    assert [node.op_type for node in found.graph.node] == ["MatMul"]
    assert [tensor.name for tensor in found.graph.initializer] == ["head.weight"]


# --------------------------------------------------------------- optimisers that break something


def changed(model: Any, op: str, **attributes: Any) -> Any:
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for node in found.graph.node:
        if node.op_type == op:
            node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
    return found


def without_identity(model: Any) -> Any:
    """What a step must bring to be looked at: a node less."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    kept = [node for node in found.graph.node if node.op_type != "Identity"]
    del found.graph.node[:]
    found.graph.node.extend(kept)
    for node in found.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = "kept" if name == "same" else name
    return found


def wrong_weights(model: Any) -> Any:
    found = without_identity(model)
    for tensor in found.graph.initializer:
        if tensor.name == "head.weight":
            values = numpy_helper.to_array(tensor) * np.float32(1.001)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return found


def wrong_padding(model: Any) -> Any:
    return changed(without_identity(model), "Conv", pads=[1, 1, 1, 1])


def other_output(model: Any) -> Any:
    found = without_identity(model)
    found.graph.output[0].name = found.graph.node[-1].output[0] = "z"
    return found


def renamed_layer(model: Any) -> Any:
    found = without_identity(model)
    for tensor in found.graph.initializer:
        tensor.name = tensor.name.replace("head.weight", "val_7")
    found.graph.node[-1].input[1] = "val_7"
    return found


def no_graph(model: Any) -> Any:
    found = without_identity(model)
    found.graph.node[0].input[0] = "nowhere"
    return found


def failing(model: Any) -> Any:
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (wrong_weights, "y differs by"),
        (wrong_padding, "y differs by"),
        (other_output, "outputs are others"),
        (renamed_layer, "layer head has lost its name"),
        (no_graph, "no valid graph"),
        (failing, "failed (out of luck)"),
    ],
)
def test_a_step_that_breaks_the_model_is_named_and_thrown_away(
    small: bytes, breaks: Any, why: str
) -> None:
    broken = Optimiser("bold", breaks)

    written = optimised(small, SMALL, None, QUIET, optimisers=[broken, *OPTIMISERS])

    assert written.data == optimised(small, SMALL, None, QUIET).data
    [note] = [note for note in written.notes if "bold" in note]
    assert note.startswith("Without the step 'bold'")
    assert why in note


def test_the_same_step_is_kept_where_it_breaks_nothing(small: bytes) -> None:
    good = Optimiser("tidy", without_identity)

    written = optimised(small, SMALL, None, QUIET, optimisers=[good])

    assert written.notes == ("tidy: 6 nodes became 5.",)


def test_a_step_that_brings_nothing_is_left_out_without_a_word(small: bytes) -> None:
    idle = Optimiser("idle", lambda model: changed(model, "Relu"))

    written = optimised(small, SMALL, None, QUIET, optimisers=[idle])

    assert written.notes == ()


def test_what_is_right_for_one_batch_only_is_wrong() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    graph = graph_with(nodes, {"w": weights(4, 3)}, (4,), (3,))

    def four_items(model: Any) -> Any:
        shape = numpy_helper.from_array(np.array([4, 4]), "shape")
        found = onnx.ModelProto()
        found.CopyFrom(model)
        found.graph.initializer.append(shape)
        del found.graph.node[1]
        found.graph.node[0].CopyFrom(helper.make_node("Reshape", ["x", "shape"], ["b"]))
        return found

    written = optimised(
        graph, signature((4,), (3,)), None, QUIET, optimisers=[Optimiser("narrow", four_items)]
    )

    assert "it does not answer one item" in written.notes[0]


def test_samples_are_what_a_step_is_compared_on(small: bytes) -> None:
    """Weights that only matter to large inputs: seeded noise would not show it."""
    samples = {"x": weights(3, 2, 8, 8) * 300}

    def clipped(model: Any) -> Any:
        found = without_identity(model)
        low, high = np.float32(0), np.float32(200)
        found.graph.initializer.extend(
            [numpy_helper.from_array(low, "low"), numpy_helper.from_array(high, "high")]
        )
        found.graph.node[2].CopyFrom(helper.make_node("Clip", ["normal", "low", "high"], ["kept"]))
        return found

    written = optimised(small, SMALL, samples, QUIET, optimisers=[Optimiser("clip", clipped)])

    assert "for samples, y differs" in written.notes[0]


# ----------------------------------------------------------------------- sizes, opsets, integers


def recurrent() -> bytes:
    """As torch exports a recurrent layer: sizes and states worked out from the batch."""
    one = np.array([1], np.int64)
    stored = {
        "w": weights(1, 16, 3), "r": weights(1, 16, 4), "b": weights(1, 32),
        "nothing": np.zeros(1, np.float32), "one": one, "four": one * 4, "two": one * 2,
        "zero": one * 0, "lots": one * 20,
    }  # fmt: skip
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["n"]),
        helper.make_node("Concat", ["one", "n", "four"], ["state"], axis=0),
        helper.make_node("Expand", ["nothing", "state"], ["h"]),
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["turned", "w", "r", "b", "", "h", "h"], ["all"], hidden_size=4),
        helper.make_node("Concat", ["n", "lots"], ["flat"], axis=0),
        helper.make_node("Transpose", ["all"], ["back"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["back", "flat"], ["y"]),
    ]
    return graph_with(nodes, stored, (5, 3), (20,))


def test_sizes_that_follow_from_the_batch_are_not_worked_out_every_time() -> None:
    graph = recurrent()

    written = optimised(graph, signature((5, 3), (20,)), None, QUIET)

    found = parse(written.data)
    ops = [node.op_type for node in found.graph.node]
    assert ops == ["Transpose", "LSTM", "Transpose", "Reshape"]
    assert list(found.graph.node[1].input[4:]) in ([], ["", ""], ["", "", ""])
    for count in (1, 7):
        x = weights(count, 5, 3)
        np.testing.assert_allclose(answer(written.data, x), answer(graph, x), atol=1e-6)


def test_chance_is_not_taken_for_a_size() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["none"]),
        helper.make_node("RandomNormalLike", ["none"], ["noise"], seed=1.0),
        helper.make_node("Mul", ["noise", "nothing"], ["still"]),
        helper.make_node("Add", ["x", "still"], ["y"]),
    ]
    graph = graph_with(nodes, {"nothing": np.zeros(1, np.float32)}, (4,), (4,))

    written = optimised(graph, signature((4,), (4,)), None, QUIET)

    assert "RandomNormalLike" in operators(written.data)


def quantized() -> bytes:
    stored = {
        "scale": np.float32(0.05), "zero": np.uint8(128),
        "w": RNG.integers(-127, 127, (4, 3)).astype(np.int8),
        "w_scale": np.full(3, 0.02, np.float32), "w_zero": np.zeros(3, np.int8),
        "again": np.float32(0.05),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["v"], axis=1),
        helper.make_node("MatMul", ["d", "v"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "again", "zero"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "again", "zero"], ["y"]),
    ]
    return graph_with(nodes, stored, (4,), (3,))


def test_a_quantized_graph_keeps_its_pairs_and_its_integers() -> None:
    graph, x = quantized(), weights(50, 4)

    written = optimised(graph, signature((4,), (3,)), {"x": x}, QUIET)

    assert operators(written.data) == operators(graph)
    np.testing.assert_array_equal(answer(written.data, x), answer(graph, x))


def test_a_step_that_drops_a_pair_is_refused() -> None:
    def dropped(model: Any) -> Any:
        found = onnx.ModelProto()
        found.CopyFrom(model)
        del found.graph.node[4:]
        found.graph.node[-1].output[0] = "y"
        return found

    written = optimised(
        quantized(), signature((4,), (3,)), None, QUIET, optimisers=[Optimiser("float", dropped)]
    )

    assert "not the same QuantizeLinear nodes" in written.notes[0]


@pytest.mark.parametrize("opset", [18, 17, 14])
def test_a_graph_is_written_in_the_opset_that_is_asked_for(small: bytes, opset: int) -> None:
    written = optimised(small, SMALL, None, QUIET, opset=opset)

    found = parse(written.data)
    x = weights(5, 2, 8, 8)
    assert [o.version for o in found.opset_import if o.domain in {"", "ai.onnx"}] == [opset]
    assert found.ir_version <= 8
    np.testing.assert_allclose(answer(written.data, x), answer(small, x), atol=1e-5)
    assert f"Written in opset {opset}." in written.notes


def test_what_an_opset_cannot_say_is_refused_in_two_clear_lines() -> None:
    graph = graph_with([helper.make_node("Gelu", ["x"], ["y"])], {}, (4,), (4,))

    with pytest.raises(UnsupportedError, match=r"opset 17: .*Gelu") as caught:
        optimised(graph, signature((4,), (4,)), None, QUIET, opset=17)

    assert caught.value.hint
    assert "/" not in str(caught.value)


def test_a_graph_that_the_runtime_refuses_is_told_in_two_clear_lines() -> None:
    # a sound graph by its form; no kernel is there for these numbers
    graph = graph_with([helper.make_node("Det", ["x"], ["y"])], {}, (2, 2), ())
    model = parse(graph)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.DOUBLE

    with pytest.raises(UnsupportedError, match="refuses this graph") as caught:
        optimised(model.SerializeToString(), signature((2, 2), ()), None, QUIET)

    assert caught.value.hint
