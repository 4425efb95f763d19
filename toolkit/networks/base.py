"""What a network is: its hyperparameters as described fields, and a way to build it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import nn


class Network(BaseModel, ABC):
    """Something that can be trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        """A fresh torch module from items of `shape` (no batch) to `outputs` raw scores.

        Its last layer is linear: pruning leaves that one's outputs, training gives it the unit.

        Raises:
            UnsupportedError: the network does not take inputs of this shape.
        """
