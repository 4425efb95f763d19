"""Mend the guilty layers, and only those: the cheapest way first, measured after each attempt.

First what costs nothing: equalized channels and corrected biases of the whole graph (Nagel et al.
2019, arXiv:1906.04721). Then layer by layer: what keeping it in float would bring at most, and the
cheapest exception that brings nearly as much. Last, what is no longer needed goes again.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_targets.runtime.errors import RecipeError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.diagnosis.damage import Case, harm
from toolkit.diagnosis.readings import Reading, part_of, read
from toolkit.diagnosis.workshop import FLOAT, Treatment, Workshop
from toolkit.quantization.plan import LayerPlan
from toolkit.results import RepairStep

# what may be done to a layer, in order of what it costs: nothing, some bytes or time, all
LADDER = (
    ("per_channel",), ("mse",), ("percentile",), ("per_channel", "mse"),
    ("int16",), ("weights",), ("half",), (FLOAT,),
)  # fmt: skip
WHOLE = "all"
EQUALIZE = "equalize_layers"
CORRECT = "correct_bias"
HELPS = 0.05  # of the whole harm: less is an accident of the items
NEARLY = 0.9  # of what float would bring: then a cheaper way is as good
MOST_LAYERS = 8  # beyond, the model as a whole is not fit for 8 bits
WIDE = "int16"
SAME = 0.02  # of the whole harm


@dataclass(frozen=True)
class State:
    """A treatment, and how the model is with it."""

    treatment: Treatment
    reading: Reading


@dataclass
class Repair:
    """One repair on its way.

    Attributes:
        enough: whether a reading is as good as was asked for.
        max_size: in bytes; None for any.
        steps: every attempt so far.
        crowded: whether something that helped was too large.
    """

    case: Case
    workshop: Workshop
    enough: Callable[[Reading], bool]
    max_size: int | None
    job: Job
    layers: Sequence[str]

    def __post_init__(self) -> None:
        self.steps: list[RepairStep] = []
        self.crowded = False
        self._readings: dict[Treatment, Reading] = {}

    def run(self) -> State:
        """The best that was found."""
        now = State(Treatment(), self.case.quantized)
        for how in (EQUALIZE, CORRECT):
            if not self.done(now):
                now = self.whole(now, how)
        for layer in self.layers[:MOST_LAYERS]:
            if not self.done(now):
                now = self.mend(now, layer)
        for pair in self.neighbours():
            if not self.done(now):
                now = self.mend(now, *pair)
        now = self.trimmed(now)
        count = max(len(self.steps), 1)
        self.job.step("repair", count, count)
        return now

    def neighbours(self) -> list[tuple[str, str]]:
        """Guilty layers that follow one another: what lies between them may need both."""
        chosen = self.layers[:MOST_LAYERS]
        order = [name for name in self.workshop.plans(Treatment(), self.job) if name in chosen]
        return list(itertools.pairwise(order))

    def done(self, state: State) -> bool:
        """Whether it is good enough, or so good that nothing can be seen to help."""
        rest = self.harm(state.reading)
        return self.enough(state.reading) or rest < HELPS * self.case.harm

    def harm(self, reading: Reading) -> float:
        return harm(self.case.original, reading)

    def fits(self, reading: Reading) -> bool:
        return self.max_size is None or reading.size_bytes <= self.max_size

    def attempt(self, treatment: Treatment, layer: str, how: str) -> State | None:
        """The model treated so; None where a layer cannot be so, such as too large for float16."""
        message = f"repair {layer}: {how}"
        total = 2 + len(self.layers[:MOST_LAYERS]) * len(LADDER)
        done = min(len(self.steps), total)
        self.job.step(message, done, total)
        if treatment not in self._readings:
            part = part_of(self.job, message, done, total)
            try:
                graph = self.workshop.quantized(treatment, part)
                found = read(graph, self.case.signature, self.case.items, part)
            except (RecipeError, UnsupportedError):
                return None
            self._readings[treatment] = found
        return State(treatment, self._readings[treatment])

    def note(self, layer: str, how: str, reading: Reading, kept: bool) -> None:
        self.steps.append(
            RepairStep(layer, how, reading.quality, reading.loss, reading.size_bytes, kept)
        )

    def whole(self, now: State, how: str) -> State:
        """With something done to the whole graph, if that helps."""
        if how == EQUALIZE:
            treatment = replace(now.treatment, ahead=(EQUALIZE,))
        else:
            treatment = replace(now.treatment, correct_bias=True)
        tried = self.attempt(treatment, WHOLE, how)
        if tried is None:
            return now
        kept = self.helps(now, tried) and self.allowed(tried)
        self.note(WHOLE, how, tried.reading, kept)
        return tried if kept else now

    def helps(self, now: State, tried: State) -> bool:
        return self.harm(now.reading) - self.harm(tried.reading) >= HELPS * self.case.harm

    def allowed(self, tried: State) -> bool:
        if self.fits(tried.reading):
            return True
        self.crowded = True
        return False

    def mend(self, now: State, *layers: str) -> State:
        """With the cheapest exception that brings nearly all that can be had from these layers."""
        name = " and ".join(layers)
        most = self.most(now, name, layers)
        if not self.helps(now, most):
            return now
        before = self.harm(now.reading)
        wanted = NEARLY * (before - self.harm(most.reading))
        best, chosen = now, ""
        plans = [None, self.plan(now.treatment)]
        for hows in LADDER:
            how, treatment = " + ".join(hows), now.treatment.with_layers(layers, *hows)
            plan = self.plan(treatment)
            tried = self.attempt(treatment, name, how) if plan not in plans else None
            if tried is None:
                continue
            plans.append(plan)
            helps = self.helps(now, tried) and self.allowed(tried)
            good = helps and (before - self.harm(tried.reading) >= wanted or self.done(tried))
            self.note(name, how, tried.reading, kept=good)
            if good:
                return tried
            if helps and self.harm(tried.reading) < self.harm(best.reading):
                best, chosen = tried, how
        if chosen:
            self.note(name, chosen, best.reading, kept=True)
        return best

    def most(self, now: State, name: str, layers: Sequence[str]) -> State:
        """What can be had: with 16 bits a value between two layers is wide for both of them."""
        best = now
        for how in (FLOAT, WIDE):
            treatment = now.treatment.with_layers(layers, how)
            tried = self.attempt(treatment, name, how) if self.plan(treatment) else None
            if tried and self.harm(tried.reading) < self.harm(best.reading):
                best = tried
        if not self.helps(now, best):
            self.note(name, f"{FLOAT} or {WIDE}", best.reading, kept=False)
        return best

    def plan(self, treatment: Treatment) -> dict[str, LayerPlan] | None:
        """None for a treatment that its layers cannot have."""
        try:
            return self.workshop.plans(treatment, self.job)
        except RecipeError:
            return None

    def trimmed(self, now: State) -> State:
        """Without what is no longer needed, the first things first: the last one made it good."""
        treatment = now.treatment
        for how in treatment.ahead:
            now = self.without(now, replace(now.treatment, ahead=()), WHOLE, how)
        if treatment.correct_bias:
            now = self.without(now, replace(now.treatment, correct_bias=False), WHOLE, CORRECT)
        for exception in treatment.exceptions[:-1]:
            layer, _, how = exception.rpartition("=")
            rest = tuple(one for one in now.treatment.exceptions if one != exception)
            now = self.without(now, replace(now.treatment, exceptions=rest), layer, how)
        return now

    def without(self, now: State, treatment: Treatment, layer: str, how: str) -> State:
        if treatment == Treatment():
            return now
        tried = self.attempt(treatment, layer, f"without {how}")
        if tried is None:
            return now
        loss = self.harm(tried.reading) - self.harm(now.reading)
        good = self.done(tried) if self.done(now) else loss <= 0
        if not good or loss > SAME * self.case.harm or not self.fits(tried.reading):
            return now
        self.note(layer, f"without {how}", tried.reading, kept=True)
        return tried
