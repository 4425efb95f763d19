"""What one runtime says: its answers held against the reference's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.artifact import compare
from toolkit.evaluation.agreement import surely_at_least
from toolkit.results import Witness
from toolkit.verification.parting import first_parting
from toolkit.verification.places import Session
from toolkit.verification.subject import File, Subject

Values = Mapping[str, NDArray[Any]]


def witness(
    name: str, file: File, session: Session, subject: Subject, wanted: Values, job: Job
) -> Witness:
    """Compare the answers of one runtime with the reference's."""
    signature = subject.model.signature
    try:
        found = session.run(file, signature, subject.inputs, job)
    except UnsupportedError as error:  # it cannot run such files, which says nothing of this one
        return left_out(name, file.format, session.version, f"{file.note}: {first_line(error)}")
    except IntegrityError as error:
        row = left_out(name, file.format, session.version, f"{file.note}: {first_line(error)}")
        return replace(row, state="differs")
    parity = compare(wanted, found, signature, file.quantized)
    agreed = parity.label_agreement
    row = Witness(
        name,
        file.format,
        session.version,
        "agrees" if parity.passed else "differs",
        parity.samples,
        max(largest(wanted[spec.name], found[spec.name]) for spec in signature.outputs),
        parity.max_difference,
        parity.tolerance,
        agreed,
        None if agreed is None else surely_at_least(round(agreed * parity.samples), parity.samples),
        note=file.note,
    )
    return row if parity.passed else parted(row, file, session, subject, wanted, found, job)


def parted(
    row: Witness,
    file: File,
    session: Session,
    subject: Subject,
    wanted: Values,
    found: Values,
    job: Job,
) -> Witness:
    """The same with the layer where it parts, if that can be told."""
    if not file.data:
        return replace(row, note=f"{row.note}; nobody can look inside")
    item = worst(subject.inputs, wanted, found)
    try:
        layer = first_parting(subject.graph, file, subject.model.signature, item, session, job)
    except EdgeError as error:
        return replace(row, note=f"{row.note}; its layers cannot be looked at: {first_line(error)}")
    if not layer:
        return replace(row, note=f"{row.note}; no layer of it differs by more than its bound")
    return replace(row, parting=layer)


def worst(inputs: Values, wanted: Values, found: Values) -> dict[str, NDArray[Any]]:
    """The item with the largest difference; the first where there is no telling."""
    gaps = np.zeros(len(next(iter(inputs.values()))))
    for name, values in wanted.items():
        if values.shape == found[name].shape and values.size and len(values) == len(gaps):
            with np.errstate(invalid="ignore"):
                each = np.abs(values.astype(np.float64) - found[name]).reshape(len(gaps), -1)
            gaps = np.maximum(gaps, np.nan_to_num(each.max(axis=1), nan=np.inf))
    place = int(gaps.argmax())
    return {name: values[place : place + 1] for name, values in inputs.items()}


def largest(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest absolute difference; infinite where one is no number and the other is."""
    if wanted.shape != found.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gaps = np.abs(wanted.astype(np.float64) - found)
    return float(gaps.max()) if gaps.size and np.isfinite(gaps).all() else float("inf")


def left_out(name: str, form: str, version: str, reason: str) -> Witness:
    return Witness(name, form, version, "left out", 0, None, None, None, None, None, note=reason)
