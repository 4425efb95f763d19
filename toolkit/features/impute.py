"""Fill missing values (median for numbers, the most frequent for categories)."""

from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from toolkit.data.dataset import Facts
from toolkit.features.base import Feature

if TYPE_CHECKING:
    from torch import nn


class Impute(Feature):
    """Not-a-number becomes the column's typical training value."""

    order = 10

    fill: Annotated[tuple[float, ...], Field(description="What replaces a gap, one a column.")]

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        if not facts.columns:
            return None
        fill = []
        for values, column in zip(inputs.T, facts.columns, strict=True):
            present = values[np.isfinite(values)]
            if not present.size:
                fill.append(0.0)
            elif column.type == "category":
                found, counts = np.unique(present, return_counts=True)
                fill.append(float(found[counts.argmax()]))
            else:
                # in float32 the mean of two middle values can overflow
                fill.append(float(np.median(present.astype(np.float64))))
        # also without gaps in training: on a device a sensor will fail one day
        return cls(fill=tuple(fill))

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Fill(nn.Module):
            fill: torch.Tensor

            def __init__(self, fill: tuple[float, ...]) -> None:
                super().__init__()
                self.register_buffer("fill", torch.tensor(fill))

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return torch.where(torch.isnan(values), self.fill, values)

        return Fill(self.fill)
