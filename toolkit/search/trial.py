"""One trial: make the model, compile it, prove it, measure it, keep it.

A hopeless one ends early. Optuna's own pruning knows one objective only, so these are our rules,
each before something slow:

- before fine-tuning: the pruned weights alone, in as few bits as the plan stores them, are larger
  than the budget; or the estimated latency is, where latency is estimated;
- before quantization and compilation: the shrunk network itself surely (95 %) loses more on the
  validation items than `FAR` times what may be lost and `ODDS` besides: no way to store its
  numbers brings that back.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.catalog import targets
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.artifact import compile_model
from toolkit.evaluation.gate import Bounds, bounds_of, points
from toolkit.inference import Runner
from toolkit.latency import Clock, Estimated, Finished, work_of
from toolkit.memory import ram_of
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, parse
from toolkit.passes import Pass
from toolkit.recipe import Recipe
from toolkit.results import Candidate
from toolkit.search.options import Options
from toolkit.search.shrunk import Shrunk
from toolkit.search.space import Plan, short
from toolkit.workspace import Entry, Workspace

FAR, ODDS = 2.0, 0.02  # a front shows a little of what lies beyond the gate
TWO_SIDED = 0.975  # bounds of this confidence on both sides are a 95 % interval


class HopelessError(Exception):
    """The trial cannot come to anything; the text says why."""


@dataclass(frozen=True)
class Origin:
    """The model that all trials begin with, and its answers.

    Attributes:
        parents: entries that every trial is made from: the model, and the dataset.
        graph: the model as ONNX.
        answers: its first output for the validation items.
    """

    entry: Entry
    model: Model
    parents: tuple[Entry, ...]
    graph: bytes
    answers: NDArray[Any]

    @classmethod
    def of(cls, shelves: Workspace, model_name: str, data_name: str, job: Job) -> "Origin":
        entry, model, parents = shelf.loaded(shelves, model_name, data_name)
        graph = graph_of(model, job)
        inputs, _ = model.need_data("A search").part("validation")
        answers = Runner(graph, "onnx", model.signature).first_output(inputs, job)
        return cls(entry, model, parents, graph, answers)

    @property
    def validation(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        return self.model.need_data("A search").part("validation")

    def drop(self, answers: NDArray[Any]) -> Bounds:
        """Of the metric on the validation items, with its 95 % interval."""
        return bounds_of(self.answers, answers, self.validation[1], TWO_SIDED)


@dataclass(frozen=True)
class Made:
    """A finished trial: its figures, and the entry of its model in the workspace."""

    candidate: Candidate
    digest: str
    recipe: str


@dataclass(frozen=True)
class Workshop:
    """Where trials are made."""

    shelves: Workspace
    study: str
    options: Options
    origin: Origin
    clock: Clock
    shrunk: Shrunk

    def make(self, number: int, plan: Plan, job: Job) -> Made:
        """The finished trial; its model is in the workspace.

        Raises:
            HopelessError: it was ended early.
            UnsupportedError: the model cannot be stored or compiled so.
        """
        small, graph = self._shrink(plan, job)
        model, store = small, plan.stored_for(graph)
        if store:
            # exported once: only what trains on needs the network again
            trains_on = any(step.needs_network for step in store)
            model = Recipe(store).apply(small if trains_on else small.with_graph(graph), job)
            graph = graph_of(model, job)
        finished = self._compile(model.with_graph(graph), plan.runtime.format, job)
        drop = self.origin.drop(self._answers(finished, plan, job))
        if not math.isfinite(drop.drop):
            raise UnsupportedError("It answers with what is not a number.", "Choose other passes.")
        timing = self.clock(finished, plan.runtime.threads, job)
        candidate = Candidate(
            trial=number,
            model=f"{self.study}-t{number:03d}",
            recipe=short((*plan.shrink, *store)),
            runtime=str(plan.runtime),
            size_bytes=len(finished.data),
            latency_ms=timing.latency_ms,
            latency_source=timing.source,
            ram_bytes=ram_of(finished.graph, finished.data),
            drop=drop.drop,
            drop_low=drop.low,
            drop_high=drop.high,
            fits=False,
            pareto=False,
        )
        candidate = replace(candidate, fits=not any(over(candidate, self.options).values()))
        recipe = Recipe((*plan.shrink, *store))
        trains = any(step.trains for step in recipe.steps)
        toml = recipe.to_toml() if recipe.steps else ""  # a recipe file has one pass at least
        return Made(candidate, self._keep(candidate, model, toml, trains, job), toml)

    def _shrink(self, plan: Plan, job: Job) -> tuple[Model, bytes]:
        """The smaller network, from an earlier trial where one made it, and its graph."""
        model, data = self.origin.model, self.origin.model.data
        if not plan.shrink:
            return model, self.origin.graph
        known = self.shrunk.get(plan.shrink, data)
        if known is None:
            self._refuse_large(plan, job)
            known = Recipe(plan.shrink).apply(model, job)
            self.shrunk.put(plan.shrink, known)
        graph = graph_of(known, job)
        inputs, _ = self.origin.validation
        answers = Runner(graph, "onnx", known.signature).first_output(inputs, job)
        lost = self.origin.drop(answers)
        if lost.low > FAR * self.options.gate.max_drop + ODDS:
            raise HopelessError(
                f"the network itself loses {points(lost.drop)}, surely more than {points(lost.low)}"
            )
        return known, graph

    def _refuse_large(self, plan: Plan, job: Job) -> None:
        """Shrink without training, which is quick, to see what must come of it at least."""
        quick = tuple(untrained(step) for step in plan.shrink)
        if None in quick:
            return
        sketch = Recipe(tuple(step for step in quick if step)).apply(self.origin.model, job)
        graph = graph_of(sketch, job)
        least = weights_of(graph) * plan.bits // 8
        if self.options.max_size is not None and least > self.options.max_size:
            raise HopelessError(f"its weights alone would take {least:,} bytes")
        if self.options.max_latency_ms is None or not isinstance(self.clock, Estimated):
            return
        work = work_of(graph)
        if plan.bits <= 8:  # at best all of it in int8
            work = work.in_int8()
        threads = plan.runtime.threads
        found = self.clock.of(work, plan.runtime.format, threads)
        if found.latency_ms > self.options.max_latency_ms:
            raise HopelessError(f"a prediction would take {found.latency_ms:.3g} ms at least")

    def _compile(self, model: Model, format_name: str, job: Job) -> Finished:
        """The file of a graph.

        Raises:
            UnsupportedError: it cannot be made, does not answer alike, or has no room.
        """
        inputs, _ = self.origin.validation
        compiled = compile_model(model, format_name, inputs, job)
        if not compiled.parity.passed:
            raise UnsupportedError(
                f"The {format_name} file does not answer like its model: the largest difference "
                f"is {compiled.parity.max_difference:.3g} of an output's spread.",
                "Build another format.",
            )
        target = targets[self.options.target]()
        if len(compiled.data) > min(target.facts.flash_bytes, target.facts.ram_bytes):
            raise UnsupportedError(
                f"{len(compiled.data):,} bytes do not fit a {target.title}.", "Shrink it more."
            )
        return Finished(
            model.graph, compiled.data, format_name, compiled.quantized, model.signature
        )

    def _answers(self, file: Finished, plan: Plan, job: Job) -> NDArray[Any]:
        runner = Runner(file.data, file.format, file.signature, plan.runtime.threads)
        return runner.first_output(self.origin.validation[0], job)

    def _keep(self, candidate: Candidate, model: Model, toml: str, trains: bool, job: Job) -> str:
        job.step("keep the model")
        parents = self.origin.parents
        entry = shelf.save_model(
            self.shelves, candidate.model, model, "search",
            {"recipe": toml, "study": self.study, "runtime": candidate.runtime},
            parents, shelf.learned_from(self.shelves, parents, trains),
            settings=self.origin.entry.facts.get("settings"),
        )  # fmt: skip
        return entry.digest


def untrained(step: Pass) -> Pass | None:
    """The pass without its training; None where there is nothing without training."""
    described = type(step).model_fields.get("epochs")
    least = [getattr(bound, "ge", None) for bound in (described.metadata if described else [])]
    return step.model_copy(update={"epochs": 0}) if 0 in least else None


def weights_of(graph: bytes) -> int:
    """How many numbers have more than one axis: those that are stored in few bits."""
    return sum(math.prod(t.dims) for t in parse(graph).graph.initializer if len(t.dims) > 1)


def over(candidate: Candidate, options: Options) -> Mapping[str, float]:
    """By how much of it each part of the budget is exceeded; 0 for what is kept."""
    allowed = {
        "size": (candidate.size_bytes, options.max_size),
        "latency": (candidate.latency_ms, options.max_latency_ms),
        "memory": (candidate.ram_bytes, options.max_ram),
        "drop": (candidate.drop, options.gate.max_drop),
    }
    return {
        name: max(0.0, (value - most) / (most or ODDS))
        for name, (value, most) in allowed.items()
        if most is not None
    }
