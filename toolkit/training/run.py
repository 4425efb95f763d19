"""The mutable middle of a training run: all that a run which was stopped needs to go on."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.model import state_of
from toolkit.training.lesson import Lesson, task_loss

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


class Run:
    """One training run of a module, which it changes.

    Numbers to be predicted are learned with mean 0 and deviation 1, as steps of Adam have about
    the same size whatever the unit; the last layer takes the unit on when training is done.
    """

    def __init__(
        self, module: "nn.Module", data: Dataset, settings: Settings, lesson: Lesson, fresh: bool
    ) -> None:
        import torch

        self.module, self.settings, self.lesson = module, settings, lesson
        self.middle, self.spread = unit_of(data)
        self.train, self.validation = (
            self.tensors(*data.part(part)) for part in ("train", "validation")
        )
        if not fresh:
            in_unit(module, 1 / self.spread, -self.middle / self.spread)
        self.optimizer = torch.optim.Adam(
            [*module.parameters(), *lesson.own.parameters()],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.epoch, self.best_epoch, self.best_loss = 0, 0, float("inf")
        self.best: dict[str, NDArray[Any]] = state_of(module)

    def tensors(
        self, inputs: NDArray[np.float32], targets: NDArray[Any]
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        wanted = targets.copy()
        if not np.issubdtype(targets.dtype, np.integer):
            wanted = ((targets - self.middle) / self.spread).astype(np.float32)[:, None]
        return torch.from_numpy(inputs.copy()), torch.from_numpy(wanted)

    def conclude(self) -> None:
        """Give the module the best weights, and have it answer in the unit of the targets."""
        import torch

        self.module.load_state_dict({k: torch.tensor(v) for k, v in self.best.items()})
        self.lesson.conclude(self.module, self.train[0])
        in_unit(self.module, self.spread, self.middle)
        self.module.eval()

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
        share = self.lesson.rate(self.epoch, self.settings.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * share
        inputs, targets = self.train
        self.module.train()
        order, size = torch.randperm(len(inputs)), self.settings.batch_size
        for start in range(0, len(inputs), size):
            batch = order[start : start + size]
            if len(batch) < 2:
                continue  # batch norm has no variance of one item
            job.step(self.story(), self.epoch, self.settings.epochs)
            self.optimizer.zero_grad()
            loss = self.lesson.loss(self.module, inputs[batch], targets[batch], batch)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.lesson.after_step(self.module)
        self.epoch += 1
        self.lesson.after_epoch(self.module, self.epoch)
        self.module.eval()
        with torch.no_grad():
            validation = float(task_loss(self.module(self.validation[0]), self.validation[1]))
        if validation < self.best_loss:
            self.best, self.best_loss = state_of(self.module), validation
            self.best_epoch = self.epoch

    def story(self) -> str:
        if not self.epoch:
            return "train"
        return f"train: best validation loss {self.best_loss:.4f} in epoch {self.best_epoch}"

    def saved(self) -> bytes:
        import torch

        stream = io.BytesIO()
        best = {name: torch.tensor(value) for name, value in self.best.items()}
        facts = json.dumps([self.epoch, self.best_epoch, self.best_loss])
        holders = (self.module, self.optimizer, self.lesson.own)
        torch.save([*(holder.state_dict() for holder in holders), best, facts], stream)
        return stream.getvalue()

    def restore(self, file: Path) -> None:
        import torch

        try:
            # weights_only: tensors and plain values, never code
            module, optimizer, own, best, facts = torch.load(file, weights_only=True)
        except Exception as error:  # torch raises whatever a damaged archive leads it to
            raise IntegrityError(
                f"The unfinished run in {file} is damaged.", "Delete the file to train anew."
            ) from error
        self.module.load_state_dict(module)
        self.optimizer.load_state_dict(optimizer)
        self.lesson.own.load_state_dict(own)
        self.best = {name: value.numpy() for name, value in best.items()}
        self.epoch, self.best_epoch, self.best_loss = json.loads(facts)


def unit_of(data: Dataset) -> tuple[float, float]:
    """Mean and deviation of the numbers to be predicted, 1 for a constant; (0, 1) for classes."""
    if data.task == "classification":
        return 0.0, 1.0
    values = data.part("train")[1].astype(np.float64)
    return float(values.mean()), float(values.std()) or 1.0


def in_unit(module: "nn.Module", times: float, plus: float) -> None:
    """Make the module give `times` what it gave, `plus` something."""
    import torch
    from torch import nn

    if (times, plus) == (1.0, 0.0):
        return
    if own := getattr(module, "in_unit", None):  # it has another way to do so
        own(times, plus)
        return
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(times)
        last.bias.mul_(times).add_(plus)
