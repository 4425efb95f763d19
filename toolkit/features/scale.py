"""Bring inputs to a common size (LeCun et al. 1998, "Efficient BackProp", section 4.3)."""

from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from toolkit.data.audio import sample_rate_of
from toolkit.data.dataset import Facts
from toolkit.features.base import Feature

if TYPE_CHECKING:
    from torch import nn

ROUNDING = 1e-7  # of a float32: a deviation below this share of the mean is none
SMALLEST = float(np.finfo(np.float32).tiny)  # whose inverse is still a float32


class Scale(Feature):
    """`(value - minus) * times`: number columns to mean 0 and deviation 1, images to 0-1."""

    order = 20

    minus: Annotated[tuple[float, ...], Field(description="Subtracted; one, or one a column.")]
    times: Annotated[tuple[float, ...], Field(description="Then multiplied by.")]

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        if sample_rate_of(facts.input):
            return None  # sounds are -1 to 1 already, and their spectra have a scale of their own
        if not facts.columns:
            low, high = float(np.nanmin(inputs)), float(np.nanmax(inputs))
            return cls(minus=(low,), times=(1 / (high - low or 1.0),))
        minus, times = [], []
        for values, column in zip(inputs.T, facts.columns, strict=True):
            # in float32 a mean is a little off, and a constant seems to vary
            present = values[np.isfinite(values)].astype(np.float64)
            numeric = column.type == "number" and present.size > 0
            mean, deviation = (present.mean(), present.std()) if numeric else (0.0, 0.0)
            minus.append(float(mean))
            # a constant column, and a category's index, keep their size
            constant = deviation <= max(ROUNDING * abs(mean), SMALLEST)
            times.append(1.0 if constant else float(1 / deviation))
        return cls(minus=tuple(minus), times=tuple(times))

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Standardize(nn.Module):
            minus: torch.Tensor
            times: torch.Tensor

            def __init__(self, minus: tuple[float, ...], times: tuple[float, ...]) -> None:
                super().__init__()
                self.shifts = any(minus)  # without a shift one operator is enough
                self.register_buffer("minus", torch.tensor(minus))
                self.register_buffer("times", torch.tensor(times))

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return ((values - self.minus) if self.shifts else values) * self.times

        return Standardize(self.minus, self.times)
