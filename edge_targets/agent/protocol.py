"""The Open Inference Protocol, version 2: what a request means, how answers look.

https://github.com/kserve/open-inference-protocol, "inference_rest" and its binary data extension.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge_targets.agent.http1 import BINARY, Answer, json_answer, to_json
from edge_targets.agent.tensors import (
    DATATYPES,
    Expected,
    from_bytes,
    from_values,
    read_shape,
    refuse,
    to_bytes,
    to_values,
)
from edge_targets.runtime.answer import abstained
from edge_targets.runtime.contract import Manifest, Tensor

__all__ = ["COUNTED", "DATATYPES", "Plan", "Request", "answer", "read_request"]

ABSTAINED = "abstained"  # a parameter of ours: numbers of the items that it does not answer
COUNTED = "counted"  # a parameter of ours: whether telemetry may see a request
HEADER = "Inference-Header-Content-Length"
MOST_OBJECTS = 1000  # of a request's JSON: one each tensor and its parameters
MOST_LAYOUTS = 64
MOST_LISTS = 200_000  # an empty list takes 3 bytes to send and 64 to keep
FOREIGN = {  # parameters that would change the answer, and are not done here
    "classification": "Take the largest values where the answer is read.",
    "shared_memory_region": "Send the values.",
    "sequence_id": "The models here keep no state between requests.",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a manifest says about requests, worked out once a version.

    Attributes:
        merges: whether requests may share a batch: every tensor has a free first axis.
        layouts: of requests that came before, by their JSON.
    """

    manifest: Manifest
    inputs: Mapping[str, Expected]
    outputs: Mapping[str, str]  # datatypes
    merges: bool
    layouts: "dict[bytes, Layout]" = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> "Plan":
        signature = manifest.signature
        return cls(
            manifest,
            {spec.name: Expected.of(spec) for spec in signature.inputs},
            {spec.name: DATATYPES[spec.dtype] for spec in signature.outputs},
            all(spec.shape[:1] == (-1,) for spec in (*signature.inputs, *signature.outputs)),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One inference.

    Attributes:
        outputs: the wanted ones, and whether as bytes; none means all.
        binary: whether outputs that are not named are wanted as bytes.
        id: is echoed.
        counted: whether telemetry may see it: what asks for proof is no part of the world.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, bool]
    binary: bool = False
    id: str | None = None
    counted: bool = True


