"""What the quantizer writes, compiled for TFLite: integer operators and nearly the same answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.dynamic import quantize_dynamic
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph
from toolkit.quantization.storing import store_codes, store_halves

Array = np.ndarray[Any, Any]


def static(graph: bytes, inputs: Array, *exceptions: str, signed: bool = True) -> bytes:
    base, ready = LayerPlan(), prepared(graph)
    plan, seen = plan_for(ready, base, exceptions), observe(ready, inputs, QUIET)
    return quantize_graph(ready, plan, ranges_for(ready, seen, plan, base), signed=signed)


def lite(model: bytes, inputs: Array) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for item in inputs:
        interpreter.set_tensor(taken["index"], item[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"]))
    return np.concatenate(rows)


WAYS: dict[str, Callable[[bytes, Array], bytes]] = {
    "static": static,
    "unsigned": lambda graph, inputs: static(graph, inputs, signed=False),
    "half": lambda graph, inputs: store_halves(graph, QUIET),
    "bytes": lambda graph, inputs: store_codes(graph, 8, True, 0, QUIET),
    "dynamic": lambda graph, inputs: quantize_dynamic(graph, True, QUIET),
}


@pytest.mark.parametrize("graph", ["chain", "residual", "perceptron"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_graph_answers_like_the_graph(
    graph: bytes, way: str, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 16)
    quantized = WAYS[way](graph, inputs)

    found = lite(translate(onnx.load_from_string(quantized), QUIET), inputs)

    expected = run(quantized, inputs, optimized=True)
    allowed = {"half": 0.002, "bytes": 0.03}.get(way, 0.04)
    assert np.abs(found - expected).max() <= allowed * np.ptp(expected)


@pytest.mark.parametrize("graph", ["chain"], indirect=True)
@pytest.mark.parametrize("how", ["float", "half", "weights", "int16", "per_tensor"])
def test_exceptions_compile_too(
    graph: bytes, how: str, items: Callable[..., Array], run: Callable[..., Array]
) -> None:
    inputs = items(graph, 16)
    quantized = static(graph, inputs, f"2={how}")

    found = lite(translate(onnx.load_from_string(quantized), QUIET), inputs)

    expected = run(quantized, inputs)
    assert np.abs(found - expected).max() <= 0.04 * np.ptp(expected)
