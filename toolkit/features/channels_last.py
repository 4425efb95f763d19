"""Pictures as cameras give them, the channels of a pixel side by side."""

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn


class ChannelsLast(Feature):
    """Takes (height, width, channels), and gives the channels first."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[-1], *shape[:-1])

    def takes(self, given: TensorSpec) -> TensorSpec:
        if len(given.shape) != 4:
            raise refused(self, given, "gives pictures", "Leave it out: this is none.")
        return replace(given, shape=(-1, *given.shape[2:], given.shape[1]))

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Turned(nn.Module):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return values.permute(0, 3, 1, 2)

        return Turned()