class Given(NamedTuple):
    """One input as its JSON describes it: its values, or how many raw bytes hold them."""

    expected: Expected
    shape: tuple[int, ...]
    values: Tensor | None
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What the JSON of a request says; clients of raw tensors repeat it word by word."""

    inputs: Mapping[str, Given]
    outputs: Mapping[str, bool]
    binary: bool
    id: str | None
    counted: bool

    @property
    def repeats(self) -> bool:
        return self.id is None and all(given.values is None for given in self.inputs.values())

    def fill(self, raw: memoryview) -> Request:
        """The request, with `raw` shared out among its inputs."""
        inputs: dict[str, Tensor] = {}
        for name, (expected, shape, values, size) in self.inputs.items():
            if values is not None:
                inputs[name] = values
                continue
            if size > len(raw):
                raise refuse(f"{expected.title}: `binary_data_size` is more than the body holds.")
            inputs[name] = from_bytes(raw[:size], shape, expected)
            raw = raw[size:]
        if len(raw):
            raise refuse(f"{len(raw)} bytes of the body belong to no input.")
        return Request(inputs, self.outputs, self.binary, self.id, self.counted)


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        DataError: not UTF-8, not JSON, nested too deep, too many parts, or not an object.
    """
    if body.count(b"{") > MOST_OBJECTS or body.count(b"[") > MOST_LISTS:
        raise refuse("The JSON has too many parts.", "Send `data` flat, or binary.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse(f"The body is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise refuse("The body is not a JSON object.")
    return found


def read_request(body: bytes | bytearray, header: int | None, plan: Plan) -> Request:
    """Read an inference request; the first `header` bytes are its JSON, the others raw tensors."""
    if header is None:
        return read_layout(bytes(body), plan).fill(memoryview(b""))
    if header > len(body):
        raise refuse(f"{HEADER} says {header}; the body has {len(body)} bytes.")
    text = bytes(body[:header])
    layout = plan.layouts.get(text)
    if layout is None:
        layout = read_layout(text, plan)
        if layout.repeats:
            if len(plan.layouts) >= MOST_LAYOUTS:
                plan.layouts.clear()
            plan.layouts[text] = layout
    return layout.fill(memoryview(body)[header:])


def read_layout(text: bytes, plan: Plan) -> Layout:
    """Understand the JSON of a request."""
    data = read_json(text)
    identity = data.get("id")
    if identity is not None and not isinstance(identity, str):
        raise refuse("`id` is not a string.")
    parameters = read_parameters(data)
    counted, binary = parameters.get(COUNTED, True), parameters.get("binary_data_output", False)
    if not isinstance(counted, bool) or not isinstance(binary, bool):
        raise refuse(f"The parameters {COUNTED!r} and 'binary_data_output' are true or false.")
    inputs: dict[str, Given] = {}
    for entry in entries(data, "inputs"):
        name = entry["name"]
        if name not in plan.inputs or name in inputs:
            raise refuse(
                f"Input {name[:80]!r} is unknown or given twice.",
                f"The model takes {', '.join(plan.inputs)}.",
            )
        inputs[name] = read_input(entry, plan.inputs[name])
    return Layout(inputs, read_outputs(data, binary, plan), binary, identity, counted)


def read_input(entry: Mapping[str, Any], expected: Expected) -> Given:
    shape = read_shape(entry, expected)
    size = read_parameters(entry).get("binary_data_size")
    if size is None:
        return Given(expected, shape, from_values(entry.get("data"), shape, expected), 0)
    if type(size) is not int or size < 0:
        raise refuse(f"{expected.title}: `binary_data_size` is no number of bytes.")
    if "data" in entry:
        raise refuse(f"{expected.title} has `data` and `binary_data_size`; send one of them.")
    return Given(expected, shape, None, size)


def read_outputs(data: Mapping[str, Any], binary: bool, plan: Plan) -> dict[str, bool]:
    wanted: dict[str, bool] = {}
    for entry in entries(data, "outputs"):
        name = entry["name"]
        if name not in plan.outputs:
            known = ", ".join(sorted(plan.outputs))
            raise refuse(f"The model has no output {name[:80]!r}.", f"It gives {known}.")
        as_bytes = read_parameters(entry).get("binary_data", binary)
        if not isinstance(as_bytes, bool):
            raise refuse(f"Output {name!r}: `binary_data` is not true or false.")
        wanted[name] = as_bytes
    return wanted


def read_parameters(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise refuse("`parameters` is no object.")
    for name, hint in FOREIGN.items():
        if parameters.get(name):
            raise refuse(f"The parameter {name!r} is not supported.", hint)
    return parameters


def entries(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = data.get(key, [])
    if not isinstance(found, list):
        raise refuse(f"`{key}` is not a list.")
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise refuse(f"`{key}` holds something without a name.")
    return found


def answer(plan: Plan, request: Request, outputs: Mapping[str, Tensor]) -> Answer:
    """The response to `request`; a JSON value that is not finite becomes null."""
    manifest = plan.manifest
    found: dict[str, Any] = {"model_name": manifest.name, "model_version": manifest.version}
    if request.id is not None:
        found["id"] = request.id
    if manifest.abstention:  # the protocol's parameters are words, numbers and truths: no lists
        doubtful = abstained(manifest.signature, manifest.abstention, outputs)
        items = ",".join(str(place) for place, is_one in enumerate(doubtful) if is_one)
        found["parameters"] = {ABSTAINED: items}
    found["outputs"] = described = []
    pieces: list[bytes] = []
    for name in request.outputs or plan.outputs:
        tensor, datatype = outputs[name], plan.outputs[name]
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(tensor.shape)}
        if request.outputs.get(name, request.binary):
            pieces.append(to_bytes(tensor, datatype))
            entry["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            entry["data"] = to_values(tensor, datatype)
        described.append(entry)
    if not pieces:
        return json_answer(found)
    head = to_json(found)
    return Answer(200, (head, *pieces), BINARY, f"{HEADER}: {len(head)}\r\n")
