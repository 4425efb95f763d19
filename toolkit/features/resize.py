"""Bring pictures to one size, without smoothing, by gathering rows and columns.

Runtimes round the places of pixels differently in a resize operator of theirs. Here the places
and weights are constants of the graph, and so every runtime gives the same numbers.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature, taken_picture

if TYPE_CHECKING:
    from torch import nn


class Resize(Feature):
    """Pictures of another size, channels first; between pixel centres, or the nearest pixel."""

    height: Annotated[int, Field(ge=1, description="Of what comes out, in pixels.")]
    width: Annotated[int, Field(ge=1, description="Of what comes out, in pixels.")]
    from_height: Annotated[
        int, Field(ge=0, description="Of what comes in; needed in front of a finished model.")
    ] = 0
    from_width: Annotated[
        int, Field(ge=0, description="Of what comes in; needed in front of a finished model.")
    ] = 0
    mode: Annotated[
        Literal["bilinear", "nearest"], Field(description="How values between pixels are found.")
    ] = "bilinear"

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-2], self.height, self.width)

    def takes(self, given: TensorSpec) -> TensorSpec:
        return taken_picture(
            self, given, (self.height, self.width), (self.from_height, self.from_width)
        )

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        sizes, mode = (self.height, self.width), self.mode

        class Resized(nn.Module):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                for axis, size in zip((2, 3), sizes, strict=True):
                    low, share = places(values.shape[axis], size, mode)
                    lower = values.index_select(axis, torch.tensor(low))
                    if any(share):
                        high = [min(i + 1, values.shape[axis] - 1) for i in low]
                        weight = torch.tensor(share).reshape(-1, *[1] * (3 - axis))
                        upper = values.index_select(axis, torch.tensor(high))
                        lower = lower + (upper - lower) * weight
                    values = lower
                return values

        return Resized()


def places(source: int, size: int, mode: str) -> tuple[list[int], list[float]]:
    """For every pixel that comes out: the one it is taken from, and the share of the next."""
    if mode == "nearest":
        return [i * source // size for i in range(size)], [0.0] * size
    exact = [(i + 0.5) * source / size - 0.5 for i in range(size)]
    inside = [min(max(at, 0.0), source - 1.0) for at in exact]
    return [int(at) for at in inside], [at - int(at) for at in inside]
