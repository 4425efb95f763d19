"""Rank layers by what quantizing one of them alone does to the model's answers.

Each layer is quantized with all others left float (Wu et al. 2020, arXiv:2004.09602, section 6.1)
and the metric is measured anew; for the worst, the reverse as well: all layers but one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.data.dataset import told
from toolkit.diagnosis.readings import Items, Reading, part_of, read
from toolkit.diagnosis.reasons import why
from toolkit.diagnosis.signals import (
    Flow,
    Place,
    flow_of,
    joined,
    outlier_of,
    places_of,
    probe,
    sqnr,
    tensor,
    weight_sqnr,
)
from toolkit.diagnosis.workshop import FLOAT, Treatment, Workshop
from toolkit.evaluation.gate import bounds_of
from toolkit.quantization.plan import reasons_for
from toolkit.results import LayerDamage

WORST = 8  # layers that are also left out, one at a time
ORDINARY = 0.9  # share of a channel's weights that are no outliers
SHARED = 0.005  # of metric and loss: less cannot be shared out among layers
SURE = 0.95  # confidence that a layer's damage to the metric is no accident


@dataclass(frozen=True)
class Case:
    """A float model's answers, and those of the same model quantized as a whole."""

    signature: Signature
    items: Items
    original: Reading
    quantized: Reading

    @property
    def harm(self) -> float:
        return harm(self.original, self.quantized)


@dataclass(frozen=True)
class Clue:
    """What can be told of a layer without running the whole model."""

    place: Place
    flow: Flow
    per_channel: bool

    @property
    def expected_db(self) -> float:
        """Signal to noise of its output: relative noises of factors add up."""
        ordinary = weight_sqnr(self.place.weights, self.per_channel, ORDINARY)
        return joined(self.flow.sqnr_db, ordinary)


@dataclass(frozen=True)
class Ranking:
    """The layers, the worst first, and what was left out."""

    rows: tuple[LayerDamage, ...]
    warnings: tuple[str, ...]


def harm(original: Reading, other: Reading) -> float:
    """Lost metric and gained loss in one number; 0 when nothing is lost."""
    return max(original.quality - other.quality, 0.0) + max(other.loss - original.loss, 0.0)


def rank(case: Case, workshop: Workshop, most: int, job: Job) -> Ranking:
    """At most so many layers by their damage: those that are likely to do the most."""
    clues = clues_of(workshop, job)
    chosen, left = clues[:most], clues[most:]
    names = [clue.place.layer for clue in clues]
    found = []
    for done, clue in enumerate(chosen):
        message = f"quantize {clue.place.layer} alone"
        job.step(message, done, len(chosen))
        part = part_of(job, message, done, len(chosen))
        found.append(damage_of(case, workshop, clue, names, part))
        row = found[-1][1]
        facts = {"layer": row.layer, "damage": row.damage, "loss": row.loss}
        job.step(message, done + 1, len(chosen), facts)
    rows = [row for _, row in sorted(found, key=lambda pair: pair[0], reverse=True)]
    rows[:WORST] = with_recovery(case, workshop, rows[:WORST], job)
    warnings = stays_float(workshop, job)
    if left:
        warnings.append(
            f"{len(left)} of {len(clues)} layers were not tried alone: their own signal to noise "
            f"is better than that of the {len(chosen)} shown."
        )
    return Ranking(tuple(rows), tuple(warnings))


def stays_float(workshop: Workshop, job: Job) -> list[str]:
    """Layers that the quantization leaves alone, said once a reason."""
    names: dict[str, list[str]] = {}
    plans = workshop.plans(Treatment(), job)
    for name, reason in reasons_for(workshop.ready((), job).graph, plans).items():
        names.setdefault(reason, []).append(name)
    return [f"Float arithmetic in {told(layers)}: {reason}." for reason, layers in names.items()]


def clues_of(workshop: Workshop, job: Job) -> list[Clue]:
    """The layers that can be quantized, the one with the least expected signal to noise first."""
    ready, plans = workshop.ready((), job), workshop.plans(Treatment(), job)
    clues = [
        Clue(place, flow_of(ready.seen[place.taken]), plans[place.layer].per_channel)
        for place in places_of(ready.graph)
        if place.layer in plans and not plans[place.layer].is_float
    ]
    return sorted(clues, key=lambda clue: clue.expected_db)


def damage_of(
    case: Case, workshop: Workshop, clue: Clue, names: Sequence[str], job: Job
) -> tuple[tuple[float, float], LayerDamage]:
    """What quantizing one layer does, after what it is ranked by."""
    place, weights = clue.place, clue.place.weights
    weight_db = weight_sqnr(weights, clue.per_channel)
    others = tuple(f"{name}={FLOAT}" for name in names if name != place.layer)
    graph = workshop.quantized(Treatment(exceptions=others), job)
    alone = read(graph, case.signature, case.items, job)
    drop, gain = case.original.quality - alone.quality, alone.loss - case.original.loss
    bounds = bounds_of(case.original.outputs, alone.outputs, case.items.targets, SURE)
    # an item or two that changed sides are an accident: then the loss is the finer measure
    key = (drop if bounds.low > 0 else 0.0, gain)
    return key, LayerDamage(
        place.layer,
        place.op,
        drop,
        gain,
        output_sqnr(workshop.ready((), job).graph, graph, clue, case, job),
        weight_db,
        float(weights.min()),
        float(weights.max()),
        outlier_of(weights),
        clue.flow.low,
        clue.flow.high,
        reason=why(place, clue.flow, weight_db, clue.per_channel),
    )


def output_sqnr(original: bytes, alone: bytes, clue: Clue, case: Case, job: Job) -> float:
    """Of what the layer gives; as its input and weights let expect, where it is not to be seen."""
    name, spec = clue.place.given, case.signature.inputs[0]
    items = probe(original, name, spec, case.items.inputs, job)
    wanted = tensor(original, name, spec, items, job)
    # what the next layer reads is rounded; a value that stays float is as it is
    given = tensor(alone, f"{name}_real", spec, items, job)
    given = tensor(alone, name, spec, items, job) if given is None else given
    return clue.expected_db if wanted is None or given is None else sqnr(wanted, given)


def with_recovery(
    case: Case, workshop: Workshop, rows: Sequence[LayerDamage], job: Job
) -> list[LayerDamage]:
    """How much of the whole harm goes when one layer stays float."""
    if case.harm < SHARED:
        return list(rows)
    found = []
    for done, row in enumerate(rows):
        message = f"quantize all but {row.layer}"
        job.step(message, done, len(rows))
        part = part_of(job, message, done, len(rows))
        graph = workshop.quantized(Treatment().with_layers([row.layer], FLOAT), part)
        left = harm(case.original, read(graph, case.signature, case.items, part))
        found.append(replace(row, recovery=1 - left / case.harm))
    job.step("quantize all but one", len(rows), len(rows))
    return found


def harmful(rows: Sequence[LayerDamage], share: float) -> list[str]:
    """Layers that do at least `share` of what the worst does, the worst first."""
    harms = [max(row.damage, 0.0) + max(row.loss, 0.0) for row in rows]
    worst = max(harms, default=0.0)
    return [
        row.layer
        for row, one in zip(rows, harms, strict=True)
        if one > share * worst or (row.recovery or 0) > share
    ]
