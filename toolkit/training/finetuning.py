"""What the passes share that may let a network recover: the fields for it, and the training."""

from typing import Annotated

from pydantic import BaseModel, Field

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.training import Lesson, Settings, fit, resumable

Epochs = Annotated[
    int, Field(ge=0, le=10_000, description="Passes over the data to recover; 0 for none.")
]
LearningRate = Annotated[float, Field(gt=0, le=1, description="Step size of the recovery.")]
Seed = Annotated[int, Field(ge=0, lt=1 << 32, description="Seed of the recovery.")]


def settings(epochs: int, learning_rate: float, seed: int) -> Settings:
    """All epochs are gone through: on its way a model need not get better in each one."""
    return Settings(epochs=epochs, patience=epochs, learning_rate=learning_rate, seed=seed)


def recovered(
    step: BaseModel, model: Model, how: Settings, job: Job, lesson: Lesson | None = None
) -> Model:
    """The model after training on, which goes on where it was when it was stopped."""
    with resumable(job, step, model) as checkpoint:
        return fit(model, how, job, checkpoint, lesson).model
