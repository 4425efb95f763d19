"""How much memory a graph needs, by hand."""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.events import QUIET
from toolkit.memory import PACKED, peak_activations, ram_of
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import passes


def chain(*widths: int) -> bytes:
    """Dense layers, each followed by Relu."""
    nodes, weights, name = [], [], "x"
    for i, (taken, given) in enumerate(itertools.pairwise(widths)):
        values = np.ones((taken, given), np.float32)
        weights.append(numpy_helper.from_array(values, f"w{i}"))
        nodes.append(helper.make_node("Gemm", [name, f"w{i}"], [f"h{i}"]))
        nodes.append(helper.make_node("Relu", [f"h{i}"], [f"y{i}"]))
        name = f"y{i}"
    taken, given = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", w])
        for n, w in (("x", widths[0]), (name, widths[-1]))
    )
    graph = helper.make_graph(nodes, "chain", [taken], [given], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_a_layer_needs_what_it_takes_and_what_it_gives() -> None:
    # 100 numbers in and 50 out live at once, then 50 and 10; Relu works in place
    assert peak_activations(chain(100, 50, 10)) == 4 * (100 + 50)


def test_the_widest_pair_counts_wherever_it_is() -> None:
    assert peak_activations(chain(10, 200, 300, 10)) == 4 * (200 + 300)


def test_weights_are_held_as_stored_and_as_packed() -> None:
    graph = chain(100, 50, 10)

    assert ram_of(graph, b"x" * 1000) == PACKED * 1000 + peak_activations(graph)


def test_int8_activations_take_a_quarter(trained: Model) -> None:
    graph = graph_of(trained, QUIET)
    quantized = passes["quantize_int8"]().apply(trained.with_graph(graph), QUIET)

    before, after = peak_activations(graph), peak_activations(quantized.graph)

    assert after < before / 2
