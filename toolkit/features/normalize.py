"""Bring every channel to the size that a network was trained with."""

from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn


class Normalize(Feature):
    """`(value / range - mean) / std`, channel by channel; channels are the first axis."""

    mean: Annotated[
        tuple[float, ...], Field(min_length=1, description="Subtracted; one, or one a channel.")
    ] = (0.0,)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(min_length=1, description="Then divided by; one, or one a channel."),
    ] = (1.0,)
    range: Annotated[
        float, Field(gt=0, description="Divided by before: 255 where bytes become shares.")
    ] = 1.0

    @model_validator(mode="after")
    def check_lengths(self) -> Self:
        if min(len(self.mean), len(self.std)) > 1 and len(self.mean) != len(self.std):
            raise ValueError("mean and std have as many values as there are channels")
        return self

    def takes(self, given: TensorSpec) -> TensorSpec:
        channels = max(len(self.mean), len(self.std))
        if channels not in {1, given.shape[1]}:
            hint = "Give one mean and std, or one a channel."
            raise refused(self, given, f"has values for {channels} channels", hint)
        return given

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        # in float64, then rounded once
        times = 1 / (np.array(self.std) * self.range)
        plus = -np.array(self.mean) / np.array(self.std)

        class Normal(nn.Module):
            times: torch.Tensor
            plus: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("times", torch.from_numpy(times.astype(np.float32)))
                self.register_buffer("plus", torch.from_numpy(plus.astype(np.float32)))

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                shape = (-1, *[1] * (values.dim() - 2))
                return values * self.times.reshape(shape) + self.plus.reshape(shape)

        return Normal()
