"""Collects the tensors and operators of a TFLite file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.flatbuffer.graph import Quantization

STORED = {"int64": "int32", "float64": "float32", "float16": "float32"}
"""Kernels exist for few types: wider and half-wide ones are narrowed or widened."""


@dataclass(frozen=True)
class Tensor:
    """A value in the file.

    Attributes:
        index: unique while writing.
        free: the shape with -1 where a program may choose another size; empty when it may not.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    free: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One operator of the file; its `code` is the schema's name of it."""

    code: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Subgraph:
    """What an operator such as WHILE runs; its tensors are its own, the stored ones shared."""

    writer: "Writer"
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass
class Writer:
    """Grows while a graph is translated. Equal constants are stored once."""

    operations: list[Operation] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    scope: str = ""
    subgraphs: list[Subgraph] = field(default_factory=list)
    _constants: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def inner(self) -> "Writer":
        """A writer of operators apart, of the same file."""
        return replace(self, operations=[])

    def add(self, subgraph: Subgraph) -> int:
        """The number under which operators call a subgraph; the file's own graph is 0."""
        self.subgraphs.append(subgraph)
        return len(self.subgraphs)

    def tensor(
        self, shape: Sequence[int], dtype: str, quantization: Quantization | None = None
    ) -> Tensor:
        made = Tensor(len(self.names), tuple(int(size) for size in shape), dtype, quantization)
        self.names[made.index] = f"{self.scope}#{made.index}"
        return made

    def constant(
        self,
        array: NDArray[Any] | Sequence[int],
        quantization: Quantization | None = None,
        *,
        as_is: bool = False,
    ) -> Tensor:
        """A tensor that is stored in the file; plain sequences are int32 parameters.

        `as_is`: in the type it has, for which there may be no kernel but DEQUANTIZE.
        """
        values = np.asarray(array, None if isinstance(array, np.ndarray) else np.int32)
        dtype = values.dtype.name if as_is else STORED.get(values.dtype.name, values.dtype.name)
        if values.dtype == np.int64:
            # "to the end" is written as the largest int64
            values = values.clip(np.iinfo(np.int32).min, np.iinfo(np.int32).max)
        content = np.ascontiguousarray(values, dtype).tobytes()
        if quantization and quantization.bits == 4:
            dtype, content = "int4", nibbles(values)
        key = (values.shape, dtype, quantization, content)
        if key not in self._constants:
            made = self._constants[key] = self.tensor(values.shape, dtype, quantization)
            self.data[made.index] = content
        return self._constants[key]

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
        """Append an operator; its output has the first input's dtype unless another is given."""
        first = next(tensor for tensor in inputs if tensor is not None)
        output = self.tensor(shape, dtype or first.dtype, quantization)
        self.append(code, inputs, [output], **options)
        return output

    def append(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        **options: Any,
    ) -> None:
        """Append an operator that writes tensors which are there already."""
        self.operations.append(Operation(code, tuple(inputs), tuple(outputs), options))

    def needed(self, outputs: Sequence[Tensor]) -> list[Operation]:
        """The operators that the outputs depend on, in order of execution."""
        wanted = {tensor.index for tensor in outputs}
        kept = []
        for operation in reversed(self.operations):
            if any(tensor.index in wanted for tensor in operation.outputs):
                kept.append(operation)
                wanted |= {tensor.index for tensor in operation.inputs if tensor}
        return kept[::-1]


def nibbles(codes: NDArray[Any]) -> bytes:
    """Two codes of four bits a byte, the first in the lower half."""
    flat = codes.reshape(-1).astype(np.uint8) & 0xF
    padded = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    return bytes(padded[0::2] | padded[1::2] << 4)
