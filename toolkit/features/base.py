"""What a feature step is: fitted on training data, then a part of the exported graph."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.registry import Registry
from toolkit.data.dataset import Facts

if TYPE_CHECKING:
    from torch import nn

PICTURE = 4  # axes, the batch with them
FROM = "Say what comes in: from_height=480 from_width=640."


class Feature(BaseModel, ABC):
    """Prepares raw inputs inside the graph, so that no device has to do it by hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: ClassVar[int] = 0  # steps are applied from low to high

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], facts: Facts) -> Self | None:
        """The step for raw training inputs, shape (N, ...); None when it has nothing to do.

        So it is with steps that are asked for by name: no data shows that they are needed.
        """
        return None

    @abstractmethod
    def module(self) -> "nn.Module":
        """The step as a torch module."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an item after this step."""
        return shape

    def takes(self, given: TensorSpec) -> TensorSpec:
        """What goes in where `given` shall come out, for a step in front of a finished model.

        Raises:
            UnsupportedError: nothing that goes in gives that.
        """
        return given


def refused(step: Feature, given: TensorSpec, what: str, hint: str) -> UnsupportedError:
    """The error of a step that cannot give what the model, or the step behind it, takes."""
    return UnsupportedError(
        f"{Registry.name_of(step)} {what}; {given.name} takes {list(given.shape[1:])}.", hint
    )


def taken_picture(
    step: Feature, given: TensorSpec, size: tuple[int, int], source: tuple[int, int]
) -> TensorSpec:
    """A picture of the size `source`, where one of `size` comes out."""
    if len(given.shape) != PICTURE or given.shape[2:] != size:
        height, width = size
        hint = "Set height and width to what the model takes, channels first (channels_last)."
        raise refused(step, given, f"gives pictures of {height} by {width}", hint)
    if not all(source):
        raise refused(step, given, "does not know the size of what comes in", FROM)
    return replace(given, shape=(*given.shape[:2], *source))
