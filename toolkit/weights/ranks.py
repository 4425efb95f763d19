"""How far a weight can be split: the ranks that keep its energy, or that fit into a budget."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.weights.factors import (
    Array,
    Sizes,
    columns_first,
    cp,
    kept,
    parameters,
    rank_of,
    spatial,
    svd,
    tucker,
    unfolded,
)

Ranks = tuple[int, ...]

NEAR = 16  # a rank is looked for to this part of itself


def split_for(weight: NDArray[Any], method: str) -> "Split":
    """The way to split a weight of shape (outputs, inputs, *kernel); `method` is for kernels."""
    kernel = weight.shape[2:]
    if math.prod(kernel) == 1 or (method == "svd" and len(kernel) == 1):
        return Svd(weight)
    ways: dict[str, type[Split]] = {"svd": Spatial, "tucker": Tucker, "cp": Cp}
    return ways[method](weight)


class Split(ABC):
    """One way to split one weight."""

    def __init__(self, weight: NDArray[Any]) -> None:
        self.weight = weight
        self.outputs, self.inputs = weight.shape[:2]
        self.kernel = weight.shape[2:]
        self.ones = (1,) * len(self.kernel)

    @abstractmethod
    def candidates(self) -> Iterator[Ranks]:
        """All ranks there may be, the largest first."""

    @abstractmethod
    def shapes(self, ranks: Ranks) -> tuple[Sizes, ...]:
        """Of the factors."""

    @abstractmethod
    def factors(self, ranks: Ranks) -> tuple[Array, ...]:
        """The factors themselves."""

    @abstractmethod
    def keeping(self, energy: float) -> Ranks | None:
        """The smallest ranks that keep this share of the squares; None when none do."""

    def within(self, limit: float) -> Ranks:
        """The largest ranks with at most so many parameters; the smallest there are at least."""
        found: Ranks = ()
        for found in self.candidates():
            if parameters(self.shapes(found)) <= limit:
                break
        return found


class Svd(Split):
    """Two factors; the kernel stays with the first."""

    def candidates(self) -> Iterator[Ranks]:
        most = min(self.outputs, self.weight.size // self.outputs)
        return ((rank,) for rank in range(most, 0, -1))

    def shapes(self, ranks: Ranks) -> tuple[Sizes, ...]:
        [rank] = ranks
        return (rank, self.inputs, *self.kernel), (self.outputs, rank, *self.ones)

    def factors(self, ranks: Ranks) -> tuple[Array, ...]:
        return svd(self.weight, *ranks)

    def keeping(self, energy: float) -> Ranks | None:
        return (rank_of(self.weight, energy),)


class Spatial(Split):
    """Height, then width."""

    def candidates(self) -> Iterator[Ranks]:
        return ((rank,) for rank in range(min(columns_first(self.weight).shape), 0, -1))

    def shapes(self, ranks: Ranks) -> tuple[Sizes, ...]:
        [rank], (height, width) = ranks, self.kernel
        return (rank, self.inputs, height, 1), (self.outputs, rank, 1, width)

    def factors(self, ranks: Ranks) -> tuple[Array, ...]:
        return spatial(self.weight, *ranks)

    def keeping(self, energy: float) -> Ranks | None:
        return (rank_of(columns_first(self.weight), energy),)


class Tucker(Split):
    """Fewer inputs, the kernel, fewer outputs."""

    def candidates(self) -> Iterator[Ranks]:
        share = self.inputs / self.outputs
        most = min(self.outputs, self.weight.size // self.outputs)
        for outputs in range(most, 0, -1):
            yield outputs, max(1, min(self.inputs, round(outputs * share)))

    def shapes(self, ranks: Ranks) -> tuple[Sizes, ...]:
        outputs, inputs = ranks
        return (
            (inputs, self.inputs, *self.ones),
            (outputs, inputs, *self.kernel),
            (self.outputs, outputs, *self.ones),
        )

    def factors(self, ranks: Ranks) -> tuple[Array, ...]:
        outputs, inputs = ranks
        return tucker(self.weight, (outputs, inputs))

    def keeping(self, energy: float) -> Ranks | None:
        each = (1 + energy) / 2  # either side may lose half of what may be lost
        return rank_of(self.weight, each), rank_of(unfolded(self.weight, 1), each)


class Cp(Split):
    """One kernel of a single axis after another, for each of `rank` channels."""

    def candidates(self) -> Iterator[Ranks]:
        return ((rank,) for rank in range(self._most(), 0, -1))

    def _most(self) -> int:
        """The largest rank that is smaller than the weight."""
        return max(1, (self.weight.size - 1) // sum(self.weight.shape))

    def shapes(self, ranks: Ranks) -> tuple[Sizes, ...]:
        [rank] = ranks
        windows = np.where(np.eye(len(self.kernel), dtype=bool), self.kernel, 1)
        return (
            (rank, self.inputs, *self.ones),
            *((rank, 1, *map(int, window)) for window in windows),
            (self.outputs, rank, *self.ones),
        )

    def factors(self, ranks: Ranks) -> tuple[Array, ...]:
        return cp(self.weight, *ranks)

    def keeping(self, energy: float) -> Ranks | None:
        low, high = 0, self._most()  # nothing tells the rank: it is looked for by halves
        if kept(self.weight, cp(self.weight, high)) < energy:
            return None
        while high - low > max(1, high // NEAR):
            middle = (low + high) // 2
            enough = kept(self.weight, cp(self.weight, middle)) >= energy
            low, high = (low, middle) if enough else (middle, high)
        return (high,)
