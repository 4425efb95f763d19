"""Small networks drawn at random, the same for the same seed."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from tests.toolkit.importers.tflite_files import Array
from toolkit.model import Model


class Draw:
    """A small network, drawn: each step takes one of the values there are."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.stored: dict[str, Array] = {}
        channels = int(self.random.choice([1, 3, 4]))
        height, width = (int(n) for n in self.random.integers(6, 12, 2))
        self.shape = (channels, height, width)
        self.values: dict[str, tuple[int, ...]] = {"x": self.shape}
        for _ in range(self.random.integers(3, 9)):
            self.step()
        self.end()

    def weights(self, *shape: int) -> str:
        name = f"w{len(self.stored)}"
        reach = np.sqrt(2 / max(int(np.prod(shape[1:])), 1))
        self.stored[name] = (self.random.standard_normal(shape) * reach).astype(np.float32)
        return name

    def node(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"n_{name}", **attributes))
        self.values[name] = shape
        return name

    def step(self) -> None:
        name = str(self.random.choice(list(self.values)[-2:]))
        c, h, w = self.values[name]
        kind = self.random.choice(["conv", "depthwise", "pool", "join", "sum", "unary", "scale"])
        if kind == "conv":
            size, stride = int(self.random.choice([1, 3])), int(self.random.choice([1, 2]))
            outputs = int(self.random.choice([2, 5, 8]))
            if min(h, w) < 3:
                return
            side = size // 2
            plane = tuple((n + 2 * side - size) // stride + 1 for n in (h, w))
            given = [name, self.weights(outputs, c, size, size), self.weights(outputs)]
            made = self.node(
                "Conv", given, (outputs, *plane), pads=[side] * 4, strides=[stride] * 2,
                kernel_shape=[size] * 2,
            )  # fmt: skip
            if self.random.random() < 0.5:
                self.node("Relu", [made], (outputs, *plane))
        elif kind == "depthwise":
            given = [name, self.weights(c, 1, 3, 3)]
            self.node("Conv", given, (c, h, w), pads=[1] * 4, group=c, kernel_shape=[3, 3])
        elif kind == "pool" and min(h, w) >= 4:
            op = str(self.random.choice(["MaxPool", "AveragePool"]))
            self.node(op, [name], (c, h // 2, w // 2), kernel_shape=[2, 2], strides=[2, 2])
        elif kind in {"join", "sum"}:
            others = [n for n, s in self.values.items() if s[1:] == (h, w) and n != name]
            if kind == "sum":
                others = [n for n in others if self.values[n] == (c, h, w)]
            if others:
                other = str(self.random.choice(others))
                if kind == "sum":
                    self.node("Add", [name, other], (c, h, w))
                else:
                    self.node("Concat", [name, other], (c + self.values[other][0], h, w), axis=1)
        elif kind == "scale":
            self.node("Mul", [name, self.weights(1, c, 1, 1)], (c, h, w))
        elif kind == "unary":
            op = str(self.random.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish"]))
            self.node(op, [name], (c, h, w))

    def end(self) -> None:
        name = list(self.values)[-1]
        c, h, w = self.values[name]
        if self.random.random() < 0.5:
            name, size = self.node("GlobalAveragePool", [name], (c, 1, 1)), c
        else:
            size = c * h * w
        flat = self.node("Flatten", [name], (size,))
        given = [flat, self.weights(4, size), self.weights(4)]
        made = self.node("Gemm", given, (4,), transB=1)
        self.nodes[-1].output[0] = "y" if self.random.random() < 0.5 else made
        if self.nodes[-1].output[0] == made:
            self.node("Softmax", [made], (4,), axis=1)
            self.nodes[-1].output[0] = "y"

    def model(self) -> Model:
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("x", kind, ["batch", *self.shape])],
            [helper.make_tensor_value_info("y", kind, ["batch", 4])],
            [numpy_helper.from_array(array, name) for name, array in self.stored.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.checker.check_model(made, full_check=True)
        signature = Signature((TensorSpec("x", (-1, *self.shape)),), (TensorSpec("y", (-1, 4)),))
        return Model(signature, graph=made.SerializeToString())
