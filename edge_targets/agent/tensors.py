"""Tensors on the wire: numbers in JSON, or bytes after it (the binary tensor extension).

https://github.com/kserve/open-inference-protocol, "inference_rest" and "binary data extension":
raw values are little-endian and row-major, without gaps. Every tensor that comes in ends as a
typed view of bytes, so that waiting requests are merged by putting their bytes one after another.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.contract import DTYPES, Tensor, TensorSpec
from edge_targets.runtime.errors import DataError

DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
MAX_AXES = 8  # more than any model here; bounds the nesting of data
CODES: dict[str, Any] = {  # of the standard library's `array` and `memoryview`, by datatype
    "BOOL": "B",
    "INT8": "b",
    "UINT8": "B",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}
SIZES = {datatype: array(code).itemsize for datatype, code in CODES.items()}
FLOATS = ("FP32", "FP64")
KINDS = {"BOOL": {int, bool}, "FP32": {int, float, type(None)}, "FP64": {int, float, type(None)}}
TOO_LARGE = {"FP32": 3.4028235677973366e38}  # the first double that rounds to no float32


def refuse(message: str, hint: str = "") -> DataError:
    return DataError(message, hint or "See the Open Inference Protocol, version 2.")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the model takes under one name."""

    title: str
    datatype: str
    code: Any
    size: int  # bytes of a value

    @classmethod
    def of(cls, spec: TensorSpec) -> "Expected":
        datatype = DATATYPES[spec.dtype]
        return cls(f"Input {spec.name!r}", datatype, CODES[datatype], SIZES[datatype])


def read_shape(entry: Mapping[str, Any], expected: Expected) -> tuple[int, ...]:
    """The shape of an input, when its datatype is the model's."""
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if datatype != expected.datatype:
        raise refuse(
            f"{expected.title} has datatype {str(datatype)[:20]!r}; "
            f"the model takes {expected.datatype}.",
            f"Known here: {', '.join(DTYPES)}; the device converts none into another.",
        )
    good = isinstance(shape, list) and len(shape) <= MAX_AXES
    if not good or not all(type(size) is int and size >= 0 for size in shape or ()):
        raise refuse(f"{expected.title}: `shape` is not a list of at most {MAX_AXES} sizes.")
    assert isinstance(shape, list)
    return tuple(shape)


def from_bytes(raw: memoryview, shape: tuple[int, ...], expected: Expected) -> Tensor:
    """A tensor of raw bytes, which are copied: what was received may not lie on an even address."""
    if math.prod(shape) * expected.size != len(raw):
        raise refuse(
            f"{expected.title}: shape {list(shape)} of {expected.datatype} has "
            f"{math.prod(shape) * expected.size} bytes, not {len(raw)}."
        )
    data = bytes(raw)
    if expected.datatype == "BOOL" and data.translate(None, b"\0\1"):
        raise refuse(f"{expected.title}: a BOOL is a byte 0 or 1.")
    return Tensor(shape, memoryview(data).cast(expected.code))


def from_values(data: Any, shape: tuple[int, ...], expected: Expected) -> Tensor:
    """A tensor of JSON numbers, flat or nested as its shape says."""
    if not isinstance(data, list):
        raise refuse(
            f"{expected.title}: `data` is not a list.",
            "Or send binary data: `binary_data_size` and Inference-Header-Content-Length.",
        )
    return Tensor(shape, memoryview(_numbers(_flat(data, shape, expected.title), expected)))


def _flat(data: list[Any], shape: Sequence[int], title: str) -> list[Any]:
    values = data
    if data and isinstance(data[0], list):
        for axis, size in enumerate(shape):
            rows = [values] if axis == 0 else values
            if not all(isinstance(row, list) and len(row) == size for row in rows):
                raise refuse(f"{title}: `data` is not nested as its shape {list(shape)} says.")
            values = [value for row in rows for value in row]
    if len(values) != math.prod(shape):
        raise refuse(f"{title}: shape {list(shape)} does not hold {len(values)} values.")
    return values


def _numbers(values: list[Any], expected: Expected) -> "array[Any]":
    """`values` as numbers of that type; null and NaN are a missing value, in floats only."""
    datatype = expected.datatype
    kinds = set(map(type, values))
    if stray := kinds - KINDS.get(datatype, {int}):
        names = ", ".join(sorted(kind.__name__ for kind in stray))
        raise refuse(f"{expected.title}: {datatype} cannot be made from {names}.")
    if type(None) in kinds:
        values = [math.nan if value is None else value for value in values]
    try:
        numbers = array(expected.code, values)
    except OverflowError as error:
        raise refuse(f"{expected.title}: a value does not fit {datatype}.") from error
    if datatype == "BOOL" and bytes(numbers).translate(None, b"\0\1"):
        raise refuse(f"{expected.title}: a value does not fit BOOL.")
    limit = TOO_LARGE.get(datatype, math.inf)
    # an array of floats takes a large double for an infinite one
    if (
        limit < math.inf
        and not all(map(math.isfinite, numbers))
        and any(limit <= abs(v) < math.inf for v in values)
    ):
        raise refuse(f"{expected.title}: a value does not fit {datatype}.")
    return numbers


def to_bytes(tensor: Tensor, datatype: str) -> bytes:
    """Its raw values."""
    data = tensor.data
    if hasattr(data, "tobytes"):
        return bytes(data.tobytes())
    return array(CODES[datatype], data).tobytes()


def to_values(tensor: Tensor, datatype: str) -> list[Any]:
    """Its values for JSON; one that is not finite becomes null."""
    data = tensor.data
    values = data.tolist() if hasattr(data, "tolist") else list(data)
    if datatype in FLOATS and not all(map(math.isfinite, values)):
        return [value if math.isfinite(value) else None for value in values]
    return list(values)
