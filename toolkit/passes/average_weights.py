"""Stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407).

The mean of weights along a path of large steps lies in a flatter place than the end of one with
small steps, and often predicts new items better. The model keeps its size.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from edge_targets.runtime.events import Job
from toolkit.model import Model, state_of
from toolkit.passes.base import Pass
from toolkit.training import resumable, teach
from toolkit.training.averaging import Averaging
from toolkit.training.finetuning import settings


class AverageWeights(Pass):
    """Train on with a large step size and keep the mean of the weights on the way."""

    needs_network = True

    epochs: Annotated[int, Field(ge=1, le=10_000, description="Passes over the data.")] = 10
    cycle: Annotated[
        int,
        Field(ge=1, description="Epochs in which the step size falls before weights are taken."),
    ] = 1
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Largest step size.")] = 1e-3
    seed: Annotated[
        int, Field(ge=0, lt=1 << 32, description="Seed of the order of items and of dropout.")
    ] = 0

    @model_validator(mode="after")
    def _ends_a_cycle(self) -> Self:
        if self.cycle > self.epochs:
            raise ValueError(f"a cycle of {self.cycle} epochs does not end in {self.epochs}")
        return self

    @property
    def trains(self) -> bool:
        return True

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_graph(model)
        data = model.need_data("Averaging weights")
        how = settings(self.epochs, self.learning_rate, self.seed)
        module = model.module()
        with resumable(job, self, model) as checkpoint:
            teach(module, data, how, job, checkpoint, Averaging(module, self.cycle))
        return model.with_weights(state_of(module))
