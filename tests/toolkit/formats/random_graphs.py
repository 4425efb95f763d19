"""Draws graphs of operators that the compiler knows, each a few steps long."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
MOST = 3000  # values of a tensor: large enough for every layout, small enough for hundreds
UNARY = (
    "Relu", "Tanh", "Sigmoid", "Elu", "LeakyRelu", "HardSwish", "HardSigmoid", "Abs", "Neg",
    "Softplus", "Identity", "Gelu", "Sin", "Exp",
)  # fmt: skip
BINARY = ("Add", "Sub", "Mul", "Max", "Min")


@dataclass
class Sketch:
    """A graph while it is drawn: every value has a shape, and small numbers."""

    draw: Callable[[Any], Any]
    rng: np.random.Generator
    shapes: dict[str, Shape] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)
    inputs: dict[str, Shape] = field(default_factory=dict)

    def pick(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def one(self, choices: Any) -> Any:
        return self.draw(st.sampled_from(list(choices)))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def weights(self, *shape: int) -> str:
        """Small enough that sums over them stay near one."""
        fan = math.prod(shape[1:]) or 1
        array = self.rng.standard_normal(shape) / math.sqrt(fan)
        return self.constant(array.astype(np.float32))

    def constant(self, array: Any) -> str:
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, op: str, inputs: list[str], *shapes: Shape, **attributes: Any) -> None:
        outputs = [f"v{len(self.nodes)}_{index}" for index in range(len(shapes))]
        name = f"node_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        self.shapes |= dict(zip(outputs, shapes, strict=True))

    def model(self) -> onnx.ModelProto:
        read = {name for node in self.nodes for name in node.input}
        ends = [n for n in self.shapes if n not in read or (n in self.inputs and not self.nodes)]
        inner = [name for name in self.shapes if name in read and name not in self.inputs]
        if inner and self.flag():  # one that others read, too
            ends.append(self.one(inner))
        ends = [name for name in ends if name not in self.inputs] or [inner[-1]]
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
                for n, s in self.inputs.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends],
            self.stored,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


Step = Callable[[Sketch, str], bool]
"""Appends an operator behind a value; False where the value does not suit it."""


def unary(s: Sketch, x: str) -> bool:
    op = s.one(UNARY)
    if op == "Exp":  # of what is bounded
        s.add("Tanh", [x], s.shapes[x])
        x = s.nodes[-1].output[0]
    s.add(op, [x], s.shapes[x])
    return True


def clip(s: Sketch, x: str) -> bool:
    low, high = s.one([(0.0, 6.0), (-1.0, 1.0), (0.0, 1.0), (-0.5, 2.0)])
    bounds = [s.constant(np.array(value, np.float32)) for value in (low, high)]
    s.add("Clip", [x, *bounds], s.shapes[x])
    return True


def with_constant(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    start = s.pick(0, len(shape))
    other = tuple(1 if s.flag() else size for size in shape[start:])
    pair = [x, s.weights(*other) if other else s.constant(np.float32(0.5))]
    s.add(s.one(BINARY), pair if s.flag() else pair[::-1], shape)
    return True


def with_value(s: Sketch, x: str) -> bool:
    shape, fits = s.shapes[x], []
    for name, other in s.shapes.items():
        rank = min(len(shape), len(other))
        pairs = zip(shape[len(shape) - rank :], other[len(other) - rank :], strict=True)
        if all(a == b or 1 in (a, b) for a, b in pairs):
            fits.append(name)
    other = s.one(fits)
    made = np.broadcast_shapes(shape, s.shapes[other])
    if math.prod(made) > MOST:
        return False
    s.add(s.one(BINARY), [x, other], made)
    return True


def concat(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axis = s.pick(0, len(shape) - 1)
    rest = shape[:axis] + shape[axis + 1 :]
    fits = [
        name
        for name, other in s.shapes.items()
        if len(other) == len(shape) and other[:axis] + other[axis + 1 :] == rest
    ]
    others = [s.one(fits) for _ in range(s.pick(1, 2))]
    size = sum(s.shapes[name][axis] for name in [x, *others])
    made = (*shape[:axis], size, *shape[axis + 1 :])
    if math.prod(made) > MOST:
        return False
    s.add("Concat", [x, *others], made, axis=axis - len(shape) if s.flag() else axis)
    return True


def split(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    if not axes:
        return False
    axis = s.one(axes)
    first = s.pick(1, shape[axis] - 1)
    sizes = [first, shape[axis] - first]
    made = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    s.add("Split", [x, s.ints(*sizes)], *made, axis=axis)
    return True


def slicing(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axis = s.pick(0, len(shape) - 1)
    start = s.pick(0, shape[axis] - 1)
    end, step = s.pick(start + 1, shape[axis]), s.pick(1, 2)
    if s.flag():
        start, end, step = end - 1, start - 1 - (0 if start else shape[axis]), -step
    count = len(range(shape[axis])[start : None if end < -shape[axis] else end : step])
    made = (*shape[:axis], count, *shape[axis + 1 :])
    if not count:
        return False
    s.add("Slice", [x, *(s.ints(value) for value in (start, end, axis, step))], made)
    return True


def padding(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    mode = s.one(["constant", "reflect"])
    before, after = (
        [s.pick(0, min(2, size - 1) if mode == "reflect" else 2) for size in shape]
        for _ in range(2)
    )
    if mode == "reflect":  # images: the rims of batch and channels are not mirrored
        before[:2], after[:2] = [0] * len(before[:2]), [0] * len(after[:2])
    made = tuple(sum(sizes) for sizes in zip(shape, before, after, strict=True))
    if math.prod(made) > MOST or len(shape) > 4:
        return False
    value = s.constant(np.float32(s.one([0.0, -1.5])))
    s.add("Pad", [x, s.ints(*before, *after), value], made, mode=mode)
    return True


def reshape(s: Sketch, x: str) -> bool:
    count, made = math.prod(s.shapes[x]), []
    for _ in range(s.pick(0, 3)):
        size = s.one([n for n in range(1, min(count, 12) + 1) if count % n == 0])
        made.append(size)
        count //= size
    made.append(count)
    asked = [*made]
    asked[s.pick(0, len(made) - 1)] = -1
    s.add("Reshape", [x, s.ints(*asked)], tuple(made))
    return True


def flatten(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    s.add("Flatten", [x], (shape[0], math.prod(shape[1:])))
    return len(shape) > 1


def transpose(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axes = s.draw(st.permutations(range(len(shape))))
    s.add("Transpose", [x], tuple(shape[axis] for axis in axes), perm=axes)
    return True


def unsqueeze(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) > 3:
        return False
    axis = s.pick(0, len(shape))
    s.add("Unsqueeze", [x, s.ints(axis)], (*shape[:axis], 1, *shape[axis:]))
    return True


def squeeze(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axes = [axis for axis, size in enumerate(shape) if size == 1]
    if not axes or len(shape) < 2:
        return False
    axis = s.one(axes)
    s.add("Squeeze", [x, s.ints(axis)], shape[:axis] + shape[axis + 1 :])
    return True


def reduction(s: Sketch, x: str) -> bool:
    shape, keep = s.shapes[x], s.flag()
    axes = [axis for axis in range(len(shape)) if s.flag()] or [len(shape) - 1]
    kept = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    if not kept:
        return False
    op = s.one(["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2"])
    s.add(op, [x, s.ints(*axes)], tuple(kept), keepdims=int(keep))
    return True


def softmax(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    s.add(s.one(["Softmax", "LogSoftmax"]), [x], shape, axis=s.pick(-1, len(shape) - 1))
    return True


def gather(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    axis = s.pick(0, len(shape) - 1)
    places = [s.pick(-shape[axis], shape[axis] - 1) for _ in range(s.pick(1, 4))]
    made = (*shape[:axis], len(places), *shape[axis + 1 :])
    s.add("Gather", [x, s.ints(*places)], made, axis=axis)
    return math.prod(made) <= MOST


def expand(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    made = tuple(s.pick(1, 3) if size == 1 else size for size in shape)
    if math.prod(made) > MOST:
        return False
    if s.flag():
        s.add("Expand", [x, s.ints(*made)], made)
    else:
        times = [a // b for a, b in zip(made, shape, strict=True)]
        s.add("Tile", [x, s.ints(*times)], made)
    return True


def dense(s: Sketch, x: str) -> bool:
    shape, outputs = s.shapes[x], s.pick(1, 12)
    made = (*shape[:-1], outputs)
    if len(shape) == 2 and s.flag():
        weights, bias = s.weights(outputs, shape[1]), s.weights(outputs)
        s.add("Gemm", [x, weights, bias], made, transB=1)
    elif len(shape) >= 2:
        s.add("MatMul", [x, s.weights(shape[-1], outputs)], made)
    return len(shape) >= 2


def product(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) < 2:
        return False
    turned = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    s.add("Transpose", [x], tuple(shape[axis] for axis in turned), perm=turned)
    made = (*shape[:-1], shape[-2])
    if math.prod(made) > MOST:
        return False
    s.add("MatMul", [x, s.nodes[-1].output[0]], made)
    s.add("Mul", [s.nodes[-1].output[0], s.constant(np.float32(1 / shape[-1]))], made)
    return True


def window(s: Sketch, sizes: Shape) -> tuple[dict[str, Any], Shape] | None:
    """Attributes of a window and the size it leaves."""
    rank = len(sizes)
    kernel = [s.pick(1, 3) for _ in sizes]
    strides, pads = [s.pick(1, 2) for _ in sizes], [s.pick(0, 1) for _ in range(2 * rank)]
    pads = [min(pad, kernel[index % rank] - 1) for index, pad in enumerate(pads)]
    left = tuple(
        (n + pads[i] + pads[rank + i] - kernel[i]) // strides[i] + 1 for i, n in enumerate(sizes)
    )
    if min(left) < 1 or any(k > n for k, n in zip(kernel, sizes, strict=True)):
        return None
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}, left


def convolution(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    found = window(s, shape[2:]) if len(shape) in {3, 4} else None
    if found is None:
        return False
    attributes, left = found
    channels = shape[1]
    groups = s.one([1, channels, *[n for n in (2, 3) if channels % n == 0]])
    outputs = groups * s.pick(1, max(1, 8 // groups))
    made = (shape[0], outputs, *left)
    if math.prod(made) > MOST:
        return False
    kernel = attributes["kernel_shape"]
    inputs = [x, s.weights(outputs, channels // groups, *kernel)]
    s.add("Conv", [*inputs, *([s.weights(outputs)] if s.flag() else [])], made, group=groups,
          **attributes)  # fmt: skip
    return True


def transposed(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) != 4:
        return False
    outputs, kernel, stride = s.pick(1, 6), s.pick(1, 3), s.pick(1, 2)
    pad = s.pick(0, (kernel - 1) // 2)
    left = [(n - 1) * stride + kernel - 2 * pad for n in shape[2:]]
    made = (shape[0], outputs, *left)
    if math.prod(made) > MOST or min(left) < 1:
        return False
    weights = s.weights(shape[1], outputs, kernel, kernel)
    s.add("ConvTranspose", [x, weights], made, strides=[stride] * 2, pads=[pad] * 4)
    return True


def pool(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    found = window(s, shape[2:]) if len(shape) in {3, 4} else None
    if found is None:
        return False
    attributes, left = found
    op = s.one(["MaxPool", "AveragePool"])
    if op == "AveragePool":
        attributes["count_include_pad"] = s.pick(0, 1)
    s.add(op, [x], (*shape[:2], *left), **attributes)
    return True


def whole_pool(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) != 4:
        return False
    s.add(s.one(["GlobalAveragePool", "GlobalMaxPool"]), [x], (*shape[:2], 1, 1))
    return True


def resize(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) != 4:
        return False
    made = (*shape[:2], *(n * s.pick(1, 2) for n in shape[2:]))
    if math.prod(made) > MOST:
        return False
    mode, way = s.one([
        ("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners"),
        ("linear", "asymmetric"),
    ])  # fmt: skip
    more = {"nearest_mode": "floor"} if mode == "nearest" else {}
    s.add("Resize", [x, "", "", s.ints(*made)], made, mode=mode,
          coordinate_transformation_mode=way, **more)  # fmt: skip
    return True


def normalization(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) < 2:
        return False
    if s.flag():
        parts = [s.weights(shape[1]) for _ in range(3)]
        spread = s.constant(np.linspace(0.5, 1.5, shape[1], dtype=np.float32))
        s.add("BatchNormalization", [x, *parts, spread], shape)
    elif shape[-1] > 1:  # one value has no spread
        parts = [s.weights(shape[-1]) for _ in range(2)]
        s.add("LayerNormalization", [x, *parts], shape, axis=-1, epsilon=0.1)
    else:
        return False
    return True


def recurrent(s: Sketch, x: str) -> bool:
    shape = s.shapes[x]
    if len(shape) != 3 or shape[0] > 20:
        return False
    op, hidden = s.one(["LSTM", "GRU", "RNN"]), s.pick(1, 6)
    way = s.one(["forward", "reverse", "bidirectional"])
    ways, gates = 2 if way == "bidirectional" else 1, {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    inputs = [
        x, s.weights(ways, gates * hidden, shape[2]), s.weights(ways, gates * hidden, hidden),
        s.weights(ways, 2 * gates * hidden),
    ]  # fmt: skip
    more = {"linear_before_reset": s.pick(0, 1)} if op == "GRU" else {}
    made = [(shape[0], ways, shape[1], hidden), (ways, shape[1], hidden)]
    s.add(op, inputs, *made, hidden_size=hidden, direction=way, **more)
    return True


FLAT: tuple[Step, ...] = (
    unary, clip, with_constant, with_value, with_value, concat, split, slicing, padding, reshape,
    flatten, transpose, unsqueeze, squeeze, reduction, softmax, gather, expand, dense, dense,
    product, normalization, recurrent, recurrent, recurrent,
)  # fmt: skip
IMAGE: tuple[Step, ...] = (
    convolution, convolution, convolution, transposed, pool, pool, whole_pool, resize,
    normalization, unary, clip, with_constant, with_value, concat, padding,
)  # fmt: skip


@st.composite
def graphs(draw: Any) -> onnx.ModelProto:
    """One or two inputs, up to eight operators behind any of the values before them."""
    sketch = Sketch(draw, np.random.default_rng(draw(st.integers(0, 1000))))
    for index in range(sketch.pick(1, 2)):
        rank = sketch.one([2, 3, 3, 4, 4])
        batch = sketch.one([1, 1, 2])
        shape = (batch, *(sketch.pick(1, 8) for _ in range(rank - 1)))
        sketch.inputs[f"in{index}"] = sketch.shapes[f"in{index}"] = shape
    wanted = sketch.pick(2, 8)
    for _ in range(4 * wanted):
        if len(sketch.nodes) >= wanted:
            break
        x = sketch.one(list(sketch.shapes)[-4:])  # mostly in depth
        steps = IMAGE if len(sketch.shapes[x]) == 4 and sketch.pick(0, 3) else FLAT
        before = len(sketch.nodes), set(sketch.shapes)
        if not sketch.one(steps)(sketch, x):
            del sketch.nodes[before[0] :]
            sketch.shapes = {n: s for n, s in sketch.shapes.items() if n in before[1]}
    if not sketch.nodes:
        unary(sketch, "in0")
    return sketch.model()
