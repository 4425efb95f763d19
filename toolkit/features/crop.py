"""Keep the middle of a picture."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.features.base import Feature, taken_picture

if TYPE_CHECKING:
    from torch import nn


class Crop(Feature):
    """The middle of a picture, channels first; an odd pixel is lost at the right and below."""

    height: Annotated[int, Field(ge=1, description="Of what is kept, in pixels.")]
    width: Annotated[int, Field(ge=1, description="Of what is kept, in pixels.")]
    from_height: Annotated[
        int, Field(ge=0, description="Of what comes in; needed in front of a finished model.")
    ] = 0
    from_width: Annotated[
        int, Field(ge=0, description="Of what comes in; needed in front of a finished model.")
    ] = 0

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape[-2] < self.height or shape[-1] < self.width:
            raise UnsupportedError(
                f"A picture of {shape[-2]} by {shape[-1]} has no middle of {self.height} by "
                f"{self.width}.",
                "Crop to a smaller size, or resize first.",
            )
        return (*shape[:-2], self.height, self.width)

    def takes(self, given: TensorSpec) -> TensorSpec:
        return taken_picture(
            self, given, (self.height, self.width), (self.from_height, self.from_width)
        )

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        height, width = self.height, self.width

        class Middle(nn.Module):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                top = (values.shape[-2] - height) // 2
                left = (values.shape[-1] - width) // 2
                return values[..., top : top + height, left : left + width]

        return Middle()
