"""What is diagnosed: a float model, and how it is to be quantized."""

import tomllib
from dataclasses import dataclass

from edge_targets.runtime.errors import RecipeError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, operators
from toolkit.passes import passes
from toolkit.passes.base import Pass
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.recipe import Recipe, step_from
from toolkit.workspace import Entry, Workspace

QUANTIZER = "quantize_int8"
INTEGER = {
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A float model in the workspace, and the recipe that quantizes it.

    Attributes:
        name: of the float model.
        entry: of it.
        model: with the data that calibrates.
        parents: what a model made from it has for parents.
        before: passes ahead of the quantization.
        base: the quantization.
    """

    name: str
    entry: Entry
    model: Model
    parents: tuple[Entry, ...]
    before: tuple[Pass, ...]
    base: QuantizeInt8

    def warnings(self, asked: str) -> tuple[str, ...]:
        if asked == self.name:
            return ()
        return (f"{asked} is quantized: what was looked at is {self.name}, which it is made from.",)

    def ready(self, job: Job) -> Model:
        """The float graph that is to be quantized."""
        model = Recipe(self.before).apply(self.model, job)
        graph = graph_of(model, job)
        if is_quantized(graph):
            raise RecipeError(
                f"The passes before {QUANTIZER} quantize the model already.",
                f"Leave them out: diagnose looks at what {QUANTIZER} does.",
            )
        return model.with_graph(graph)


def subject_of(
    shelves: Workspace, name: str, data_name: str, recipe: Recipe | None, job: Job
) -> Subject:
    """The model, or the float one that it was made from; and the recipe that made it."""
    entry, model, parents = shelf.loaded(shelves, name, data_name)
    made: tuple[Pass, ...] = ()
    if is_quantized(graph_of(model, job)):
        entry, made = float_ancestor(shelves, entry)
        model = shelf.load_model(shelves, entry).with_data(model.data)
        parents = (entry, *parents[1:])
    before, base = parted(recipe.steps if recipe else made)
    before = Recipe(before).resolved(lambda one: shelf.model(shelves, one)).steps
    return Subject(entry.name, entry, model, parents, before, base)


def is_quantized(graph: bytes) -> bool:
    return bool(INTEGER & set(operators(graph)))


def float_ancestor(shelves: Workspace, entry: Entry) -> tuple[Entry, tuple[Pass, ...]]:
    """The nearest float model in the lineage, and the passes from there to `entry`.

    Raises:
        UnsupportedError: there is none.
    """
    here, steps = entry, list[Pass]()
    while True:
        model = shelf.load_model(shelves, here)
        if model.network or not is_quantized(model.graph):
            return here, tuple(steps)
        before = next((e for e in map(shelves.entry, here.parents) if e.kind == "models"), None)
        text = here.parameters.get("recipe")
        if before is None or not text:
            raise UnsupportedError(
                f"{entry.name} is quantized, and the float model it was made from is not known.",
                "Import the float model and name that one: diagnose quantizes it itself.",
            )
        rows = tomllib.loads(text)["pass"]
        steps = [step_from(row, f"the recipe of {here.name}") for row in rows] + steps
        here = before


def parted(steps: tuple[Pass, ...]) -> tuple[tuple[Pass, ...], QuantizeInt8]:
    """The passes ahead of the quantization, and the quantization with its parameters.

    Raises:
        RecipeError: something follows it.
    """
    place = next((i for i, step in enumerate(steps) if isinstance(step, QuantizeInt8)), None)
    if place is None:
        return steps, QuantizeInt8()
    base, *more = steps[place:]
    if more:
        raise RecipeError(
            f"{passes.name_of(more[0])} comes after {QUANTIZER} in the recipe.",
            f"Put {QUANTIZER} last: what follows it cannot be told from what it does.",
        )
    assert isinstance(base, QuantizeInt8)
    return steps[:place], base
