"""What a network is: its hyperparameters as described fields, and a way to build it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.registry import Registry
from toolkit.parameters import checked

if TYPE_CHECKING:
    from torch import nn


class Network(BaseModel, ABC):
    """Something that can be trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: ClassVar[tuple[str, ...]] = ()  # fields that count channels or units of layers
    depths: ClassVar[tuple[str, ...]] = ()  # fields that count layers, or have an entry for each

    @abstractmethod
    def build(self, shape: tuple[int, ...], outputs: int) -> "nn.Module":
        """A fresh torch module from items of `shape` (no batch) to `outputs` raw scores.

        Its last layer is linear: pruning leaves that one's outputs, training gives it the unit.

        Raises:
            UnsupportedError: the network does not take inputs of this shape.
        """

    def scaled(self, width: float, depth: float = 1.0) -> Self:
        """The same kind of network with `width` times the units, in `depth` times the layers.

        Raises:
            UnsupportedError: it cannot be made so.
        """
        for kind, factor, fields in (("width", width, self.widths), ("depth", depth, self.depths)):
            if factor != 1 and not fields:
                raise UnsupportedError(
                    f"The {kind} of {Registry.name_of(self)} cannot be scaled.",
                    f"Leave {kind} at 1, or name another network.",
                )
        change: dict[str, Any] = {}
        for field in self.depths:
            held = getattr(self, field)
            change[field] = (
                stretched(held, depth) if isinstance(held, tuple) else times(held, depth)
            )
        for field in self.widths:
            held = change.get(field, getattr(self, field))
            many = isinstance(held, tuple)
            change[field] = tuple(times(n, width) for n in held) if many else times(held, width)
        return checked(
            type(self), {**self.model_dump(), **change}, f"width {width:g}, depth {depth:g}"
        )


def times(count: int, factor: float) -> int:
    """At least one of a thing that there was."""
    return max(round(count * factor), 1) if count else 0


def stretched(layers: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """More or fewer of the layers, evenly from first to last."""
    count = times(len(layers), factor)
    return tuple(layers[i * len(layers) // count] for i in range(count))
