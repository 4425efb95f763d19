"""Appends operators: on tensors, whatever value of the graph they hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from toolkit.flatbuffer.graph import Node, Quantization
from toolkit.flatbuffer.kernels import DATA, WIDENED, rank_of, types_of
from toolkit.flatbuffer.layout import composed, keeps_order, permuted
from toolkit.flatbuffer.quantized import quantized
from toolkit.flatbuffer.writer import Tensor, Writer


@dataclass(kw_only=True)
class Builder:
    """Grows a file operator by operator.

    Attributes:
        node: the one that is being translated.
    """

    writer: Writer = field(default_factory=Writer)
    node: Node | None = None
    _moved: dict[int, tuple[Tensor, tuple[int, ...] | None]] = field(default_factory=dict)

    def emit(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        shape: Sequence[int],
        *,
        dtype: str = "",
        quantization: Quantization | None = None,
        **options: Any,
    ) -> Tensor:
        tensors = tuple(inputs)
        data = tensors[DATA.get(code, 0)]
        if data is None:
            raise AssertionError(f"{code} without data")
        if max(len(data.shape), len(shape)) > rank_of(code):
            raise self.refusal(
                f"works on {len(data.shape)} axes, of which TFLite's kernel takes {rank_of(code)}",
                "Join axes with Reshape before it.",
            )
        if quantization or data.quantization or data.dtype in types_of(code):
            return self.writer.emit(
                code, tensors, shape, dtype=dtype, quantization=quantization, **options
            )
        if data.dtype not in WIDENED or "int32" not in types_of(code):
            raise self.refusal(
                f"computes on {data.dtype}, for which TFLite has no kernel",
                "Cast its input to float32.",
            )
        return self.widened(code, tensors, data.dtype, shape, dtype=dtype or data.dtype, **options)

    def widened(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        narrow: str,
        shape: Sequence[int],
        *,
        dtype: str,
        **options: Any,
    ) -> Tensor:
        """An operator on short integers or bools, done on int32."""
        wide = [self.cast(x, "int32") if x and x.dtype == narrow else x for x in inputs]
        inside = "int32" if dtype == narrow else dtype
        return self.cast(self.emit(code, wide, shape, dtype=inside, **options), dtype)

    def cast(self, tensor: Tensor, dtype: str) -> Tensor:
        if tensor.dtype == dtype:
            return tensor
        return self.emit("CAST", [tensor], tensor.shape, dtype=dtype)

    def real(self, tensor: Tensor) -> Tensor:
        """The numbers that a tensor stands for, where an operator has no way on its codes."""
        if not tensor.quantization:
            return tensor
        return self.emit("DEQUANTIZE", [tensor], tensor.shape, dtype="float32")

    def refusal(self, why: str, hint: str) -> UnsupportedError:
        """What to raise where only the compiler knows that the node at work cannot be said."""
        if self.node is None:
            return UnsupportedError(f"TFLite: an input or output {why}.", hint)
        return self.node.unsupported(why, hint)

    def compute(
        self, code: str, *inputs: Tensor | float, dtype: str = "", **options: Any
    ) -> Tensor:
        """An operator on tensors and numbers that broadcast against each other.

        Numbers, and the result, are stored as the last tensor is.
        """
        like = [x for x in inputs if isinstance(x, Tensor)][-1]
        tensors = [x if isinstance(x, Tensor) else self.scalar(x, like) for x in inputs]
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
        return self.emit(code, tensors, shape, dtype=dtype or like.dtype, **options)

    def quantize(self, tensor: Tensor, quantization: Quantization) -> Tensor:
        """Floats, or integers of another scale, as int8; ahead of a move, which may fall away."""
        if tensor.quantization == quantization:
            return tensor
        if tensor.index in self._moved:
            source, axes = self._moved[tensor.index]
            codes = self.quantize(source, quantization)
            return self.transpose(codes, axes) if axes else self.reshape(codes, tensor.shape)
        return self.emit(
            "QUANTIZE", [tensor], tensor.shape, dtype="int8", quantization=quantization
        )

    def scalar(self, value: float, like: Tensor) -> Tensor:
        """A constant to compute with `like`: stored as that is."""
        number = np.array(value, np.float64)
        if like.quantization:
            codes = quantized(number, like.quantization)
            return self.writer.constant(codes, like.quantization)
        return self.writer.constant(number.astype(like.dtype))

    # moving without computing

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """The same memory under another shape; of several in a row only the last is done."""
        source, axes = self._moved.get(tensor.index, (tensor, ()))
        source = source if axes is None else tensor
        wanted = tuple(int(size) for size in shape)
        if source.shape == wanted:
            return source
        made = self.emit(
            "RESHAPE",
            [source, self.writer.constant(wanted)],
            wanted,
            quantization=tensor.quantization,
            newShape=list(wanted),
        )
        self._moved[made.index] = (source, None)
        return made

    def transpose(self, tensor: Tensor, axes: Sequence[int]) -> Tensor:
        """Axes in another order; of several in a row only their sum is done."""
        before, done = self._moved.get(tensor.index, (tensor, None))
        source, axes = (before, composed(done, axes)) if done else (tensor, tuple(axes))
        if axes == tuple(range(len(axes))):
            return source
        shape = permuted(source.shape, axes)
        if keeps_order(source.shape, axes):
            return self.reshape(source, shape)
        made = self.emit(
            "TRANSPOSE",
            [source, self.writer.constant(axes)],
            shape,
            quantization=tensor.quantization,
        )
        self._moved[made.index] = (source, axes)
        return made
