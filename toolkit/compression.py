"""Apply a recipe to a model, tell what every pass did to every layer, and let a gate decide."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.anatomy import Layer, layers_of, zipped
from toolkit.data.dataset import Dataset
from toolkit.data.sampling import thinned
from toolkit.evaluation.gate import Gate, judge, refuse_unprovable
from toolkit.evaluation.held_out import HeldOut, held_out
from toolkit.evaluation.metrics import quality
from toolkit.evaluation.slices import slices_of
from toolkit.inference import Runner, side_by_side
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import Pass, passes
from toolkit.quantization.checks import calibration_warnings
from toolkit.recipe import Recipe
from toolkit.results import Compressed, LayerChange, StepInfo
from toolkit.shelf import loaded
from toolkit.workspace import Workspace

NOTICEABLE = 0.05  # of size or time: less is rounding, or the machine's mood
CODEBOOK = 257  # different weights that a byte can name, and zero


@dataclass(frozen=True)
class State:
    """The model between two passes, as a file that runs."""

    model: Model
    graph: bytes
    layers: tuple[Layer, ...]
    runner: Runner

    @classmethod
    def of(cls, model: Model, job: Job) -> "State":
        graph = graph_of(model, job)
        return cls(model, graph, layers_of(graph), Runner(graph, "onnx", model.signature))

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)


def compress(
    shelves: Workspace,
    model_name: str,
    recipe: Recipe,
    data_name: str | None,
    name: str,
    job: Job,
    gate: Gate | None = None,
    slices: Sequence[str] = (),
    strict: bool = False,
) -> Compressed:
    shelf.new_name(name, model_name)
    source, model, parents = loaded(shelves, model_name, data_name)
    known = model.need_data("Compression")
    learned = shelf.learned_data(shelves, source)
    unseen = held_out(known, [learned] if learned else [])
    groups = slices_of(known, slices, unseen.rows)
    if gate:
        refuse_unprovable(gate, unseen.targets)
    recipe = recipe.resolved(lambda wanted: shelf.model(shelves, wanted))
    job = job.keeping(shelves.runs())
    states = [State.of(model, job)]
    steps: list[StepInfo] = []
    layers: list[LayerChange] = []

    def note(step: Pass, result: Model) -> None:
        before, after = states[-1], State.of(result, job)
        states.append(after)
        skipped = step.skips(before.model, job)
        steps.append(step_info(step, before, after, unseen, skipped, job))
        layers.extend(layer_changes(passes.name_of(step), before, after, skipped))

    smaller = recipe.apply(model, job, note)
    first, last = states[0], states[-1]
    old, new = (state.runner.first_output(unseen.inputs, job) for state in (first, last))
    verdict = judge(gate, old, new, unseen.targets, groups) if gate else None
    kept = verdict is None or verdict.passed
    if kept:
        trains = any(step.trains for step in recipe.steps)
        shelf.save_model(
            shelves, name, smaller, "compress", {"recipe": recipe.to_toml(), "data": data_name},
            parents, shelf.learned_from(shelves, parents, trains),
            settings=source.facts.get("settings"),
        )  # fmt: skip
    build, diagnose = (
        f"sanderling build {name} --format onnx --format tflite",
        f"sanderling diagnose {model_name} --data {data_name or known.name}",
    )
    return Compressed(
        name,
        model_name,
        kept,
        quality(old, unseen.targets),
        quality(new, unseen.targets),
        len(first.graph),
        len(last.graph),
        tuple(steps),
        tuple(layers),
        verdict,
        strict,
        doubts(recipe, model.with_data(learned), known),
        next=(build,) if kept else (diagnose,),
    )


def doubts(recipe: Recipe, model: Model, known: Dataset) -> tuple[str, ...]:
    """What is odd about the calibration items of each pass that takes some."""
    inputs, targets = known.part("train")
    found = [
        calibration_warnings(model, thinned(inputs, count), thinned(targets, count))
        for step in recipe.steps
        if (count := getattr(step, "samples", 0))
    ]
    return tuple(dict.fromkeys(text for texts in found for text in texts))


def step_info(
    step: Pass, before: State, after: State, unseen: HeldOut, skips: Mapping[str, str], job: Job
) -> StepInfo:
    changed = before.graph != after.graph
    old_ms, new_ms = side_by_side((before.runner, after.runner), unseen.inputs, job)
    old_zip, new_zip = zipped(before.graph), zipped(after.graph)
    return StepInfo(
        passes.name_of(step),
        summary(before, after, changed),
        changed,
        quality(after.runner.first_output(unseen.inputs, job), unseen.targets).value,
        len(before.graph),
        len(after.graph),
        old_zip,
        new_zip,
        before.parameters,
        after.parameters,
        before.macs,
        after.macs,
        old_ms,
        new_ms,
        warning(before, after, changed, new_ms / old_ms, new_zip / old_zip, skips),
    )


def summary(before: State, after: State, changed: bool) -> str:
    """What a pass did, in a few words."""
    if not changed:
        return "nothing changed"
    said = []
    if before.parameters != after.parameters:
        said.append(f"{before.parameters:,} weights became {after.parameters:,}")
    old, new = bits_of(before.layers), bits_of(after.layers)
    if old != new:
        said.append(f"{old} bits a weight became {new}")
    zeros = [sparsity(state.layers) for state in (before, after)]
    if zeros[1] > zeros[0] + NOTICEABLE:
        said.append(f"{zeros[1]:.0%} of the weights are zero")
    values = [max((layer.distinct for layer in s.layers), default=0) for s in (before, after)]
    if values[1] < CODEBOOK < values[0] and old == new:
        said.append(f"at most {values[1]} different weights a layer")
    return "; ".join(said) or "weights or operators changed"


def warning(
    before: State,
    after: State,
    changed: bool,
    time: float,
    zip_size: float,
    skips: Mapping[str, str],
) -> str:
    """What a user might expect of the pass and did not get; empty when it brought something.

    `time` and `zip_size` are those after as a multiple of those before.
    """
    if not changed:
        reasons = "; ".join(sorted(set(skips.values())))
        return f"changed nothing{': ' + reasons if reasons else ''}"
    size = len(after.graph) / len(before.graph)
    if time > 1 + NOTICEABLE and size < 1 - NOTICEABLE:
        return (
            f"{1 / size:.1f} times smaller, but {time:.2f} times the time here with ONNX Runtime; "
            "measure the TFLite file as well"
        )
    if size > 1 + NOTICEABLE:
        slower = f" and takes {time:.2f} times the time" if time > 1 + NOTICEABLE else ""
        return f"the file became {size:.2f} times as large{slower}"
    if size < 1 - NOTICEABLE or time < 1 - NOTICEABLE:
        return ""
    if zip_size < 1 - NOTICEABLE:
        return (
            f"0 ms saved and the file is as large; only the zip is {1 - zip_size:.0%} smaller. "
            "Use prune_channels for speed, quantize_int8 for size"
        )
    return "neither smaller nor faster by itself"


def layer_changes(
    step: str, before: State, after: State, skips: Mapping[str, str]
) -> Iterator[LayerChange]:
    """One row a layer of the model before; those that were split lead to their parts."""
    now = {layer.name: layer for layer in after.layers}
    for old in before.layers:
        parts = [now[old.name]] if old.name in now else parts_of(old.name, after.layers)
        done = f"left alone: {skips[old.name]}" if old.name in skips else change(old, parts)
        size = sum(part.parameters for part in parts)
        yield LayerChange(
            step,
            old.name,
            old.op,
            done,
            old.parameters,
            size,
            old.bits,
            max((part.bits for part in parts), default=0),
            sum(p.nonzero * p.parameters for p in parts) / size if size else 0.0,
            old.macs,
            sum(part.macs for part in parts),
        )


def parts_of(name: str, layers: Sequence[Layer]) -> list[Layer]:
    return [layer for layer in layers if layer.name.startswith(f"{name}.")]


def change(old: Layer, parts: Sequence[Layer]) -> str:
    if not parts:
        return "gone"
    if len(parts) > 1:
        return f"split into {', '.join(part.name for part in parts)}"
    [new] = parts
    if new == old:
        return "unchanged"
    said = []
    if new.parameters != old.parameters:
        said.append(f"{1 - new.parameters / old.parameters:.0%} of the weights removed")
    if new.bits != old.bits:
        said.append(f"{new.bits} bits")
    if new.nonzero < old.nonzero - NOTICEABLE:
        said.append(f"{1 - new.nonzero:.0%} zeros")
    if new.distinct < CODEBOOK < old.distinct and new.bits == old.bits:
        said.append(f"{new.distinct} different weights")
    return ", ".join(said) or ("other weights" if new.checksum != old.checksum else "unchanged")


def bits_of(layers: Sequence[Layer]) -> str:
    found = sorted({layer.bits for layer in layers}, reverse=True)
    return " and ".join(str(bits) for bits in found)


def sparsity(layers: Sequence[Layer]) -> float:
    count = sum(layer.parameters for layer in layers)
    kept: NDArray[np.float64] = np.array([la.nonzero * la.parameters for la in layers])
    return 1 - float(kept.sum()) / count if count else 0.0
