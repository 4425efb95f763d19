"""What the browser's worker calls: JavaScript runs the engine, Python watches and answers.

The same profiler as on a device counts what is seen; everything crosses as plain numbers and
text, in one synchronous call a prediction.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_targets.runtime.contract import Manifest, Profile, Tensor
from edge_targets.runtime.predictor import check
from edge_targets.runtime.profiler import Profiler
from edge_targets.runtime.watching import best


class Bridge:
    """One package in one browser tab."""

    def __init__(self, manifest: str, profile: str, device: str = "") -> None:
        self.manifest = Manifest.parse(manifest)
        self.reference = Profile.parse(profile)
        self.restart(device)

    def restart(self, device: str) -> None:
        """Begin an empty window in the name of `device`; what was counted is forgotten."""
        self.profiler = Profiler(self.manifest, self.reference, device)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse inputs that do not fit, before the engine sees them."""
        shapes = {name: tensor.shape for name, tensor in tensors(inputs).items()}
        check(self.manifest.signature, shapes)

    def observe(
        self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], latency_ms: float
    ) -> str:
        """Count a batch; the answers to it as JSON."""
        seen = tensors(outputs)
        self.profiler.observe(tensors(inputs), seen, latency_ms)
        return json.dumps(self._answers(seen))

    def answer(self, outputs: Mapping[str, Any]) -> str:
        """The answers as JSON, uncounted: for a drawing that is still being made."""
        return json.dumps(self._answers(tensors(outputs)))

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
        return json.dumps(replace(record, sketches=seen).to_json(), allow_nan=False)

    def _answers(self, outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """One an item: label and confidence of a classifier, nothing else otherwise."""
        signature, abstention = self.manifest.signature, self.manifest.abstention
        rows = outputs[signature.outputs[0].name].rows()
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
