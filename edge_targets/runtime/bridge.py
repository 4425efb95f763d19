"""What the browser's worker calls: JavaScript runs the engine, Python watches and answers.

The same profiler as on a device counts what is seen; everything crosses as plain numbers and
text, in one synchronous call a prediction.
"""

import json
import math
from array import array
from collections.abc import Mapping, Sequence
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
        self.rows: list[Sequence[float]] = []  # of the first output
        self.room, self.end = array("d"), 0  # of the outputs in it
        self.restart(device)

    def restart(self, device: str) -> None:
        """Begin an empty window in the name of `device`; what was counted is forgotten."""
        self.profiler = Profiler(self.manifest, self.reference, device)

    def place(self, shapes: str) -> "array[float]":
        """Where JavaScript writes the outputs of the next answers, one tensor after the other.

        `shapes` are those of the signature's outputs, in its order, as JSON. Of a classifier the
        verdicts follow, three numbers an item: place of the label, confidence, 1 if abstained from.
        Writing into Python's memory costs a fraction of handing over an object.
        """
        signature = self.manifest.signature
        read = [tuple(int(size) for size in shape) for shape in json.loads(shapes)]
        sizes = [math.prod(shape) for shape in read]
        items = read[0][0] if signature.labels else 0
        room = array("d", bytes(8 * (sum(sizes) + 3 * items)))
        view, at = memoryview(room), 0
        for spec, shape, size in zip(signature.outputs, read, sizes, strict=True):
            self.outputs[spec.name] = Tensor(shape, view[at : at + size])
            at += size
        self.room, self.end = room, at
        self.rows = self.outputs[signature.outputs[0].name].rows()
        return room

    def answer(self) -> str:
        """Judge the placed outputs, and write the verdicts behind them.

        Where the user's own function has the last word, what it says as JSON: answers, and a note
        where not all went well. Nothing else, since numbers cross at a fraction of what words cost.
        """
        if self.manifest.signature.labels:
            self._judge()
        if self.after is None:
            return ""
        answers, note = self.after(self._answers(), self.outputs)
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

    def _judge(self) -> None:
        room, at, abstention = self.room, self.end, self.manifest.abstention
        for row in self.rows:
            place = best(row)
            room[at] = place
            room[at + 1] = confidence = row[place]
            room[at + 2] = abstention is not None and abstention.abstains(confidence)
            at += 3

    def _answers(self) -> list[dict[str, Any]]:
        """One an item: label and confidence of a classifier, nothing else otherwise."""
        labels, told = self.manifest.signature.labels, iter(self.room[self.end :])
        if not labels:
            return [{} for _ in self.rows]
        return [
            {"label": labels[int(place)], "confidence": confidence}
            | ({"abstained": True} if abstained else {})
            for place, confidence, abstained in zip(told, told, told, strict=True)
        ]


def tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(tuple(int(size) for size in value["shape"]), value["data"])
        for name, value in values.items()
    }
