"""Operators of a graph in torch give what the standard's reference gives."""

from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edge_targets.runtime.errors import UnsupportedError
from toolkit.training.replay import Reader, operators, run

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 4, 7, 6)).astype(np.float32)
ROWS = RNG.normal(size=(3, 5)).astype(np.float32)
SOUND = RNG.normal(size=(2, 4, 9)).astype(np.float32)


def weight(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Add", [IMAGE, weight(4, 1, 1)], {}),
    ("AveragePool", [IMAGE], {"kernel_shape": [2, 3], "strides": [2, 1]}),
    (
        "AveragePool",
        [IMAGE],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    ("BatchNormalization", [IMAGE, *(np.abs(weight(4)) for _ in range(4))], {"epsilon": 1e-3}),
    ("Clip", [ROWS, np.float32(-0.5), np.float32(0.5)], {}),
    ("Concat", [ROWS, ROWS], {"axis": 1}),
    ("Conv", [IMAGE, weight(6, 4, 3, 2), weight(6)], {"pads": [0, 1, 2, 0], "strides": [2, 1]}),
    ("Conv", [IMAGE, weight(4, 1, 3, 3)], {"group": 4, "dilations": [2, 1]}),
    ("Conv", [SOUND, weight(3, 4, 3)], {"pads": [2, 1]}),
    ("Div", [ROWS, np.float32(3)], {}),
    ("Flatten", [IMAGE], {}),
    ("Gemm", [ROWS, weight(2, 5), weight(2)], {"transB": 1}),
    ("Gemm", [ROWS, weight(5, 2), weight(2)], {"alpha": 0.5, "beta": 2.0}),
    ("GlobalAveragePool", [IMAGE], {}),
    ("HardSigmoid", [ROWS], {"alpha": 0.3}),
    ("HardSwish", [ROWS], {}),
    ("Identity", [ROWS], {}),
    ("LeakyRelu", [ROWS], {"alpha": 0.2}),
    ("MatMul", [ROWS, weight(5, 2)], {}),
    ("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", [IMAGE - 9], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [SOUND], {"kernel_shape": [3], "strides": [2]}),
    ("Mul", [ROWS, ROWS], {}),
    ("ReduceMean", [IMAGE, whole(2, 3)], {"keepdims": 0}),
    ("Relu", [ROWS], {}),
    ("Reshape", [IMAGE, whole(0, -1)], {}),
    ("Sigmoid", [ROWS], {}),
    ("Squeeze", [IMAGE[:1], whole(0)], {}),
    ("Sub", [ROWS, np.float32(3)], {}),
    ("Tanh", [ROWS], {}),
    ("Transpose", [IMAGE], {"perm": [0, 2, 3, 1]}),
    ("Unsqueeze", [ROWS, whole(0, 3)], {}),
    ("Gelu", [ROWS], {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=lambda value: str(value)[:20])
def test_an_operator_gives_what_the_reference_gives(
    op: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    arrays = [np.asarray(value) for value in inputs]
    names = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node(op, names, ["y"], **attributes)
    values = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip(names, arrays, strict=True)
    ]
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "g", values, [given]),
        opset_imports=[helper.make_opsetid("", 20)],
    )
    [expected] = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))

    found = run(Reader(node), [torch.tensor(array) for array in arrays])

    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_every_operator_is_compared() -> None:
    assert {op for op, _, _ in CASES} == set(operators())


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (helper.make_node("Frobnicate", ["x"], ["y"], name="n"), [ROWS]),
        (helper.make_node("Flatten", ["x"], ["y"], name="n", axis=2), [IMAGE]),
        (
            helper.make_node(
                "Conv", ["x", "w"], ["y"], name="n", auto_pad="SAME_UPPER", kernel_shape=[3, 3]
            ),
            [IMAGE, weight(4, 4, 3, 3)],
        ),
        (
            helper.make_node("AveragePool", ["x"], ["y"], name="n", kernel_shape=[3], pads=[1, 1]),
            [SOUND],
        ),
    ],
    ids=lambda value: getattr(value, "op_type", ""),
)
def test_what_cannot_be_trained_through_is_named(node: Any, inputs: list[Any]) -> None:
    with pytest.raises(UnsupportedError, match=rf"{node.op_type} \(node 'n'\)") as caught:
        run(Reader(node), [torch.tensor(value) for value in inputs])

    assert "quantize_int8" in caught.value.hint
