"""The operators of an ONNX graph in torch, so that a graph can be trained as it will be run."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.errors import UnsupportedError

if TYPE_CHECKING:
    import torch

Operator = Callable[["Reader", "Sequence[Any]"], "torch.Tensor"]


class Reader:
    """A node's attributes, with what they are when they are not written."""

    def __init__(self, node: Any) -> None:
        from onnx import helper

        self.op, self.name = str(node.op_type), str(node.name)
        self.given = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def get(self, name: str, default: Any) -> Any:
        return self.given.get(name, default)

    def refuse(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"qat cannot train through {self.op} (node {self.name!r}): {what}.",
            "Use quantize_int8, which needs no training.",
        )


def run(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    """What the node gives for these values; an input that is left out is None.

    Raises:
        UnsupportedError: an operator that is not known here.
    """
    operator = operators().get(reader.op)
    if operator is None:
        raise reader.refuse("the operator is not known there")
    return operator(reader, inputs)


def convolve(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    from torch.nn import functional

    values, weight = inputs[0], inputs[1]
    bias = inputs[2] if len(inputs) > 2 else None
    rank = weight.ndim - 2
    if rank not in {1, 2}:
        raise reader.refuse(f"{rank} dimensions")
    convolution = functional.conv1d if rank == 1 else functional.conv2d
    found: torch.Tensor = convolution(
        padded(reader, values, rank, 0.0),
        weight,
        bias,
        stride=reader.get("strides", [1] * rank),
        dilation=reader.get("dilations", [1] * rank),
        groups=reader.get("group", 1),
    )
    return found


def padded(reader: Reader, values: "torch.Tensor", rank: int, fill: float) -> "torch.Tensor":
    from torch.nn import functional

    if reader.get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}:
        raise reader.refuse("automatic padding")
    pads = reader.get("pads", [0] * 2 * rank)
    if not any(pads):
        return values
    # ONNX: all beginnings, then all ends; torch: pairs, the last dimension first
    pairs = [pads[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)]
    return functional.pad(values, pairs, value=fill)


def pool(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    from torch.nn import functional

    [values], kernel = inputs, reader.get("kernel_shape", [])
    rank, is_max = len(kernel), reader.op == "MaxPool"
    if rank not in {1, 2} or any(d != 1 for d in reader.get("dilations", [1])):
        raise reader.refuse("this kind of window")
    pads = reader.get("pads", [0] * 2 * rank)
    if not is_max and any(pads) and not reader.get("count_include_pad", 0):
        raise reader.refuse("padding that does not count")
    step = reader.get("strides", [1] * rank)
    wide = padded(reader, values, rank, float("-inf") if is_max else 0.0)
    kind = "max" if is_max else "avg"
    function = getattr(functional, f"{kind}_pool{rank}d")
    found: torch.Tensor = function(wide, kernel, step, ceil_mode=bool(reader.get("ceil_mode", 0)))
    return found


def product(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    values, weight = inputs[0], inputs[1]
    left = values.T if reader.get("transA", 0) else values
    right = weight.T if reader.get("transB", 0) else weight
    found: torch.Tensor = reader.get("alpha", 1.0) * (left @ right)
    if len(inputs) > 2 and inputs[2] is not None:
        found = found + reader.get("beta", 1.0) * inputs[2]
    return found


def reshape(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    values, shape = inputs[0], inputs[1].tolist()
    keep = not reader.get("allowzero", 0)
    sizes = [values.shape[i] if keep and not size else size for i, size in enumerate(shape)]
    found: torch.Tensor = values.reshape(sizes)
    return found


def mean(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    axes = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else None
    axes = reader.get("axes", axes)
    everything = list(range(inputs[0].ndim))
    found: torch.Tensor = inputs[0].mean(
        axes or everything, keepdim=bool(reader.get("keepdims", 1))
    )
    return found


def clip(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    import torch

    low, high = (*inputs[1:], None, None)[:2]
    return torch.clamp(inputs[0], low, high) if len(inputs) > 1 else inputs[0]


def squeeze(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    values, axes = inputs[0], inputs[1].tolist()
    found: torch.Tensor
    if reader.op == "Squeeze":
        found = values.squeeze(tuple(axes))
        return found
    rank = values.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        values = values.unsqueeze(axis)
    found = values
    return found


def normalize(reader: Reader, inputs: "Sequence[Any]") -> "torch.Tensor":
    from torch.nn import functional

    values, scale, shift, middle, variance = inputs
    return functional.batch_norm(
        values, middle, variance, scale, shift, eps=reader.get("epsilon", 1e-5)
    )


def operators() -> dict[str, Operator]:
    import torch
    from torch.nn import functional

    return {
        "Add": lambda r, v: v[0] + v[1],
        "AveragePool": pool,
        "BatchNormalization": normalize,
        "Clip": clip,
        "Concat": lambda r, v: torch.cat(list(v), r.get("axis", 0)),
        "Conv": convolve,
        "Div": lambda r, v: v[0] / v[1],
        "Flatten": lambda r, v: v[0].flatten(1) if r.get("axis", 1) == 1 else refuse_axis(r),
        "Gelu": lambda r, v: functional.gelu(
            v[0], approximate=r.get("approximate", b"none").decode()
        ),
        "Gemm": product,
        "GlobalAveragePool": lambda r, v: v[0].mean(tuple(range(2, v[0].ndim)), keepdim=True),
        "HardSigmoid": lambda r, v: torch.clamp(
            r.get("alpha", 0.2) * v[0] + r.get("beta", 0.5), 0, 1
        ),
        "HardSwish": lambda r, v: functional.hardswish(v[0]),
        "Identity": lambda r, v: v[0],
        "LeakyRelu": lambda r, v: functional.leaky_relu(v[0], r.get("alpha", 0.01)),
        "MatMul": lambda r, v: v[0] @ v[1],
        "MaxPool": pool,
        "Mul": lambda r, v: v[0] * v[1],
        "ReduceMean": mean,
        "Relu": lambda r, v: torch.relu(v[0]),
        "Reshape": reshape,
        "Sigmoid": lambda r, v: torch.sigmoid(v[0]),
        "Squeeze": squeeze,
        "Sub": lambda r, v: v[0] - v[1],
        "Tanh": lambda r, v: torch.tanh(v[0]),
        "Transpose": lambda r, v: v[0].permute(r.get("perm", list(reversed(range(v[0].ndim))))),
        "Unsqueeze": squeeze,
    }


def refuse_axis(reader: Reader) -> "torch.Tensor":
    raise reader.refuse(f"axis {reader.get('axis', 1)}")
