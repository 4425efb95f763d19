"""A node test again with its values stored in int8: the same graph between pairs of Q and DQ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.formats.node_cases import Case, baked, run_onnx
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]

WEIGHTS: Mapping[str, int] = {"Conv": 0, "ConvTranspose": 1, "Gemm": -1, "MatMul": -1}
"""Operators with stored weights, and the axis of these that has the outputs."""

CLOSE = 3  # steps: each engine rounds an input, a product and an output its own way
OLDEST = 13  # opset, that has scales an axis


def quantized_verdict(case: Case) -> str:
    """`int8` or `float`, with the largest difference in steps; empty where nothing is a float."""
    model, inputs = baked(case)
    opset = next((o.version for o in model.opset_import if not o.domain), 0)
    floats = [name for name, data in inputs.items() if is_float(data)]
    outputs = [data for data in case.outputs if is_float(data)]
    if opset < OLDEST or not floats or len(outputs) != len(case.outputs):
        return ""
    if not all(np.isfinite(data).all() for data in (*outputs, *(inputs[n] for n in floats))):
        return ""
    graph = model.graph
    if graph.node[0].op_type in WEIGHTS:
        store_weights(model, inputs)
        floats = [name for name in floats if name in inputs]
    before = [step for name in floats for step in pair(graph, name, f"{name}/real", inputs[name])]
    inside = {name: f"{name}/real" for name in floats}
    inside |= {value.name: f"{value.name}/float" for value in graph.output}
    for node in graph.node:
        node.input[:] = [inside.get(name, name) for name in node.input]
        node.output[:] = [inside.get(name, name) for name in node.output]
    after, steps = [], {}
    for value, data in zip(graph.output, case.outputs, strict=True):
        after += pair(graph, f"{value.name}/float", value.name, data)
        steps[value.name] = scale_of(data)[0]
    nodes = [*before, *graph.node, *after]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return verdict(model, inputs, steps)


def verdict(model: onnx.ModelProto, inputs: Mapping[str, Any], steps: Mapping[str, float]) -> str:
    from ai_edge_litert.interpreter import Interpreter

    try:
        expected = run_onnx(model, inputs)
    except Exception:  # noqa: BLE001 - it has no kernel for this opset or type
        return ""
    try:
        compiled = translate(model, QUIET)
    except UnsupportedError as error:
        return f"refused: {error}".replace("|", "/")
    interpreter = Interpreter(model_content=compiled, num_threads=1)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.asarray(inputs[entry["name"]]))
    interpreter.invoke()
    worst = max(
        float(np.abs(interpreter.get_tensor(e["index"]) - expected[e["name"]]).max())
        / steps[e["name"]]
        for e in interpreter.get_output_details()
    )
    way = "float" if computes_on_floats(interpreter) else "int8"
    return f"{way}, {worst:.0f}" if round(worst) <= CLOSE else f"{way}, **{worst:.0f}**"


def computes_on_floats(interpreter: Any) -> bool:
    kinds = {d["index"]: d["dtype"] for d in interpreter.get_tensor_details()}
    return any(
        kinds[place] is np.float32
        for step in interpreter._get_ops_details()
        if step["op_name"] not in {"QUANTIZE", "DEQUANTIZE", "DELEGATE"}
        for place in step["outputs"]
    )


def is_float(data: Any) -> bool:
    return getattr(data, "dtype", None) == np.float32 and data.size > 0


def scale_of(data: Array) -> tuple[float, int]:
    """Scale and zero point of int8 codes that span the values, zero among them."""
    low, high = min(float(data.min()), 0.0), max(float(data.max()), 0.0)
    scale = float(np.float32((high - low) / 255 or 1.0))
    return scale, round(-128 - low / scale)


def pair(graph: onnx.GraphProto, source: str, result: str, data: Array) -> list[onnx.NodeProto]:
    scale, zero = scale_of(data)
    parameters = [f"{result}/scale", f"{result}/zero"]
    for name, value in zip(parameters, (np.float32(scale), np.int8(zero)), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    codes = f"{result}/codes"
    return [
        helper.make_node("QuantizeLinear", [source, *parameters], [codes]),
        helper.make_node("DequantizeLinear", [codes, *parameters], [result]),
    ]


def store_weights(model: onnx.ModelProto, inputs: dict[str, Any]) -> None:
    """The second factor and a third input as constants: the factor in codes, a scale an output."""
    graph, node = model.graph, model.graph.node[0]
    given = {t.name: numpy_helper.to_array(t) for t in graph.initializer} | inputs
    for name in node.input[1:3]:
        if name in inputs:
            del inputs[name]
            graph.input.remove(next(value for value in graph.input if value.name == name))
            graph.initializer.append(numpy_helper.from_array(np.asarray(given[name]), name))
    weights = np.asarray(given[node.input[1]], np.float32)
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    axis = (0 if transposed else WEIGHTS[node.op_type]) % weights.ndim
    rest = tuple(place for place in range(weights.ndim) if place != axis)
    scale = np.abs(weights).max(axis=rest, keepdims=True) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    codes = np.rint(weights / scale).astype(np.int8)
    label = f"{node.input[1]}/stored"
    for name, array in ((f"{label}/codes", codes), (f"{label}/scale", scale.reshape(-1))):
        graph.initializer.append(numpy_helper.from_array(array, name))
    unpack = helper.make_node(
        "DequantizeLinear", [f"{label}/codes", f"{label}/scale"], [label], axis=axis
    )
    node.input[1] = label
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in (unpack, *graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)
