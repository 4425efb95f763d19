"""A device of the workspace that serves the model now: it is asked over the network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.agent.protocol import COUNTED, DATATYPES
from edge_targets.places.answers import no_agent
from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import Job
from edge_targets.transport import post_json
from toolkit.inference import item_count
from toolkit.shipping import place_of
from toolkit.verification.places.base import Place, Session, Values
from toolkit.verification.subject import File, Subject
from toolkit.workspace import Entry

NUMBERS = 50_000  # of a request: about a megabyte of JSON
ASK_S = 120.0  # a small board takes its time for as many
HINT = "Deploy a package of this model to it."


@dataclass(frozen=True)
class Served:
    """A device that answered, and the file in the package it serves."""

    name: str
    url: str
    file: File


class Device(Place):
    """Asks the one that was named, or the first that answers; telemetry counts none of it."""

    title = "Device"

    def files(self, subject: Subject) -> tuple[File, ...]:
        return (self.served(subject).file,)

    def available(self, subject: Subject) -> str:
        if not holders(subject):
            if subject.device:
                return f"{subject.device} holds no package of this model."
            return "No device of the workspace holds a package of this model."
        try:
            self.served(subject)
        except DeviceError as error:
            return str(error)
        return ""

    def served(self, subject: Subject) -> Served:
        """The device that is asked.

        Raises:
            DeviceError: none answers, or what it serves is not this model.
        """
        reasons = []
        for device, packed, artifact in holders(subject):
            target, place = place_of(subject.shelves, device)
            status = target.status(place)
            name, version = packed.facts["served_as"], packed.facts["version"]
            found = {one.name: one.version for one in status.models}
            if status.state != "ready":
                reasons.append(f"{device.name} is {status.state}.")
            elif found.get(name) != version:
                known = ", ".join(found.values())
                reasons.append(f"{device.name} serves {known}, which is another file.")
            else:
                url = f"{status.url}/v2/models/{name}/versions/{version}/infer"
                return Served(device.name, url, file_of(artifact, device))
        raise DeviceError(" ".join(reasons), HINT)

    @contextmanager
    def opened(self, subject: Subject, job: Job) -> Iterator[Session]:
        served = self.served(subject)

        def run(file: File, signature: Signature, inputs: Values, job: Job) -> Values:
            each = sum(values[0].size for values in inputs.values())
            size = max(NUMBERS // max(each, 1), 1)
            parts: dict[str, list[NDArray[Any]]] = {spec.name: [] for spec in signature.outputs}
            for start in job.track(range(0, item_count(inputs), size), f"ask {served.name}"):
                batch = {name: values[start : start + size] for name, values in inputs.items()}
                answer = post_json(served.url, request(signature, batch), ASK_S)
                for name, values in read(served.url, answer).items():
                    parts[name].append(values)
            return {name: np.concatenate(values) for name, values in parts.items()}

        yield Session(served.name, run)


def holders(subject: Subject) -> list[tuple[Entry, Entry, Entry]]:
    """Devices that a package of this very model was deployed to, that package, its artifact."""
    shelves = subject.shelves
    known = [subject.device] if subject.device else shelves.names("devices")
    found = []
    for device in [shelves.get("devices", name) for name in known]:
        for packed in map(shelves.entry, device.parents):
            artifact = shelves.entry(packed.parents[0])
            if artifact.parents[0] == subject.entry.digest:
                found.append((device, packed, artifact))
    return found


def file_of(artifact: Entry, device: Entry) -> File:
    facts = artifact.facts
    note = f"{artifact.name} on {device.name}"
    return File(facts["format"], "", b"", facts["quantized"], note)


def request(signature: Signature, inputs: Values) -> dict[str, Any]:
    """In the Open Inference Protocol; not-a-number, a missing value, is null there."""
    return {
        "inputs": [
            {
                "name": spec.name,
                "datatype": DATATYPES[spec.dtype],
                "shape": list(inputs[spec.name].shape),
                "data": [None if v != v else v for v in inputs[spec.name].reshape(-1).tolist()],
            }
            for spec in signature.inputs
        ],
        "parameters": {COUNTED: False},
    }


def read(url: str, answer: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The outputs of an answer; null, which is no number, as not-a-number."""
    try:
        return {
            str(output["name"]): np.array(output["data"], np.float64).reshape(output["shape"])
            for output in answer["outputs"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise no_agent(url) from error
