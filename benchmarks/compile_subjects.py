"""Networks that compilers are compared on: the toolkit's own, and some of the usual kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from toolkit.networks import networks

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Subject:
    """A network and the shape of one item."""

    module: nn.Module
    shape: Shape


class Block(nn.Module):
    """MobileNetV2's: wider, depthwise, narrower, and a sum where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, wider: int = 6) -> None:
        super().__init__()
        inner = inputs * wider
        self.adds = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *normalized(nn.Conv2d(inputs, inner, 1, bias=False)),
            *normalized(nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)),
            *normalized(nn.Conv2d(inner, outputs, 1, bias=False))[:2],
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)
        return x + found if self.adds else found


def normalized(layer: nn.Conv2d) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU6()]


def mobile() -> nn.Module:
    blocks = [(16, 24, 2), (24, 24, 1), (24, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1),
              (64, 96, 1), (96, 96, 1), (96, 160, 2)]  # fmt: skip
    return nn.Sequential(
        *normalized(nn.Conv2d(3, 16, 3, 2, 1, bias=False)),
        *(Block(*block) for block in blocks),
        *normalized(nn.Conv2d(160, 640, 1, bias=False)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(640, 100)),
    )


class Sequence(nn.Module):
    """A recurrent layer and a linear one, on its last step or on every one."""

    def __init__(self, kind: str, features: int, hidden: int, every: bool, **more: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(features, hidden, batch_first=True, **more)
        self.head = nn.Linear(hidden * (2 if more.get("bidirectional") else 1), 10)
        self.every = every

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.layer(x)[0]
        scores: torch.Tensor = self.head(found if self.every else found[:, -1])
        return scores


class Encoder(nn.Module):
    """Two layers of a transformer, without the fused path that no exporter takes."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(2)
        )
        self.forwards = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index, (attention, forward) in enumerate(
            zip(self.attention, self.forwards, strict=True)
        ):
            x = self.norms[2 * index](x + attention(x, x, x, need_weights=False)[0])
            x = self.norms[2 * index + 1](x + forward(x))
        scores: torch.Tensor = self.head(x.mean(1))
        return scores


def subjects() -> Mapping[str, Subject]:
    torch.manual_seed(0)
    made = {
        "mlp": Subject(networks["mlp"]().build((20,), 4), (20,)),
        "small_cnn": Subject(networks["small_cnn"]().build((1, 8, 8), 10), (1, 8, 8)),
        "resnet8": Subject(networks["resnet8"]().build((3, 32, 32), 10), (3, 32, 32)),
        "ds_cnn": Subject(networks["ds_cnn"]().build((1, 48, 40), 10), (1, 48, 40)),
        "mobilenet-like": Subject(mobile(), (3, 96, 96)),
        "transformer": Subject(Encoder(), (32, 64)),
        "LSTM, 28 steps, last": Subject(Sequence("LSTM", 28, 32, False), (28, 28)),
        "LSTM, 100 steps, last": Subject(Sequence("LSTM", 64, 128, False), (100, 64)),
        "LSTM, 100 steps, every": Subject(Sequence("LSTM", 16, 64, True), (100, 16)),
        "LSTM, 100 steps, both ways": Subject(
            Sequence("LSTM", 16, 32, False, bidirectional=True), (100, 16)
        ),
        "LSTM, 60 steps, 2 layers": Subject(
            Sequence("LSTM", 16, 48, False, num_layers=2), (60, 16)
        ),
        "GRU, 28 steps, last": Subject(Sequence("GRU", 28, 32, False), (28, 28)),
        "GRU, 100 steps, last": Subject(Sequence("GRU", 16, 64, False), (100, 16)),
        "GRU, 100 steps, every": Subject(Sequence("GRU", 16, 64, True), (100, 16)),
        "RNN, 50 steps, last": Subject(Sequence("RNN", 16, 32, False), (50, 16)),
    }
    for subject in made.values():
        subject.module.eval()
    return made
