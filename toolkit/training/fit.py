"""Training: Adam with early stopping; a killed run goes on where it was and ends the same.

What is learned, and what is kept to on the way, is a `Lesson`: another loss, or a hook such as
`after_step(module: nn.Module) -> None`, called after every step of the optimizer.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.model import Model, state_of
from toolkit.training.lesson import Lesson
from toolkit.training.run import Run, Settings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Fitted:
    """A trained model, and how it came about."""

    model: Model
    epochs: int


def fit(
    model: Model,
    settings: Settings,
    job: Job,
    checkpoint: Path | None = None,
    lesson: Lesson | None = None,
) -> Fitted:
    """Train `model` on `model.data`; weights it already has are the start.

    Args:
        model: with network, steps and data.
        settings: how.
        job: reports every epoch; stops between two batches.
        checkpoint: where a run that was stopped is kept; it goes on from there.
        lesson: what is taught; the targets, when none is given.
    """
    data = model.need_data("Training")
    with steady(settings.seed):
        module = model.module()
        epochs = teach(module, data, settings, job, checkpoint, lesson, fresh=not model.weights)
    return Fitted(model.with_weights(state_of(module)), epochs)


def teach(
    module: "nn.Module",
    data: Dataset,
    settings: Settings,
    job: Job,
    checkpoint: Path | None = None,
    lesson: Lesson | None = None,
    *,
    fresh: bool = False,
) -> int:
    """Train a torch module where it stands, as `fit` does; how many epochs that took.

    Args:
        module: gives raw scores; its last layer is linear.
        fresh: it has learned nothing yet, and so does not answer in the unit of the targets.
    """
    with steady(settings.seed):
        run = Run(module, data, settings, lesson or Lesson(), fresh)
        if checkpoint and checkpoint.is_file():
            run.restore(checkpoint)
            job.step(f"go on after epoch {run.epoch}", run.epoch, settings.epochs)
        while not run.finished:
            run.epoch_of(job)
            if checkpoint:
                replace_file(checkpoint, run.saved())
        run.conclude()
        job.step(run.story(), settings.epochs, settings.epochs)
    if not np.isfinite(run.best_loss):
        raise DataError(
            "Training did not converge: the loss is not a number.",
            "Lower the step size with --set learning_rate=0.0003, and look for extreme values.",
        )
    return run.epoch


@contextlib.contextmanager
def steady(seed: int) -> Iterator[None]:
    """Torch with random numbers of its own, on one thread, and in as much memory as there is."""
    import torch

    with enough_memory(), one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Say so when there is not."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch has no error of its own for it
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise UnsupportedError(
            "Training needs more memory than this machine has free.",
            "Make the network smaller or --set batch_size, or bring fewer items.",
        ) from error


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Small networks train faster on one thread, and sums come out the same on every machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
