"""Small graphs of many kinds with random weights, and a way to run one as it is written."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

Array = np.ndarray[Any, Any]
Make = Callable[..., bytes]
FLOAT = onnx.TensorProto.FLOAT


def floats(*shape: int, size: float = 1.0) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return (size * np.random.default_rng(shape).standard_normal(shape)).astype(np.float32)


def step(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    name = f"the_{op}_of_{outputs}"
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


def built(
    nodes: Sequence[onnx.NodeProto],
    item: Sequence[int],
    given: Sequence[int],
    stored: dict[str, Array],
) -> bytes:
    """A graph from `x`, a batch of items, to `y`, a batch of what is given for each."""
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", *item])],
        [helper.make_tensor_value_info("y", FLOAT, ["batch", *given])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString(deterministic=True))


def chain() -> bytes:
    """Convolution, depthwise, pointwise, pooling, a dense layer, softmax."""
    nodes = [
        step("Conv", "x 0.weight 0.bias", "c0", pads=[1, 1, 1, 1]), step("Relu", "c0", "r0"),
        step("Conv", "r0 1.weight 1.bias", "c1", pads=[1, 1, 1, 1], group=8),
        step("Relu", "c1", "r1"),
        step("Conv", "r1 2.weight", "c2"), step("Relu", "c2", "r2"),
        step("MaxPool", "r2", "p", kernel_shape=[2, 2], strides=[2, 2]),
        step("Flatten", "p", "f"),
        step("Gemm", "f 3.weight 3.bias", "g", transB=1), step("Softmax", "g", "y", axis=1),
    ]  # fmt: skip
    stored = {
        "0.weight": floats(8, 3, 3, 3, size=0.3), "0.bias": floats(8, size=0.1),
        "1.weight": floats(8, 1, 3, 3, size=0.4), "1.bias": floats(8, size=0.2),
        "2.weight": floats(12, 8, 1, 1, size=0.4),
        "3.weight": floats(5, 192, size=0.1), "3.bias": floats(5),
    }  # fmt: skip
    return built(nodes, (3, 8, 8), (5,), stored)


def residual() -> bytes:
    """A sum of two branches, ReLU6 behind it, a mean, two branches joined."""
    nodes = [
        step("Conv", "x 0.weight 0.bias", "c0"), step("Clip", "c0 zero six", "r0"),
        step("Conv", "r0 1.weight 1.bias", "c1", pads=[1, 1, 1, 1]),
        step("Add", "c1 r0", "s"), step("Relu", "s", "r1"),
        step("Concat", "r1 r0", "j", axis=1),
        step("GlobalAveragePool", "j", "a"), step("Flatten", "a", "f"),
        step("Gemm", "f 2.weight 2.bias", "y"),
    ]  # fmt: skip
    stored = {
        "0.weight": floats(6, 3, 1, 1), "0.bias": floats(6),
        "1.weight": floats(6, 6, 3, 3, size=0.2), "1.bias": floats(6, size=0.3),
        "2.weight": floats(12, 4), "2.bias": floats(4),
        "zero": np.array(0, np.float32), "six": np.array(6, np.float32),
    }  # fmt: skip
    return built(nodes, (3, 6, 6), (4,), stored)


def perceptron() -> bytes:
    """A feature step, then two dense layers, one of them as MatMul and Add."""
    nodes = [
        step("Mul", "x 0.0.times", "t"),
        step("Gemm", "t 1.0.weight 1.0.bias", "g", transB=1), step("Relu", "g", "r"),
        step("MatMul", "r 1.2.weight", "m"), step("Add", "m 1.2.bias", "y"),
    ]  # fmt: skip
    stored = {
        "0.0.times": np.array([0.5, 2, 1, 1, 1, 0.1], np.float32),
        "1.0.weight": floats(16, 6), "1.0.bias": floats(16),
        "1.2.weight": floats(16, 3), "1.2.bias": floats(3),
    }  # fmt: skip
    return built(nodes, (6,), (3,), stored)


def sequence() -> bytes:
    """A recurrent layer, and a dense one for every step of the series."""
    nodes = [
        step("Transpose", "x", "t", perm=[1, 0, 2]),
        step("LSTM", "t 0.weight_ih 0.weight_hh 0.bias", "h", hidden_size=4),
        step("Squeeze", "h one", "s"),
        step("Transpose", "s", "b", perm=[1, 0, 2]),
        step("MatMul", "b 1.weight", "m"), step("Add", "m 1.bias", "y"),
    ]  # fmt: skip
    stored = {
        "0.weight_ih": floats(1, 16, 3), "0.weight_hh": floats(1, 16, 4), "0.bias": floats(1, 32),
        "1.weight": floats(4, 2), "1.bias": floats(2), "one": np.array([1], np.int64),
    }  # fmt: skip
    return built(nodes, (7, 3), (7, 2), stored)


def normalized() -> bytes:
    """Batch norms behind a convolution, a transposed one and a dense layer, one before none."""
    nodes = [
        step("Conv", "x 0.weight", "c", pads=[1, 1, 1, 1]),
        step("BatchNormalization", "c s0 b0 m0 v0", "n0"), step("Relu", "n0", "r"),
        step("ConvTranspose", "r 1.weight 1.bias", "d", group=2, strides=[2, 2]),
        step("BatchNormalization", "d s1 b1 m1 v1", "n1"),
        step("GlobalAveragePool", "n1", "a"), step("Flatten", "a", "f"),
        step("Gemm", "f 2.weight 2.bias", "g"),
        step("BatchNormalization", "g s2 b2 m2 v2", "y"),
    ]  # fmt: skip
    stored = {
        "0.weight": floats(4, 3, 3, 3), "1.weight": floats(4, 3, 2, 2), "1.bias": floats(6),
        "2.weight": floats(6, 5), "2.bias": floats(5),
    }  # fmt: skip
    for index, channels in enumerate((4, 6, 5)):
        stored |= {
            f"s{index}": 1 + np.abs(floats(channels)), f"b{index}": floats(channels),
            f"m{index}": floats(channels, size=0.5), f"v{index}": 0.5 + np.abs(floats(channels)),
        }  # fmt: skip
    return built(nodes, (3, 6, 6), (5,), stored)


GRAPHS: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "chain": (chain, (3, 8, 8)),
    "residual": (residual, (3, 6, 6)),
    "perceptron": (perceptron, (6,)),
    "sequence": (sequence, (7, 3)),
    "normalized": (normalized, (3, 6, 6)),
}


@pytest.fixture
def graph(request: pytest.FixtureRequest) -> bytes:
    """The graph whose name the test is parametrized with."""
    return GRAPHS[request.param][0]()


@pytest.fixture
def make() -> Make:
    return built


@pytest.fixture
def items() -> Callable[[bytes, int], Array]:
    """Inputs of the shape that a graph takes."""

    def drawn(graph: bytes, count: int) -> Array:
        [taken] = onnx.load_from_string(graph).graph.input
        dims = [dim.dim_value for dim in taken.type.tensor_type.shape.dim[1:]]
        return floats(count, *dims)

    return drawn


@pytest.fixture
def run() -> Callable[..., Array]:
    """What a graph gives, node by node as it is written unless `optimized`."""

    def outputs(graph: bytes, inputs: Array, *, optimized: bool = False) -> Array:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        # without it int8 sums overflow in 16 bits on processors that have AVX2 but no VNNI
        options.add_session_config_entry("session.x64quantprecision", "1")
        if not optimized:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"x": inputs})[0])

    return outputs


@pytest.fixture
def stored() -> Callable[[bytes], dict[str, Array]]:
    """The stored arrays of a graph by name."""

    def arrays(graph: bytes) -> dict[str, Array]:
        tensors = onnx.load_from_string(graph).graph.initializer
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}

    return arrays
