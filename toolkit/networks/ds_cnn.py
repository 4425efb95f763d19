"""Depthwise-separable CNN for keyword spotting (Zhang et al. 2017, arXiv:1711.07128)."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from toolkit.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class DsCnn(Network):
    """One convolution, then separable blocks, then the mean of each channel; made for sounds."""

    widths: ClassVar = ("channels", "stem")
    depths: ClassVar = ("blocks",)

    channels: Annotated[
        int, Field(ge=1, le=4096, description="Channels of every layer: 64, 172, 276 in the paper.")
    ] = 64
    stem: Annotated[
        int,
        Field(ge=0, le=4096, description="Channels of the first convolution; 0: as the others."),
    ] = 0
    blocks: Annotated[
        int, Field(ge=1, le=32, description="Pairs of a depthwise and a pointwise convolution.")
    ] = 4
    halvings: Annotated[
        int,
        Field(ge=0, le=8, description="Layers, from the first on, that halve height and width."),
    ] = 2
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of channels left out at the end in training.")
    ] = 0.2

    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        from torch import nn

        if len(shape) != 3:
            raise UnsupportedError(
                f"ds_cnn takes sounds or images (channels, height, width), not {list(shape)}.",
                "Use --network mlp for tables.",
            )
        width = self.stem or self.channels
        # tall: ten frames are about as long as a sound of speech
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], width, (10, 4), self.stride(0), padding=(5, 2), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        for index in range(1, self.blocks + 1):
            stride = self.stride(index)
            layers += [
                nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, self.channels, 1, bias=False),
                nn.BatchNorm2d(self.channels),
                nn.ReLU(),
            ]
            width = self.channels
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(width, outputs))

    def stride(self, index: int) -> int:
        """Of the layer with this index; the convolution in front has index 0."""
        return 2 if index < self.halvings else 1
