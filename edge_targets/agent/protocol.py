"""The JSON of the Open Inference Protocol, version 2: what a request means, how answers look.

https://github.com/kserve/open-inference-protocol, "inference_rest".
"""

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.contract import DTYPES, Manifest, Tensor, TensorSpec
from edge_targets.runtime.errors import DataError

DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
PLATFORMS = {"onnx": "onnxruntime_onnx", "tflite": "litert_tflite"}
COUNTED = "counted"  # a parameter of ours: whether telemetry may see a request
MAX_AXES = 8  # more than any model here; bounds the nesting of data
FP32_MAX = 3.4028234663852886e38
BOUNDS = {
    "BOOL": (0, 1),
    "INT8": (-(2**7), 2**7 - 1),
    "UINT8": (0, 2**8 - 1),
    "INT32": (-(2**31), 2**31 - 1),
    "INT64": (-(2**63), 2**63 - 1),
    "FP32": (-FP32_MAX, FP32_MAX),
}


@dataclass(frozen=True)
class Request:
    """One inference.

    Attributes:
        outputs: the wanted ones; none means all.
        id: is echoed.
        counted: whether telemetry may see it: what asks for proof is no part of the world.
    """

    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ()
    id: str | None = None
    counted: bool = True


def refuse(message: str, hint: str = "") -> DataError:
    return DataError(message, hint or "See the Open Inference Protocol, version 2.")


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        DataError: not UTF-8, not JSON, nested too deep, or not an object.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse(f"The body is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise refuse("The body is not a JSON object.")
    return found


def read_request(body: bytes, manifest: Manifest) -> Request:
    """Read an inference request for the model of `manifest`."""
    data = read_json(body)
    identity = data.get("id")
    if identity is not None and not isinstance(identity, str):
        raise refuse("`id` is not a string.")
    specs = {spec.name: spec for spec in manifest.signature.inputs}
    inputs: dict[str, Tensor] = {}
    for entry in _entries(data, "inputs"):
        name = entry["name"]
        if name not in specs or name in inputs:
            raise refuse(
                f"Input {name[:80]!r} is unknown or given twice.",
                f"The model takes {', '.join(specs)}.",
            )
        inputs[name] = _tensor(entry, specs[name])
    known = {spec.name for spec in manifest.signature.outputs}
    outputs = tuple(entry["name"] for entry in _entries(data, "outputs"))
    for name in outputs:
        if name not in known:
            raise refuse(
                f"The model has no output {name[:80]!r}.", f"It gives {', '.join(sorted(known))}."
            )
    parameters = data.get("parameters", {})
    if not isinstance(parameters, dict) or not isinstance(parameters.get(COUNTED, True), bool):
        raise refuse(f"`parameters` is no object, or its {COUNTED!r} is not true or false.")
    return Request(inputs, outputs, identity, parameters.get(COUNTED, True))


def _entries(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = data.get(key, [])
    if not isinstance(entries, list):
        raise refuse(f"`{key}` is not a list.")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise refuse(f"`{key}` holds something without a name.")
    return entries


def _tensor(entry: Mapping[str, Any], spec: TensorSpec) -> Tensor:
    title = f"Input {spec.name!r}"
    datatype, shape = entry.get("datatype"), entry.get("shape")
    wanted = DATATYPES[spec.dtype]
    if datatype != wanted:
        raise refuse(f"{title} has datatype {str(datatype)[:20]!r}; the model takes {wanted}.")
    good = isinstance(shape, list) and len(shape) <= MAX_AXES
    if not good or not all(type(size) is int and size >= 0 for size in shape or ()):
        raise refuse(f"{title}: `shape` is not a list of at most {MAX_AXES} sizes.")
    assert isinstance(shape, list)
    if not isinstance(entry.get("data"), list):
        raise refuse(f"{title}: `data` is not a list; binary tensors are not supported.")
    values = _flat(title, entry["data"], shape)
    return Tensor(tuple(shape), _numbers(title, values, datatype))


def _flat(title: str, data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Row-major values of `data`, which is flat, or nested as `shape` says."""
    values = data
    if any(isinstance(value, list) for value in data):
        for axis, size in enumerate(shape):
            rows = [values] if axis == 0 else values
            if not all(isinstance(row, list) and len(row) == size for row in rows):
                raise refuse(f"{title}: `data` is not nested as its shape {shape} says.")
            values = [value for row in rows for value in row]
    if len(values) != math.prod(shape):
        raise refuse(f"{title}: shape {shape} does not hold {len(values)} values.")
    return values


def _numbers(title: str, values: list[Any], datatype: str) -> "array[Any]":
    """`values` as numbers of that type; null and NaN are a missing value, in floats only."""
    real = datatype in ("FP32", "FP64")
    allowed = {int, float, type(None)} if real else {int, bool} if datatype == "BOOL" else {int}
    kinds = set(map(type, values))
    if kinds - allowed:
        names = ", ".join(sorted(kind.__name__ for kind in kinds - allowed))
        raise refuse(f"{title}: {datatype} cannot be made from {names}.")
    if type(None) in kinds:
        values = [math.nan if value is None else value for value in values]
    try:
        numbers = array("d" if real else "q", values)
    except OverflowError as error:
        raise refuse(f"{title}: a value does not fit {datatype}.") from error
    low, high = BOUNDS.get(datatype, (-math.inf, math.inf))
    if any(value < low or value > high for value in numbers if not math.isinf(value)):
        raise refuse(f"{title}: a value does not fit {datatype}.")
    return numbers


def answer(manifest: Manifest, request: Request, outputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """The response to `request`; a value that is not finite becomes null."""
    specs = {spec.name: spec for spec in manifest.signature.outputs}
    identity = {} if request.id is None else {"id": request.id}
    return {
        "model_name": manifest.name,
        "model_version": manifest.version,
        **identity,
        "outputs": [
            {
                "name": name,
                "datatype": DATATYPES[specs[name].dtype],
                **_finite(outputs[name].to_json()),
            }
            for name in request.outputs or specs
        ],
    }


def _finite(tensor: dict[str, Any]) -> dict[str, Any]:
    data = [value if math.isfinite(value) else None for value in tensor["data"]]
    return {"shape": tensor["shape"], "data": data}


def metadata(manifest: Manifest) -> dict[str, Any]:
    """What GET /v2/models/NAME answers; labels are ours, as the protocol allows."""
    signature = manifest.signature
    return {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": PLATFORMS.get(manifest.format, manifest.format),
        "inputs": [_spec(spec) for spec in signature.inputs],
        "outputs": [_spec(spec) for spec in signature.outputs],
        "parameters": {"labels": list(signature.labels), "target": manifest.target},
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(spec.shape)}
