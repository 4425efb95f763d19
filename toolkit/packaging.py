"""What goes into a package beside the model: reference profile, golden answers, card."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.package import SigningKey, pack
from edge_targets.runtime.contract import Abstention, Golden, Manifest, Signature, Tensor
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Column, Dataset
from toolkit.data.sampling import evenly
from toolkit.evaluation.abstention import abstention_for
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
    contents: Contents,
    reference: Dataset,
    key: SigningKey,
    out: Path,
    job: Job,
    abstain: float | None = None,
) -> Manifest:
    """Write the signed file; `reference` is the world the device is expected to see.

    Args:
        contents: what is packed.
        reference: held-out items of it are watched for, replayed and learned from when to abstain.
        key: that signs.
        out: the file.
        job: reports.
        abstain: share of wrong answers that is allowed among those a classifier gives; it abstains
            from the least confident ones. None has it always answer.
    """
    runner = Runner(contents.data, contents.format, contents.signature)
    name = contents.signature.inputs[0].name
    inputs = reference.part("validation")[0]
    outputs = runner.outputs(inputs, job)
    abstention = None if abstain is None else chosen(runner, reference, abstain, job)
    profile = reference_profile(contents.signature, {name: inputs}, outputs, abstention=abstention)
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
        signature=with_choices(contents.signature, reference.facts.columns),
        tolerance=INT8_TOLERANCE if contents.quantized else FLOAT_TOLERANCE,
        files={},
        lineage=contents.lineage,
        abstention=abstention,
    )
    members = {
        model: contents.data,
        "profile.json": profile.dump().encode(),
        "golden.json": golden.dump().encode(),
        "card.md": (contents.card + abstaining(abstention)).encode(),
        **({"certificate.json": contents.certificate} if contents.certificate else {}),
    }
    return pack(manifest, members, key, out)


def with_choices(signature: Signature, columns: Sequence[Column]) -> Signature:
    """With the words of categories, which a model has as numbers: a form asks for words."""
    words = {column.name: list(column.values) for column in columns if column.values}
    first, *others = signature.inputs
    if not words or first.columns != tuple(column.name for column in columns):
        return signature
    told = replace(first, extra={**first.extra, "choices": words})
    return replace(signature, inputs=(told, *others))


def chosen(runner: Runner, reference: Dataset, risk: float, job: Job) -> Abstention:
    """When the packed file abstains, from what it answers to the test part."""
    if not runner.signature.labels:
        raise UnsupportedError(
            "The model gives numbers; only a classifier can abstain.", "Leave --abstain away."
        )
    inputs, targets = reference.part("test")
    if not len(inputs):
        raise DataError(
            f"{reference.name} has no test part to choose a confidence on.",
            "Bring data with a test part.",
        )
    return abstention_for(runner.first_output(inputs, job), targets, risk)


def abstaining(abstention: Abstention | None) -> str:
    """What the card says of it."""
    if abstention is None:
        return ""
    return (
        f"\n## Abstains\nBelow a confidence of {abstention.threshold:.4g}. Of the answers it "
        f"gives at most {abstention.risk:.2%} are wrong, with a certainty of "
        f"{abstention.certainty:.0%}, on data like its {abstention.items} held-out items; it "
        f"answered {abstention.coverage:.1%} of those.\n"
    )


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
