"""What goes into a package beside the model: reference profile, golden answers, card."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.package import SigningKey, pack
from edge_targets.runtime.contract import Golden, Manifest, Signature, Tensor
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.data.sampling import evenly
from toolkit.evaluation.metrics import are_classes
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.telemetry.reference import reference_profile

GOLDEN_ITEMS = 10  # few enough to replay on any device at once
FLOAT_TOLERANCE = 1e-3  # of an output's spread: other processors sum in another order
INT8_TOLERANCE = 0.05  # and round a tie the other way


@dataclass(frozen=True)
class Contents:
    """What is packed.

    Attributes:
        name: what a device serves it as.
        format: of `data`.
        data: the model file.
        signature: of the model.
        target: the catalog name it is for.
        quantized: whether the model computes in int8.
        lineage: digest of the artifact's workspace entry.
        card: what a person should know, Markdown.
        certificate: of the model, JSON; empty where it has none.
    """

    name: str
    format: str
    data: bytes
    signature: Signature
    target: str
    quantized: bool
    lineage: str
    card: str
    certificate: bytes = b""


def write_package(
    contents: Contents, reference: Dataset, key: SigningKey, out: Path, job: Job
) -> Manifest:
    """Write the signed file; `reference` is the world the device is expected to see."""
    runner = Runner(contents.data, contents.format, contents.signature)
    name = contents.signature.inputs[0].name
    inputs = reference.part("validation")[0]
    outputs = runner.outputs(inputs, job)
    profile = reference_profile(contents.signature, {name: inputs}, outputs)
    # JSON knows no not-a-number: a gap becomes a zero, which is as good a question
    golden_inputs = np.nan_to_num(typical_items(*reference.part("test")))
    answers = runner.outputs(golden_inputs, job)
    golden = Golden(
        inputs={name: tensor(golden_inputs)},
        outputs={k: tensor(v) for k, v in answers.items()},
    )
    model = f"model{formats[contents.format].suffix}"
    manifest = Manifest(
        name=contents.name,
        version=hashlib.sha256(contents.data).hexdigest()[:12],
        target=contents.target,
        format=formats[contents.format].engine,  # what a device needs to know of it
        model=model,
        signature=contents.signature,
        tolerance=INT8_TOLERANCE if contents.quantized else FLOAT_TOLERANCE,
        files={},
        lineage=contents.lineage,
    )
    members = {
        model: contents.data,
        "profile.json": profile.dump().encode(),
        "golden.json": golden.dump().encode(),
        "card.md": contents.card.encode(),
        **({"certificate.json": contents.certificate} if contents.certificate else {}),
    }
    return pack(manifest, members, key, out)


def typical_items(inputs: NDArray[np.float32], targets: NDArray[Any]) -> NDArray[np.float32]:
    """The first item of each class, in the order of classes; of numbers, from low to high."""
    if are_classes(targets):
        return inputs[np.unique(targets, return_index=True)[1][:GOLDEN_ITEMS]]
    # all of the range: what is allowed is a share of how far the answers lie apart
    ranks = evenly(len(targets), GOLDEN_ITEMS)
    chosen: NDArray[np.intp] = np.argsort(targets, kind="stable")[ranks]
    return inputs[chosen]


def tensor(values: NDArray[Any]) -> Tensor:
    return Tensor(values.shape, [float(value) for value in np.asarray(values).reshape(-1)])


def card(
    contents_name: str, facts: dict[str, str], signature: Signature, lineage: list[str]
) -> str:
    """A model card (Mitchell et al. 2019, arXiv:1810.03993), as far as it is known."""
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    takes = "\n".join(
        f"- `{spec.name}` {list(spec.shape)} {spec.dtype}"
        + (f", {spec.meaning}" if spec.meaning else "")
        + (f" ({spec.unit})" if spec.unit else "")
        for spec in signature.inputs
    )
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(lineage, 1))
    classes = ", ".join(signature.labels) or "none: it gives numbers"
    return (
        f"# {contents_name}\n\n| fact | value |\n|---|---|\n{rows}\n\n"
        f"## Takes\n{takes}\n\n## Classes\n{classes}\n\n## Made by\n{steps}\n"
    )
