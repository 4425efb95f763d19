"""What a network is taught, and what is done while it learns: made to be overridden."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


class Lesson:
    """The plain lesson: the targets, with a step size that falls like a cosine.

    Another lesson overrides what differs. Of a run that goes on after a stop, it is made anew:
    what it learns or keeps itself belongs into `own`, whose state a checkpoint holds.

    Numbers to be predicted come with mean 0 and deviation 1, and the network answers so.
    """

    def __init__(self) -> None:
        from torch import nn

        self.own = nn.Module()

    def loss(
        self,
        module: "nn.Module",
        inputs: "torch.Tensor",
        targets: "torch.Tensor",
        items: "torch.Tensor",
    ) -> "torch.Tensor":
        """Of one batch; `items` are its places in the training part of the data."""
        return task_loss(module(inputs), targets)

    def rate(self, epoch: int, epochs: int) -> float:
        """The share of the learning rate that this epoch, counted from 0, gets."""
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * epoch / epochs))

    def after_step(self, module: "nn.Module") -> None:
        """After every step of the optimizer, such as to put pruned weights back to zero."""

    def after_epoch(self, module: "nn.Module", epoch: int) -> None:
        """After every epoch, counted from 1, and before it is judged on the validation part."""

    def conclude(self, module: "nn.Module", inputs: "torch.Tensor") -> None:
        """Once at the end, when `module` has its best weights again; `inputs` to train with."""


def task_loss(scores: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Cross entropy for classes; squared error for numbers, which come as a column."""
    from torch.nn import functional

    if targets.ndim == 1:
        return functional.cross_entropy(scores, targets)
    return functional.mse_loss(scores, targets)
