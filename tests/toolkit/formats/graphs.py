"""Small ONNX graphs, said in few words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, Any]


def floats(*shape: int) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def node(op: str, *constants: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [helper.make_node(op, ["x", *constants], ["y"], name=f"the_{op}", **attributes)]


def step(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    x: Array,
    constants: dict[str, Array] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    """A model from `x` with a free batch to `y`, of whatever type it has."""
    elem = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", elem, ["batch", *x.shape[1:]])],
        [helper.make_value_info("y", onnx.TypeProto())],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(model)
