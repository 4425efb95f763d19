"""ResNet-8 (He et al. 2015, arXiv:1512.03385), as MLPerf Tiny uses it (arXiv:2106.07597)."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from toolkit.networks.base import Network

if TYPE_CHECKING:
    import torch
    from torch import nn


class Resnet8(Network):
    """One convolution and three residual blocks, each half as large and twice as wide; images."""

    widths: ClassVar = ("channels",)
    depths: ClassVar = ("blocks",)

    channels: Annotated[
        int, Field(ge=1, le=1024, description="Of the first layers; doubled with every block.")
    ] = 16
    blocks: Annotated[
        int, Field(ge=1, le=8, description="Residual blocks; the first keeps the size.")
    ] = 3

    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        from torch import nn

        if len(shape) != 3:
            raise UnsupportedError(
                f"resnet8 takes images (channels, height, width), not shape {list(shape)}.",
                "Use --network mlp for tables.",
            )

        class Residual(nn.Module):
            """Two convolutions, and a way past them."""

            def __init__(self, taken: int, given: int, stride: int) -> None:
                super().__init__()
                self.main = nn.Sequential(
                    nn.Conv2d(taken, given, 3, stride, padding=1, bias=False),
                    nn.BatchNorm2d(given),
                    nn.ReLU(),
                    nn.Conv2d(given, given, 3, padding=1, bias=False),
                    nn.BatchNorm2d(given),
                )
                # where nothing changes its size, the input itself is the way past
                same = taken == given and stride == 1
                self.past = nn.Identity() if same else nn.Conv2d(taken, given, 1, stride)
                self.end = nn.ReLU()

            def forward(self, values: "torch.Tensor") -> "torch.Tensor":
                found: torch.Tensor = self.end(self.main(values) + self.past(values))
                return found

        width = self.channels
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            Residual(width, width, 1),
        ]
        for _ in range(self.blocks - 1):
            layers.append(Residual(width, 2 * width, 2))
            width *= 2
        return nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs)
        )
