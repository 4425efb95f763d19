"""Multilayer perceptron (Rumelhart, Hinton and Williams 1986)."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from toolkit.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class Mlp(Network):
    """Fully connected layers with ReLU between them; the one to start with for tables."""

    widths: ClassVar = ("hidden",)
    depths: ClassVar = ("hidden",)

    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65536)], ...],
        Field(min_length=1, description="Units of each hidden layer."),
    ] = (64, 64)
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of units left out in each training step.")
    ] = 0.0

    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        from torch import nn

        layers: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        width = math.prod(shape)
        for units in self.hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = units
        return nn.Sequential(*layers, nn.Linear(width, outputs))
