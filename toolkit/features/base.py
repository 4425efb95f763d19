"""What a feature step is: fitted on training data, then a part of the exported graph."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from toolkit.data.dataset import Facts

if TYPE_CHECKING:
    from torch import nn


class Feature(BaseModel, ABC):
    """Prepares raw inputs inside the graph, so that no device has to do it by hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: ClassVar[int]  # steps are applied from low to high

    @classmethod
    @abstractmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        """The step for raw training inputs, shape (N, ...); None when it has nothing to do."""

    @abstractmethod
    def module(self) -> "nn.Module":
        """The step as a torch module."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an item after this step."""
        return shape
