"""What the browser's worker calls: JavaScript runs the engine, Python watches and answers.

The same profiler as on a device counts what is seen; everything crosses as plain numbers and
text, in one synchronous call a prediction.
"""

import json
import math
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_targets.runtime.after import After
from edge_targets.runtime.contract import Manifest, Profile, Tensor
from edge_targets.runtime.profiler import Profiler
from edge_targets.runtime.watching import best

FINITE = json.JSONEncoder(allow_nan=False)  # made once: `json.dumps` would make one an answer


class Bridge:
    """One package in one browser tab; `after` names the user's own last word on answers."""

    def __init__(self, manifest: str, profile: str, device: str = "", after: str = "") -> None:
        self.manifest = Manifest.parse(manifest)
        self.reference = Profile.parse(profile)
        self.after = After(after) if after else None
        self.outputs: dict[str, Tensor] = {}
        self.restart(device)

    def restart(self, device: str) -> None:
        """Begin an empty window in the name of `device`; what was counted is forgotten."""
        self.profiler = Profiler(self.manifest, self.reference, device)

    def place(self, shapes: str) -> "array[float]":
        """Where JavaScript writes the outputs of the next answers, one tensor after the other.

        `shapes` are those of the signature's outputs, in its order, as JSON. Writing into Python's
        memory costs a fraction of handing over an object.
        """
        read = [tuple(int(size) for size in shape) for shape in json.loads(shapes)]
        room = array("d", bytes(8 * sum(math.prod(shape) for shape in read)))
        view, at = memoryview(room), 0
        for spec, shape in zip(self.manifest.signature.outputs, read, strict=True):
            end = at + math.prod(shape)
            self.outputs[spec.name] = Tensor(shape, view[at:end])
            at = end
        return room

    def answer(self) -> str:
        """What the placed outputs say, as JSON: answers, and a note where not all went well."""
        answers, note = self._answers(), ""
        if self.after is not None:
            answers, note = self.after(answers, self.outputs)
        try:
            return FINITE.encode({"answers": answers, "note": note})
        except ValueError:  # JSON has no word for what is no number
            for answer in answers:
                if not math.isfinite(answer.get("confidence", 0)):
                    answer["confidence"] = None
            return json.dumps({"answers": answers, "note": note})

    def observe(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], latency_ms: float
    ) -> None:
        """Count a batch."""
        self.profiler.observe(tensors(inputs), tensors(outputs), latency_ms)

    def feedback(self, predicted: str, actual: str) -> None:
        """Count that the visitor said: what was called `predicted` is `actual`."""
        self.profiler.feedback(predicted, actual)

    def close(self) -> str:
        """End the window: its record as JSON, or nothing when it saw nothing.

        A visitor's window may hold a single input, whose moments would be that input: the record
        has those that its counts tell.
        """
        record = self.profiler.close()
        if not record:
            return ""
        seen = {name: sketch.coarse() for name, sketch in record.sketches.items()}
        return FINITE.encode(replace(record, sketches=seen).to_json())

    def _answers(self) -> list[dict[str, Any]]:
        """One an item: label and confidence of a classifier, nothing else otherwise."""
        signature, abstention = self.manifest.signature, self.manifest.abstention
        rows = self.outputs[signature.outputs[0].name].rows()
        if not signature.labels:
            return [{} for _ in rows]
        answers = []
        for row in rows:
            place = best(row)
            confidence = float(row[place])
            answer: dict[str, Any] = {
                "label": signature.labels[place],
                "confidence": confidence,
            }
            if abstention and abstention.abstains(confidence):
                answer["abstained"] = True
            answers.append(answer)
        return answers


def tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(tuple(int(size) for size in value["shape"]), value["data"])
        for name, value in values.items()
    }
