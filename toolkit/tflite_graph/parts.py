"""What a `.tflite` file is made of, once it is read."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError

Array = NDArray[Any]
MOST_AXES = 8  # no kernel takes more
DAMAGE = (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError, KeyError)
"""What reading beyond the file, or something that is no table, raises."""

CODES = {"INT8", "UINT8", "INT16", "INT4"}
"""Integers that may stand for real numbers."""


def damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f"This TFLite file is damaged: {why}.", "Copy the file again, or export it again."
    )


@dataclass(frozen=True)
class Scales:
    """real = scale · (stored - zero point); one pair, or one for each index along `axis`."""

    scale: NDArray[np.float32]
    zero: NDArray[np.int64]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return self.scale.size > 1


@dataclass(frozen=True)
class Tensor:
    """A value of the file.

    Attributes:
        data: its numbers where they are stored; codes of 4 bits lie in an int8 each.
        scales: how its integers stand for real numbers.
        is_state: it keeps what it holds from one run to the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Array | None = None
    scales: Scales | None = None
    is_state: bool = False

    @property
    def quantized(self) -> bool:
        return self.scales is not None and self.dtype in CODES


@dataclass(frozen=True)
class Operation:
    """An operator: its name in the schema (a custom one's own), and its table of options."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    is_custom: bool = False

    def option(self, name: str, default: Any = 0) -> Any:
        """A field of the options, by the schema's name in CamelCase."""
        if self.options is None:
            return default
        try:
            return getattr(self.options, name)()
        except DAMAGE as error:
            raise damaged(f"the options of {self.code} cannot be read") from error

    def unsupported(self, why: str, hint: str) -> UnsupportedError:
        return UnsupportedError(f"TFLite import: {self.code} {why}.", hint)


@dataclass(frozen=True)
class File:
    """One graph: what it holds, takes and gives; tensors are known by their place.

    Attributes:
        graphs: how many the file holds; the first one is read.
        size: bytes.
    """

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    graphs: int
    size: int

    @cached_property
    def has_codes(self) -> bool:
        """Whether some of what it computes is held as codes."""
        return any(tensor.quantized and tensor.data is None for tensor in self.tensors)

    @cached_property
    def makers(self) -> Mapping[int, Operation]:
        """Which operation makes a tensor."""
        return {place: operation for operation in self.operations for place in operation.outputs}
