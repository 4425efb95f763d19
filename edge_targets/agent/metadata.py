"""What the Open Inference Protocol says about models, apart from their answers."""

from collections.abc import Iterable
from typing import Any

from edge_targets.agent.tensors import DATATYPES
from edge_targets.runtime.contract import Manifest, TensorSpec

PLATFORMS = {"onnx": "onnxruntime_onnx", "tflite": "litert_tflite"}


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


def index(manifests: Iterable[Manifest]) -> list[dict[str, Any]]:
    """What POST /v2/repository/index answers."""
    return [
        {"name": each.name, "version": each.version, "state": "READY", "reason": ""}
        for each in manifests
    ]
