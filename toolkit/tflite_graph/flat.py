"""Reads a `.tflite` file: tensors, stored numbers and operators, checked before they are used.

The format is a flatbuffer: tables that point at each other inside the file. A damaged one can
point anywhere and claim any length, so every length is held against what the file can hold.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError

IDENTIFIER = b"TFL3"
MOST_VALUES = 1 << 26  # in one tensor: 268 MB in float32; more fits on no device
MOST_AXES = 8  # no kernel takes more
MOST_OPERATORS = 10_000  # networks of edge devices have hundreds
DAMAGE = (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError, KeyError)
"""What reading beyond the file, or something that is no table, raises."""

NUMBERS: Mapping[str, Any] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
"""Types that are read; the other ones mean quantized files, or text."""

T = TypeVar("T")


@dataclass(frozen=True)
class Tensor:
    """A value of the file; `data` holds its numbers where they are stored."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: NDArray[Any] | None = None
    quantized: bool = False


@dataclass(frozen=True)
class Operation:
    """An operator: its name in the schema (a custom one's own), and its table of options."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any

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
    """One graph: what it holds, takes and gives; tensors are known by their place."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def makers(self) -> Mapping[int, Operation]:
        """Which operation makes a tensor."""
        return {place: operation for operation in self.operations for place in operation.outputs}


def read(data: bytes) -> File:
    """The first graph of a file.

    Raises:
        IntegrityError: the bytes are no complete file.
        UnsupportedError: the file is a kind that is not read.
    """
    if data[4:8] != IDENTIFIER:
        raise IntegrityError("This is no TFLite file.", "Copy or export the file again.")
    try:
        return _Reader(data).file()
    except DAMAGE as error:
        raise damaged("a table points outside of it") from error


def damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f"This TFLite file is damaged: {why}.", "Copy the file again, or export it again."
    )


class _Reader:
    """Counts what it reads: nothing lies in a file twice, so all of it is no more than the file."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.left = len(data)
        self.model = schema.Model.GetRootAs(data, 0)
        self.codes = names_of(schema.BuiltinOperator)
        self.types = names_of(schema.TensorType)

    def file(self) -> File:
        if self.model.SubgraphsLength() != 1:
            raise UnsupportedError(
                f"The TFLite file holds {self.model.SubgraphsLength()} graphs; one is read.",
                "Export the model without loops and branches, and one signature a file.",
            )
        graph = self.model.Subgraphs(0)
        if graph.OperatorsLength() > MOST_OPERATORS:
            raise UnsupportedError(
                f"The TFLite file claims {graph.OperatorsLength():,} operators; at most "
                f"{MOST_OPERATORS:,} are read.",
                "Export a smaller model, or copy the file again if it is one.",
            )
        codes = self.each(self.model.OperatorCodesLength, self.model.OperatorCodes, self.code)
        tensors = self.each(graph.TensorsLength, graph.Tensors, self.tensor)
        operations = self.each(
            graph.OperatorsLength, graph.Operators, lambda o: self.operation(o, codes)
        )
        inputs, outputs = self.numbers(graph, "Inputs"), self.numbers(graph, "Outputs")
        for index in (*inputs, *outputs, *(i for o in operations for i in (*o.inputs, *o.outputs))):
            if not -1 <= index < len(tensors):
                raise damaged(f"it names a tensor {index}, and holds {len(tensors)}")
        if min((*inputs, *outputs, *(i for o in operations for i in o.outputs)), default=0) < 0:
            raise damaged("a result has no place")
        return File(tensors, operations, inputs, outputs)

    def each(
        self, length: Callable[[], int], item: Callable[[int], Any], read: Callable[[Any], T]
    ) -> tuple[T, ...]:
        count = length()
        self.take(4 * count)
        return tuple(read(item(index)) for index in range(count))

    def take(self, count: int) -> None:
        self.left -= count
        if count < 0 or self.left < 0:
            raise damaged("it claims to hold more than it has bytes")

    def numbers(self, table: Any, name: str) -> tuple[int, ...]:
        """A vector of integers; empty where it is not given."""
        if getattr(table, f"{name}IsNone")():
            return ()
        self.take(4 * getattr(table, f"{name}Length")())
        return tuple(int(value) for value in getattr(table, f"{name}AsNumpy")())

    def code(self, code: Any) -> str:
        # files from before 2020 fill the old field only
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self.codes[number]
        if name != "CUSTOM":
            return name
        own = code.CustomCode() or b""
        self.take(len(own))
        return str(own.decode())

    def tensor(self, table: Any) -> Tensor:
        name = table.Name() or b""
        self.take(len(name))
        shape = self.numbers(table, "Shape")
        if len(shape) > MOST_AXES or any(size < 0 for size in shape):
            raise damaged(f"a tensor has the shape {shape}")
        if math.prod(shape) > MOST_VALUES:
            raise UnsupportedError(
                f"A tensor of the TFLite file has the shape {list(shape)}: more than "
                f"{MOST_VALUES:,} values.",
                "Export the model with smaller inputs.",
            )
        if table.Sparsity() is not None:
            raise UnsupportedError(
                "The TFLite file stores its weights as sparse tensors.",
                "Export the float model without sparsity; prune it here.",
            )
        found = table.Quantization()
        quantized = found is not None and found.ScaleLength() > 0
        dtype = self.types[table.Type()]
        data = self.stored(table.Buffer(), shape, dtype)
        return Tensor(str(name.decode()), shape, dtype, data, quantized)

    def stored(self, place: int, shape: Sequence[int], dtype: str) -> NDArray[Any] | None:
        """The numbers of a constant; None for a value that is computed."""
        if place >= max(self.model.BuffersLength(), 1):
            raise damaged(f"it names a buffer {place}, and holds {self.model.BuffersLength()}")
        buffer = self.model.Buffers(place) if place else None
        if buffer is None or (buffer.DataIsNone() and not buffer.Offset()):
            return None
        if buffer.Offset() > 1:  # the schema's way for files of more than 2 GB
            raise UnsupportedError(
                "The TFLite file keeps its weights behind the graph, as files over 2 GB do.",
                "Export a smaller model.",
            )
        if not buffer.DataLength():
            return None
        self.take(buffer.DataLength())
        raw = buffer.DataAsNumpy()
        if dtype not in NUMBERS:
            return np.asarray(raw)  # kept as bytes: whoever uses it is refused
        values = np.frombuffer(raw.tobytes(), NUMBERS[dtype])
        if values.size != math.prod(shape):
            raise damaged(f"{values.size} numbers are stored for the shape {list(shape)}")
        return values.reshape(shape)

    def operation(self, table: Any, codes: Sequence[str]) -> Operation:
        place = table.OpcodeIndex()
        if not 0 <= place < len(codes):
            raise damaged(f"it names an operator {place}, and holds {len(codes)}")
        options = None
        if table.BuiltinOptionsType():
            kind = names_of(self.schema.BuiltinOptions)[table.BuiltinOptionsType()]
            union = table.BuiltinOptions()
            if union is not None:
                options = getattr(self.schema, kind)()
                options.Init(union.Bytes, union.Pos)
        return Operation(
            codes[place], self.numbers(table, "Inputs"), self.numbers(table, "Outputs"), options
        )


def names_of(enumeration: Any) -> dict[int, str]:
    """The schema's names by their numbers."""
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}
