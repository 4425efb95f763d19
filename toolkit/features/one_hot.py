"""One input a category, in place of the category's index."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from toolkit.data.dataset import Facts
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn


class OneHot(Feature):
    """An index the training data did not have gives all zeros."""

    order = 30

    sizes: Annotated[
        tuple[int, ...], Field(description="Categories of each column; 0 for a number column.")
    ]

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        sizes = tuple(len(c.values) if c.type == "category" else 0 for c in facts.columns)
        return cls(sizes=sizes) if any(sizes) else None

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (sum(size or 1 for size in self.sizes),)

    def takes(self, given: TensorSpec) -> TensorSpec:
        if given.shape[1:] != self.shape(given.shape[1:]):
            raise refused(
                self, given, f"gives {list(self.shape(()))}", "Give the size of every column."
            )
        return replace(given, shape=(-1, len(self.sizes)), columns=())

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Spread(nn.Module):
            """Compare every wanted index at once: one gather, one comparison, one choice."""

            source: torch.Tensor
            wanted: torch.Tensor
            spread: torch.Tensor

            def __init__(self, sizes: tuple[int, ...]) -> None:
                super().__init__()
                pairs = [(c, i, size > 0) for c, size in enumerate(sizes) for i in range(size or 1)]
                self.register_buffer("source", torch.tensor([column for column, _, _ in pairs]))
                self.register_buffer("wanted", torch.tensor([float(i) for _, i, _ in pairs]))
                self.register_buffer("spread", torch.tensor([spread for _, _, spread in pairs]))

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                values = torch.index_select(values, 1, self.source)
                return torch.where(self.spread, (values == self.wanted).float(), values)

        return Spread(self.sizes)
