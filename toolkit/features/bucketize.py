"""Put numbers into buckets: which of a few ranges a value lies in."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn


class Bucketize(Feature):
    """How many edges a value has reached, from 0; or one input a bucket in its place."""

    edges: Annotated[
        tuple[float, ...],
        Field(min_length=1, description="Where buckets begin, ascending; below the first is one."),
    ]
    one_hot: Annotated[
        bool, Field(description="Give one input a bucket, 1 for the value's own.")
    ] = False

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if any(high <= low for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges ascend")
        return self

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] * (len(self.edges) + 1)) if self.one_hot else shape

    def takes(self, given: TensorSpec) -> TensorSpec:
        if not self.one_hot:
            return given
        columns, rest = divmod(given.shape[-1], len(self.edges) + 1)
        if rest or len(given.shape) < 2:
            what = f"gives {len(self.edges) + 1} inputs for each"
            raise refused(self, given, what, "Change the number of edges.")
        return replace(given, shape=(*given.shape[:-1], columns), columns=())

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Buckets(nn.Module):
            edges: torch.Tensor
            buckets: torch.Tensor

            def __init__(self, edges: tuple[float, ...], one_hot: bool) -> None:
                super().__init__()
                self.one_hot = one_hot
                self.register_buffer("edges", torch.tensor(edges))
                self.register_buffer("buckets", torch.arange(len(edges) + 1.0))

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                reached = (values[..., None] >= self.edges).float().sum(dim=-1)
                if not self.one_hot:
                    return reached
                return (reached[..., None] == self.buckets).float().flatten(-2)

        return Buckets(self.edges, self.one_hot)
