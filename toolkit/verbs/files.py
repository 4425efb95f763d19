"""Files for a target: built, proven, measured, packed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edge_targets.runtime.errors import UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Report
from toolkit.verbs.words import SURE, Columns, Count, Drop, Flag, Folder, Given, gate_if


def build(
    model: str,
    /,
    *,
    format: Sequence[str] = (),  # noqa: A002 - the word users type
    target: str | None = None,
    free_batch: Flag = False,
    data: str | None = None,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Built:
    """Compile a model to files, and prove that each answers like the model.

    Exits with 3 when one does not.

    Args:
        model: the model to compile.
        format: such as onnx or tflite; may be repeated. Unless given, all that the target takes;
            `sanderling list formats` names all.
        target: what the files are for; `sanderling list targets` names them.
        free_batch: TFLite files that take any number of items at once, where the operators can;
            the others take one at a time. Browsers run only those.
        data: prove it on this dataset instead of the one the model learned from.
        out: a folder for copies of the files; what is there under their names is replaced.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    built = journeys.build(shelves, model, format, data, job, target, free_batch)
    return journeys.copied(shelves, built, out) if out else built


def verify(
    model: str,
    /,
    *,
    data: str | None = None,
    device: str | None = None,
    place: Columns = (),
    samples: int = 500,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Certificate:
    """Run the same inputs through every runtime there is, and certify that all answer alike.

    Exits with 3 when one does not.

    Args:
        model: the model to verify.
        data: a dataset of the workspace to take inputs from, instead of the one it learned from.
        device: a device of the workspace to ask as well.
        place: a runtime to ask; may be repeated. Unless given, all; `sanderling list places` names
            them.
        samples: inputs to compare at most.
    """
    from toolkit import verification
    from toolkit.workspace import Workspace

    return verification.verify(Workspace.find(workspace), model, data, device, place, samples, job)


def measure(
    subject: str,
    /,
    *,
    data: Given = None,
    threads: int = 1,
    on: Given = None,
    target: Given = None,
    max_instructions: Count = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> Report:
    """Measure accuracy, equality with the original, size and latency on this machine.

    With --on a device measures: latency, memory, heat and, where the board tells, energy. With
    --target the instructions of that target's processor are counted, without any device: the same
    number in every run, so it can be held in a test. Exits with 3 when there are too many.

    Args:
        subject: a model or an artifact.
        data: the dataset; accuracy is of its test part. Not needed for --target.
        threads: that the engine may use.
        on: a device of the workspace to measure an artifact on.
        target: a target with an arm64 processor to count an artifact's instructions for.
        max_instructions: that one prediction may take; with --target.
    """
    from toolkit import instructions, journeys, on_device
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    if on and target:
        raise UsageError("--on measures, --target counts.", "Say one of them.")
    if max_instructions is not None and not target:
        raise UsageError("--max-instructions needs a processor.", "Add --target raspberry_pi_4.")
    if max_instructions is not None and max_instructions < 1:
        raise UsageError(f"No prediction takes {max_instructions} instructions.", "Allow some.")
    if target and (data or threads != 1):
        raise UsageError(
            "Instructions are counted on one thread, and without data.",
            "Leave --data and --threads out, or measure on a device with --on.",
        )
    if target:
        return instructions.report(shelves, subject, target, job, max_instructions)
    if not data:
        raise UsageError("There is no data to measure with.", "Name a dataset with --data.")
    if on:
        return on_device.measure(shelves, subject, data, on, threads, job)
    return journeys.measure(shelves, subject, data, threads, job)


def package(
    artifact: str,
    /,
    *,
    target: str,
    name: str | None = None,
    serve_as: str | None = None,
    reference: str | None = None,
    max_drop: Drop = None,
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    abstain: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Packaged:
    """Pack an artifact into one signed file with all that a device needs.

    Exits with 3, and packs nothing, when it may lose more than --max-drop.

    Args:
        artifact: a file made by `build` that answers like its model; or a model, of which the one
            is taken that the target runs best.
        target: what it is for; `sanderling list targets` names them.
        name: of the package; ARTIFACT-TARGET unless given.
        serve_as: the name a device serves the model by; the model's own unless given.
        reference: the dataset that live windows are compared with; the newest one that the model
            learned from unless given.
        max_drop: what it may lose against the float model it comes from, such as 1%.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
        abstain: the share of wrong answers that is allowed, such as 5%: below the confidence at
            which that holds, with 95 % certainty, a classifier marks its answer as abstained.
    """
    from toolkit import shipping
    from toolkit.quantities import share
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    gate = gate_if(max_drop, confidence, slice)
    risk = share(abstain, "--abstain") if abstain else None
    return shipping.package(
        shelves, artifact, target, name, serve_as, job, reference, gate, slice, risk
    )
