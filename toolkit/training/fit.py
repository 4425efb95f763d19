"""Training: Adam with early stopping; a killed run goes on where it was and ends the same."""

import contextlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DataError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.model import Model, state_of

if TYPE_CHECKING:
    import torch
    from torch import nn


class Settings(BaseModel):
    """How a network is fitted; Adam (Kingma and Ba 2015) with a one-cycle-like decay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Field(ge=1, le=10_000, description="Passes over the data at most.")] = 40
    patience: Annotated[
        int, Field(ge=1, description="Stop after this many epochs without a lower validation loss.")
    ] = 8
    batch_size: Annotated[int, Field(ge=2, description="Items a step.")] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Step size at the start.")] = 3e-3
    weight_decay: Annotated[float, Field(ge=0, description="Pull of weights towards zero.")] = 1e-4
    seed: Annotated[
        int, Field(ge=0, lt=1 << 32, description="Seed of weights, order and dropout.")
    ] = 0


@dataclass(frozen=True)
class Fitted:
    """A trained model, and how it came about."""

    model: Model
    epochs: int


def fit(model: Model, settings: Settings, job: Job, checkpoint: Path | None = None) -> Fitted:
    """Train `model` on `model.data`; weights it already has are the start.

    Args:
        model: with network, steps and data.
        settings: how.
        job: reports every epoch; stops between two batches.
        checkpoint: where a run that was stopped is kept; it goes on from there.
    """
    import torch

    data = model.need_data("Training")
    with enough_memory(), one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = model.module()
        run = Run(module, data, settings, fresh=not model.weights)
        if checkpoint and checkpoint.is_file():
            run.restore(checkpoint)
            job.step(f"go on after epoch {run.epoch}", run.epoch, settings.epochs)
        while not run.finished:
            run.epoch_of(job)
            if checkpoint:
                replace_file(checkpoint, run.saved())
        job.step(run.story(), settings.epochs, settings.epochs)
    if not np.isfinite(run.best_loss):
        raise DataError(
            "Training did not converge: the loss is not a number.",
            "Lower the step size with --set learning_rate=0.0003, and look for extreme values.",
        )
    trained = model.with_weights(run.outcome())
    return Fitted(trained, run.epoch)


class Run:
    """The mutable middle of a training run: everything a resumed one needs.

    Numbers to be predicted are learned with mean 0 and deviation 1, as steps of Adam have about
    the same size whatever the unit; the last layer takes the unit on when training is done.
    """

    def __init__(self, module: "nn.Module", data: Dataset, settings: Settings, fresh: bool) -> None:
        import torch

        self.module, self.settings = module, settings
        self.classify = data.task == "classification"
        self.middle, self.spread = (0.0, 1.0) if self.classify else unit_of(data.part("train")[1])
        self.train, self.validation = (
            self.tensors(*data.part(part)) for part in ("train", "validation")
        )
        if not fresh:
            in_unit(module, 1 / self.spread, -self.middle / self.spread)
        self.optimizer = torch.optim.Adam(
            module.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.epoch, self.best_epoch, self.best_loss = 0, 0, float("inf")
        self.best: dict[str, NDArray[Any]] = state_of(module)

    def tensors(
        self, inputs: NDArray[np.float32], targets: NDArray[Any]
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        wanted = targets.copy()
        if not self.classify:
            wanted = ((targets - self.middle) / self.spread).astype(np.float32)[:, None]
        return torch.from_numpy(inputs.copy()), torch.from_numpy(wanted)

    def outcome(self) -> dict[str, NDArray[Any]]:
        """The best weights, which give numbers in the unit of the targets."""
        import torch

        self.module.load_state_dict({k: torch.tensor(v) for k, v in self.best.items()})
        in_unit(self.module, self.spread, self.middle)
        return state_of(self.module)

    @property
    def finished(self) -> bool:
        return (
            self.epoch >= self.settings.epochs
            or self.epoch - self.best_epoch >= self.settings.patience
        )

    def epoch_of(self, job: Job) -> None:
        import torch

        # seeded by epoch: a resumed run draws what the unbroken one would have drawn
        torch.manual_seed(self.settings.seed * 100_003 + self.epoch)
        share = 0.5 * (1 + math.cos(math.pi * self.epoch / self.settings.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * (0.05 + 0.95 * share)
        inputs, targets = self.train
        self.module.train()
        order, size = torch.randperm(len(inputs)), self.settings.batch_size
        for start in range(0, len(inputs), size):
            batch = order[start : start + size]
            if len(batch) < 2:
                continue  # batch norm has no variance of one item
            job.step(self.story(), self.epoch, self.settings.epochs)
            self.optimizer.zero_grad()
            self.loss(inputs[batch], targets[batch]).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.module.eval()
        with torch.no_grad():
            loss = float(self.loss(*self.validation))
        self.epoch += 1
        if loss < self.best_loss:
            self.best, self.best_loss, self.best_epoch = state_of(self.module), loss, self.epoch

    def loss(self, inputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
        from torch.nn import functional

        scores = self.module(inputs)
        if self.classify:
            return functional.cross_entropy(scores, targets)
        return functional.mse_loss(scores, targets)

    def story(self) -> str:
        if not self.epoch:
            return "train"
        return f"train: best validation loss {self.best_loss:.4f} in epoch {self.best_epoch}"

    def saved(self) -> bytes:
        import torch

        stream = io.BytesIO()
        best = {name: torch.tensor(value) for name, value in self.best.items()}
        facts = json.dumps([self.epoch, self.best_epoch, self.best_loss])
        state = [self.module.state_dict(), self.optimizer.state_dict(), best, facts]
        torch.save(state, stream)
        return stream.getvalue()

    def restore(self, file: Path) -> None:
        import torch

        try:
            # weights_only: tensors and plain values, never code
            module, optimizer, best, facts = torch.load(file, weights_only=True)
        except Exception as error:  # torch raises whatever a damaged archive leads it to
            raise IntegrityError(
                f"The unfinished run in {file} is damaged.", "Delete the file to train anew."
            ) from error
        self.module.load_state_dict(module)
        self.optimizer.load_state_dict(optimizer)
        self.best = {name: value.numpy() for name, value in best.items()}
        self.epoch, self.best_epoch, self.best_loss = json.loads(facts)


def unit_of(targets: NDArray[Any]) -> tuple[float, float]:
    """Mean and deviation; 1 for a constant."""
    values = targets.astype(np.float64)
    return float(values.mean()), float(values.std()) or 1.0


def in_unit(module: "nn.Module", times: float, plus: float) -> None:
    """Make the module give `times` what it gave, `plus` something."""
    import torch
    from torch import nn

    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(times)
        last.bias.mul_(times).add_(plus)


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
