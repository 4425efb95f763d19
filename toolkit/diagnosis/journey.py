"""Diagnose a model of the workspace, and repair it when asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError, UsageError
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.anatomy import layers_of, total_macs
from toolkit.diagnosis.damage import Case, harmful, rank
from toolkit.diagnosis.readings import Reading, affordable, choosing_items, read
from toolkit.diagnosis.repair import Repair, State
from toolkit.diagnosis.subject import Subject, subject_of
from toolkit.diagnosis.telling import blamed, healthy, mended, useless
from toolkit.diagnosis.values import answers
from toolkit.diagnosis.workshop import Treatment, Workshop
from toolkit.evaluation.gate import Gate, judge, least_provable, refuse_unprovable
from toolkit.evaluation.held_out import held_out
from toolkit.evaluation.metrics import are_classes, quality
from toolkit.evaluation.slices import slices_of
from toolkit.quantization.checks import calibration_warnings
from toolkit.recipe import Recipe
from toolkit.results import Diagnosed, Verdict
from toolkit.workspace import Workspace

GUILTY = 0.05  # of what the worst layer does: less is nobody's fault


@dataclass(frozen=True)
class Court:
    """Judges answers against the float model's, on one set of items.

    Attributes:
        inputs: shape (N, ...); `targets` (N,); `original` the float model's answers.
    """

    gate: Gate
    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    groups: Mapping[str, NDArray[np.str_]]
    original: NDArray[Any]

    def verdict(self, outputs: NDArray[Any]) -> Verdict:
        return judge(self.gate, self.original, outputs, self.targets, self.groups)

    def enough(self, reading: Reading) -> bool:
        """Whether the gate holds; where no number of losses could show it, nothing may be lost."""
        found = self.verdict(reading.outputs)
        if found.passed or not are_classes(self.targets):
            return found.passed
        least = least_provable(len(self.targets), self.gate.confidence)
        return least > self.gate.max_drop and found.drop <= 0


@dataclass(frozen=True)
class Examination:
    """Everything about one model that a repair needs too."""

    subject: Subject
    workshop: Workshop
    case: Case
    chooser: Court  # on the validation items; stricter, for the best of many looks better there
    court: Court  # on the unseen test items
    found: Diagnosed


def diagnose(
    shelves: Workspace,
    model_name: str,
    data_name: str,
    recipe: Recipe | None,
    gate: Gate,
    repair: bool,
    name: str | None,
    max_size: int | None,
    slices: Sequence[str],
    job: Job,
) -> Diagnosed:
    """Rank a model's layers by the damage that quantization does.

    Args:
        recipe: whose quantize_int8 is looked into; the one that made the model, or the
            defaults, unless given.
        repair: mend the guilty layers, and store the outcome under `name`.
        max_size: of the repaired model's graph, in bytes.
    """
    if not repair and (name or max_size is not None):
        raise UsageError("--name and --max-size are of a repaired model.", "Add --repair.")
    new_name = shelf.new_name(name or f"{model_name}-repaired", model_name) if repair else ""
    job = job.keeping(shelves.runs())
    subject = subject_of(shelves, model_name, data_name, recipe, job)
    one = examined(shelves, subject, gate, slices, repair, max_size, job)
    warnings = (*one.found.warnings, *subject.warnings(model_name))
    again = f"sanderling diagnose {model_name} --data {data_name}" + " --recipe FILE" * bool(recipe)
    one = replace(one, found=replace(one.found, warnings=warnings))
    if one.chooser.enough(one.case.quantized) or not one.case.harm:
        chosen = one.chooser.verdict(one.case.quantized.outputs)
        reason = healthy(chosen, len(one.found.layers), one.found.gate)
        following = f"sanderling compress {subject.name} --passes quantize_int8 --name NAME"
        return replace(one.found, reason=reason, next=(following,) * bool(one.found.layers))
    if not repair:
        return replace(one.found, reason=blamed(one.found), next=(f"{again} --repair",))
    layers = harmful(one.found.layers, GUILTY)
    work = Repair(one.case, one.workshop, one.chooser.enough, max_size, job, layers)
    best = work.run()
    if best.treatment == Treatment():
        reason = useless(work.steps, work.crowded)
        return replace(one.found, reason=reason, repairs=tuple(work.steps))
    return kept(shelves, one, work, best, new_name, data_name, job)


def examined(
    shelves: Workspace,
    subject: Subject,
    gate: Gate,
    slices: Sequence[str],
    repair: bool,
    max_size: int | None,
    job: Job,
) -> Examination:
    data = subject.model.need_data("Diagnosis")
    learned = shelf.learned_data(shelves, subject.entry)
    unseen, items = held_out(data, [learned] if learned else []), choosing_items(data, learned)
    # an unknown column is told before any work
    groups = slices_of(data, slices, unseen.rows)
    if repair:
        refuse_unprovable(gate, unseen.targets)
    ready = subject.ready(job)
    workshop = Workshop(ready, subject.base)
    graphs = ready.graph, workshop.quantized(Treatment(), job)
    if repair and max_size is not None:
        refuse_size(len(graphs[1]), max_size, subject.name)
    signature = ready.signature
    budget = affordable(total_macs(graphs[0]), len(layers_of(graphs[0])))
    found_items, items = len(items.rows), items.thinned(budget.items)
    choosing = slices_of(data, slices, items.rows)
    case = Case(signature, items, *(read(graph, signature, items, job) for graph in graphs))
    ranking = rank(case, workshop, budget.layers, job)
    before, after = (
        answers(graph, signature.outputs[0].name, signature.inputs[0], unseen.inputs, job)
        for graph in graphs
    )
    doubts = calibration_warnings(ready.with_data(learned), *data.part("train"))
    court = Court(gate, unseen.inputs, unseen.targets, groups, before)
    found = Diagnosed(
        subject.name,
        quality(before, unseen.targets),
        quality(after, unseen.targets),
        len(graphs[0]),
        len(graphs[1]),
        reason="",
        layers=ranking.rows,
        gate=court.verdict(after),
        repair=repair,
        warnings=(*doubts, *fewer(len(items.rows), found_items), *ranking.warnings),
    )
    stricter = gate.model_copy(update={"confidence": (1 + gate.confidence) / 2})
    chooser = Court(stricter, items.inputs, items.targets, choosing, case.original.outputs)
    return Examination(subject, workshop, case, chooser, court, found)


def fewer(used: int, known: int) -> tuple[str, ...]:
    if used == known:
        return ()
    return (
        f"Layers are compared on {used:,} of {known:,} validation items, for the time it takes.",
    )


def ending(work: Repair, best: State) -> str:
    """Why the repair went no further."""
    if work.done(best):
        return "on the validation items it did"
    return "--max-size is spent" if work.crowded else "nothing more helps"


def refuse_size(size: int, max_size: int, name: str) -> None:
    """Do nothing when there may be room for a repair.

    Raises:
        UnsupportedError: the model is too large before anything is mended.
    """
    if size > max_size:
        raise UnsupportedError(
            f"{name} takes {size:,} bytes in 8 bits already; --max-size allows {max_size:,}.",
            "Allow more, or make the model smaller first, such as with prune_channels or low_rank "
            "ahead of quantize_int8 in the --recipe.",
        )


def kept(
    shelves: Workspace,
    one: Examination,
    work: Repair,
    best: State,
    name: str,
    data_name: str,
    job: Job,
) -> Diagnosed:
    """Judge the repaired model on what nothing was chosen with; one that is refused is not kept."""
    steps = one.workshop.passes(best.treatment)
    model = Recipe(steps).apply(one.workshop.model, job)
    recipe = Recipe((*one.subject.before, *steps)).to_toml()
    [taken], given = model.signature.inputs, model.signature.outputs[0]
    answer = answers(model.graph, given.name, taken, one.court.inputs, job)
    verdict, after = one.court.verdict(answer), quality(answer, one.court.targets)
    lost = one.found.before.value - one.found.after.value
    back = (after.value - one.found.after.value) / lost if lost > 0 else None
    entry, parents = one.subject.entry, one.subject.parents
    trains = any(step.trains for step in one.subject.before)
    if verdict.passed:
        shelf.save_model(
            shelves, name, model, "diagnose", {"recipe": recipe, "data": data_name},
            parents, shelf.learned_from(shelves, parents, trains),
            settings=entry.facts.get("settings"),
        )  # fmt: skip
    return replace(
        one.found,
        reason=mended(verdict, len(work.steps), ending(work, best)),
        repairs=tuple(work.steps),
        mended=after,
        size_mended=len(model.graph),
        repaired=name if verdict.passed else "",
        recipe=recipe,
        recovered=back,
        gate=verdict,
        next=(f"sanderling build {name} --format onnx --format tflite",) * verdict.passed,
    )
