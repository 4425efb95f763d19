"""Reads a `.tflite` file: tensors, stored numbers and operators, checked before they are used.

The format is a flatbuffer: tables that point at each other inside the file. A damaged one can
point anywhere and claim any length, so every length is held against what the file can hold.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from toolkit.tflite_graph.numbers import refuse_scales, values_of
from toolkit.tflite_graph.parts import (
    DAMAGE,
    MOST_AXES,
    File,
    Operation,
    Scales,
    Tensor,
    damaged,
)

IDENTIFIER = b"TFL3"
MOST_VALUES = 1 << 26  # in one tensor: 268 MB in float32; more fits on no device
MOST_OPERATORS = 10_000  # networks of edge devices have hundreds
SHARED = 16  # times a part of a file may be read: writers store what is equal once

T = TypeVar("T")


def read(data: bytes) -> File:
    """The first graph of a file.

    Raises:
        IntegrityError: the bytes are no complete file.
        UnsupportedError: the file is a kind that is not read.
    """
    if data[4:8] != IDENTIFIER:
        raise IntegrityError("This is no TFLite file.", "Copy or export the file again.")
    try:
        file = _Reader(data).file()
    except DAMAGE as error:
        raise damaged("a table points outside of it") from error
    refuse_disorder(file)
    return file


def refuse_disorder(file: File) -> None:
    """Hold that every value is made once, and before it is read."""
    known = {i for i, tensor in enumerate(file.tensors) if tensor.data is not None}
    if not known.isdisjoint(file.inputs) or len(set(file.inputs)) < len(file.inputs):
        raise damaged("it takes a value that it holds, or takes one twice")
    known |= set(file.inputs) | {-1} | {i for i, t in enumerate(file.tensors) if t.is_state}
    for operation in file.operations:
        for place in operation.inputs:
            if place not in known and not operation.is_custom:  # it is refused by its name
                raise damaged(f"{operation.code} reads a tensor that nothing has made before")
        if not known.isdisjoint(operation.outputs) or len(set(operation.outputs)) < len(
            operation.outputs
        ):
            raise damaged(f"{operation.code} makes a tensor that is there already")
        known |= set(operation.outputs)
    if not set(file.outputs) <= known:
        raise damaged("it gives a tensor that nothing makes")


class _Reader:
    """Counts what it reads: all of it is no more than the file holds, a few times over."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.data = data
        self.size = len(data)
        self.left = SHARED * len(data)
        self.model = schema.Model.GetRootAs(data, 0)
        self.codes = names_of(schema.BuiltinOperator)
        self.types = names_of(schema.TensorType)

    def file(self) -> File:
        if self.model.SubgraphsLength() < 1:
            raise damaged("it holds no graph")
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
        graphs = self.model.SubgraphsLength()
        return File(tensors, operations, inputs, outputs, graphs, self.size)

    def each(
        self, length: Callable[[], int], item: Callable[[int], Any], read: Callable[[Any], T]
    ) -> tuple[T, ...]:
        count = length()
        self.take(4 * count)
        return tuple(read(item(index)) for index in range(count))

    def take(self, count: int) -> None:
        self.left -= count
        if not 0 <= count <= self.size or self.left < 0:
            raise damaged("it claims to hold more than it has bytes")

    def numbers(self, table: Any, name: str) -> tuple[int, ...]:
        """A vector of integers; empty where it is not given."""
        if getattr(table, f"{name}IsNone")():
            return ()
        self.take(4 * getattr(table, f"{name}Length")())
        return tuple(int(value) for value in getattr(table, f"{name}AsNumpy")())

    def code(self, code: Any) -> tuple[str, bool]:
        """The name of an operator, and whether it is somebody's own."""
        # files from before 2020 fill the old field only
        name = self.codes[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if name != "CUSTOM":
            return name, False
        own = code.CustomCode() or b""
        self.take(len(own))
        return str(own.decode()), True

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
        dtype = self.types[table.Type()]
        data = self.stored(table.Buffer(), shape, dtype)
        scales = self.scales(table.Quantization(), shape)
        made = Tensor(str(name.decode()), shape, dtype, data, scales, bool(table.IsVariable()))
        refuse_scales(made)
        return made

    def scales(self, table: Any, shape: tuple[int, ...]) -> Scales | None:
        """How integers stand for real numbers; None where they stand for themselves."""
        if table is None:
            return None
        if table.DetailsType():
            raise UnsupportedError(
                "The TFLite file has weights with a scale for every block of them.",
                "Quantize with one scale a channel or a tensor; or import the float model.",
            )
        if not table.ScaleLength():
            return None
        self.take(4 * table.ScaleLength())
        scale = np.array(table.ScaleAsNumpy(), np.float32)
        zero = np.zeros(scale.shape, np.int64)
        if table.ZeroPointLength():
            self.take(8 * table.ZeroPointLength())
            zero = np.array(table.ZeroPointAsNumpy(), np.int64)
        if zero.size == 1 < scale.size:
            zero = np.full(scale.shape, zero[0])
        # a row has one axis, whichever its writer names
        axis = table.QuantizedDimension() if scale.size > 1 and len(shape) > 1 else 0
        if zero.shape != scale.shape or scale.size not in {1, *shape[axis : axis + 1]} or axis < 0:
            raise damaged("a tensor has scales for another shape")
        return Scales(scale, zero, axis)

    def stored(self, place: int, shape: Sequence[int], dtype: str) -> NDArray[Any] | None:
        """The numbers of a constant, as the file lies in memory; None for one computed."""
        if place >= max(self.model.BuffersLength(), 1):
            raise damaged(f"it names a buffer {place}, and holds {self.model.BuffersLength()}")
        buffer = self.model.Buffers(place) if place else None
        if buffer is None:
            return None
        raw = self.outside(buffer) if buffer.Offset() > 1 else None
        if raw is None and (buffer.DataIsNone() or not buffer.DataLength()):
            is_empty = 0 in shape and dtype in {"INT32", "INT64", "FLOAT32"}
            return np.zeros(shape, dtype.lower()) if is_empty else None
        if raw is None:
            self.take(buffer.DataLength())
            raw = buffer.DataAsNumpy()
        return values_of(raw, tuple(shape), dtype)

    def outside(self, buffer: Any) -> NDArray[np.uint8]:
        """Numbers behind the flatbuffer, where it names them by their place in the file."""
        start, size = buffer.Offset(), buffer.Size()
        self.take(size)
        if start + size > self.size:
            raise damaged("it claims to hold more than it has bytes")
        return np.frombuffer(self.data, np.uint8, size, start)

    def operation(self, table: Any, codes: Sequence[tuple[str, bool]]) -> Operation:
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
        code, is_custom = codes[place]
        inputs, outputs = self.numbers(table, "Inputs"), self.numbers(table, "Outputs")
        return Operation(code, inputs, outputs, options, is_custom)


def names_of(enumeration: Any) -> dict[int, str]:
    """The schema's names by their numbers."""
    return {v: k for k, v in vars(enumeration).items() if not k.startswith("_")}
