"""The journey: model, files and inputs from the workspace, through the places, to a certificate."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from numpy.typing import NDArray

from edge_targets.runtime.errors import (
    DeviceError,
    RecipeError,
    UnsupportedError,
)
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.certificates import keep
from toolkit.data.sampling import thinned
from toolkit.inference import Runner
from toolkit.onnx_graph import graph_of
from toolkit.proof import Proof, proof_inputs
from toolkit.results import Certificate, Witness
from toolkit.verification.places import Place, places
from toolkit.verification.subject import Subject, built, compiled
from toolkit.verification.witnesses import left_out, witness
from toolkit.workspace import Workspace

NETWORK, GRAPH = "torch", "graph"  # what the others are held against

Values = Mapping[str, NDArray[Any]]


def verify(
    shelves: Workspace,
    model_name: str,
    data_name: str | None,
    device: str | None,
    place_names: Sequence[str],
    samples: int,
    job: Job,
) -> Certificate:
    """Run a model in every place, or in those that are named; keep the certificate."""
    chosen = {name: places[name] for name in place_names or places.names()}
    if device and "device" not in chosen:
        raise RecipeError("A device is named, and no place for it.", "Add --place device.")
    if samples < 1:
        raise RecipeError("There is nothing to compare.", "Use --samples 1 or more.")
    entry, model, parents = shelf.loaded(shelves, model_name, data_name, judged=False)
    finished = model.with_graph(graph_of(model, job))
    proof = fewer(proof_inputs(finished), samples)
    known = built(shelves, entry)
    made, refused = compiled(finished, proof.inputs, known, job)
    subject = Subject(
        shelves, entry, model, finished.graph, proof.inputs, (*known, *made), refused, device or ""
    )
    first, wanted = reference(subject, job)
    witnesses = [first]
    for name, cls in chosen.items():
        if name != first.place:
            witnesses += heard(name, cls(), subject, wanted, job)
    certificate = Certificate(
        model_name,
        entry.digest,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        first.place,
        proof.source,
        tuple(witnesses),
        next=(f"sanderling show {model_name}",),
    )
    refuse_alone(certificate)
    keep(shelves, certificate, parents)
    return certificate


def fewer(proof: Proof, most: int) -> Proof:
    """Evenly taken from all."""
    inputs = {name: thinned(values, most) for name, values in proof.inputs.items()}
    left = len(next(iter(inputs.values())))
    whole = len(next(iter(proof.inputs.values())))
    source = proof.source if left == whole else f"{left} of {proof.source}"
    return Proof(inputs, source, proof.made_up)


def reference(subject: Subject, job: Job) -> tuple[Witness, Values]:
    """What the others are held against: the network, or the graph as it was taken over."""
    signature, count = subject.model.signature, len(next(iter(subject.inputs.values())))
    if subject.model.network:
        place = places[NETWORK]()
        [file] = place.files(subject)
        with place.opened(subject, job) as session:
            answers = session.run(file, signature, subject.inputs, job)
        told = (NETWORK, "", session.version, file.note)
    else:
        answers = Runner(subject.graph, "onnx", signature).outputs(subject.inputs, job)
        version = importlib.metadata.version("onnxruntime")
        told = (GRAPH, "", version, "the model's own graph, in ONNX Runtime")
    name, form, version, note = told
    row = Witness(name, form, version, "reference", count, None, None, None, None, None, note=note)
    return row, answers


def heard(name: str, place: Place, subject: Subject, wanted: Values, job: Job) -> list[Witness]:
    """What a place says of every file it runs."""
    if reason := place.available(subject):
        return [left_out(name, "", "", reason)]
    rows: list[Witness] = []
    files = place.files(subject)
    try:
        with place.opened(subject, job) as session:
            for file in files:
                job.step(f"verify {file.note} in {place.title}", len(rows), len(files))
                rows.append(witness(name, file, session, subject, wanted, job))
    except DeviceError as error:  # it ended, or was never up
        rows += [left_out(name, file.format, "", str(error)) for file in files[len(rows) :]]
    return rows


def refuse_alone(certificate: Certificate) -> None:
    """Do nothing where at least one runtime was held against the reference.

    Raises:
        UnsupportedError: all were left out; names the reasons.
    """
    others = [row for row in certificate.witnesses if row.state != "reference"]
    if any(row.state != "left out" for row in others):
        return
    reasons = " ".join(f"{row.place}: {row.note}" for row in others)
    raise UnsupportedError(
        f"Nothing could be held against the reference, {certificate.reference}. {reasons}".strip(),
        "`sanderling doctor` names what is missing here.",
    )
