"""Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531).

Hints from inside the teacher follow Romero et al. 2015 (FitNets, arXiv:1412.6550) and Zagoruyko
and Komodakis 2017 (attention transfer, arXiv:1612.03928).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, PrivateAttr, field_validator

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.networks import networks
from toolkit.passes.base import Pass
from toolkit.training import fit, resumable
from toolkit.training.distillation import Distillation, Hints, Insides, teachers_scores
from toolkit.training.finetuning import settings
from toolkit.training.fit import steady

if TYPE_CHECKING:
    import torch


class Distill(Pass):
    """Train a smaller network on the answers of a larger one, the teacher."""

    needs_network = True

    teacher: Annotated[
        str,
        Field(
            description="A saved model to learn from; empty for the model itself.",
            json_schema_extra={"names": "models"},
        ),
    ] = ""
    network: Annotated[
        str,
        Field(
            description="Kind of the small network; empty for the model's own kind.",
            json_schema_extra={"names": "networks"},
        ),
    ] = ""
    width: Annotated[
        float, Field(gt=0, le=16, description="Multiple of the channels or units of every layer.")
    ] = 0.5
    depth: Annotated[
        float, Field(gt=0, le=16, description="Multiple of the number of layers or blocks.")
    ] = 1.0
    temperature: Annotated[
        float, Field(gt=0, le=100, description="How far the teacher's class shares are softened.")
    ] = 4.0
    alpha: Annotated[
        float, Field(ge=0, le=1, description="Weight of the teacher; the rest is the targets'.")
    ] = 0.7
    hints: Annotated[
        Hints, Field(description="What is learned from inside the teacher, which is a network.")
    ] = "none"
    epochs: Annotated[int, Field(ge=1, le=10_000, description="Passes over the data.")] = 15
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Step size at the start.")] = 3e-3
    seed: Annotated[
        int, Field(ge=0, lt=1 << 32, description="Seed of the small network and its training.")
    ] = 0

    _teacher: Model | None = PrivateAttr(None)

    @field_validator("network")
    @classmethod
    def _known(cls, name: str) -> str:
        return networks.name_of(networks[name]) if name else ""

    def __eq__(self, other: object) -> bool:
        """The fields alone: a teacher is known by its name."""
        return isinstance(other, Distill) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @property
    def trains(self) -> bool:
        return True

    def resolved(self, find: Callable[[str], Model]) -> Self:
        if not self.teacher:
            return self
        copy = self.model_copy()
        copy._teacher = find(self.teacher)
        return copy

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_graph(model)
        data = model.need_data("Distillation")
        teacher = self._teacher_of(model)
        student = self._student_of(model)
        how = settings(self.epochs, self.learning_rate, self.seed)
        scores = teachers_scores(teacher, data, job)
        with resumable(job, self, model, teacher) as checkpoint, steady(self.seed):
            lesson = Distillation(
                scores, self.temperature, self.alpha, self._insides(student, teacher)
            )
            return fit(student, how, job, checkpoint, lesson).model

    def _teacher_of(self, model: Model) -> Model:
        teacher = self._teacher if self.teacher else model
        if teacher is None:
            raise UnsupportedError(
                f"distill: the teacher {self.teacher!r} is a name, and was not looked up.",
                "Run the recipe on a workspace, or call `resolved` first.",
            )
        if mismatch := differs(teacher, model):
            raise UnsupportedError(
                f"distill: {self.teacher!r} cannot teach this model: {mismatch}.",
                "Name a model that was trained for the same task.",
            )
        if self.hints != "none" and not teacher.network:
            raise UnsupportedError(
                f"distill: {self.teacher!r} is a finished graph, whose inside gives no hints.",
                "Use hints=none, or name the network it was made from.",
            )
        return teacher

    def _student_of(self, model: Model) -> Model:
        """Untaught; but the model itself where no other network is asked for."""
        own = networks[self.network]() if self.network else model.network
        if own is None:
            raise AssertionError("a graph was refused before")
        if (self.width, self.depth) != (1, 1):
            own = own.scaled(self.width, self.depth)
        elif not self.network:
            return model
        return replace(model, network=own, weights={})

    def _insides(self, student: Model, teacher: Model) -> Insides | None:
        if self.hints == "none":
            return None
        return Insides(student.module(), teacher.module(), example_of(student), self.hints)


def differs(teacher: Model, model: Model) -> str:
    """Why the one cannot teach the other; empty when it can."""
    theirs, mine = teacher.signature, model.signature
    if theirs.inputs[0].shape != mine.inputs[0].shape:
        return f"it takes inputs of shape {list(theirs.inputs[0].shape)}"
    if theirs.labels != mine.labels or theirs.outputs[0].shape != mine.outputs[0].shape:
        return "it gives other outputs"
    return ""


def example_of(model: Model) -> "torch.Tensor":
    import torch

    return torch.zeros((2, *model.signature.inputs[0].shape[1:]))
