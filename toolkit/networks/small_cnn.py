"""A small convolutional network in the manner of LeNet-5 (LeCun et al. 1998), with batch norm."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from toolkit.networks.base import Network

if TYPE_CHECKING:
    from torch import nn


class SmallCnn(Network):
    """Blocks of 3x3 convolution, batch norm and ReLU, halved by pooling, then one hidden layer."""

    widths: ClassVar = ("channels", "hidden")
    depths: ClassVar = ("channels",)

    channels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...],
        Field(min_length=1, description="Channels of each convolution block."),
    ] = (16, 32, 64)
    hidden: Annotated[
        int, Field(ge=1, le=65536, description="Units of the fully connected layer.")
    ] = 64
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of hidden units left out in training.")
    ] = 0.2

    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        from torch import nn

        if len(shape) != 3:
            raise UnsupportedError(
                f"small_cnn takes images (channels, height, width), not shape {list(shape)}.",
                "Use --network mlp for tables.",
            )
        width, height, breadth = shape
        layers: list[nn.Module] = []
        for index, channels in enumerate(self.channels):
            layers += [
                nn.Conv2d(width, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            width = channels
            # the first block sees every pixel: small images cannot spare them
            if index and min(height, breadth) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, breadth = height // 2, breadth // 2
        layers += [nn.Flatten(), nn.Linear(width * height * breadth, self.hidden), nn.ReLU()]
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(self.hidden, outputs))
