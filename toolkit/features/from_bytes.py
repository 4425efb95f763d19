"""Take bytes, as cameras give them: a quarter of what floats take to be handed over."""

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature

if TYPE_CHECKING:
    from torch import nn


class FromBytes(Feature):
    """Takes bytes, 0 to 255, and gives the same numbers as floats; stands first."""

    def takes(self, given: TensorSpec) -> TensorSpec:
        return replace(given, dtype="uint8", unit="0-255")

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Floats(nn.Module):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return values.float()

        return Floats()
