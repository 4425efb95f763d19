"""Text without a vocabulary: hashed counts of character n-grams (Weinberger et al. 2009).

"Feature Hashing for Large Scale Multitask Learning", arXiv:0902.2206; without its signs, so that
what comes out are counts. A text is a row of character codes (Unicode's, or the bytes of UTF-8),
as long as is agreed on, zero where it has ended. All n codes in a row count one for the bucket

    h mod buckets,   h = (…((c1 · 31991 + c2) mod 65521) · 31991 + c3 …) mod 65521,

in whole numbers below 2³¹, so that it is the same number in every runtime. 65521 is the largest
prime below 2¹⁶; both numbers are part of the format: a model has learned what they give.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_targets.runtime.contract import TensorSpec
from toolkit.features.base import Feature, refused

if TYPE_CHECKING:
    from torch import nn

PRIME = 65521
TIMES = 31991  # 65520 · 31991 + 65520 is just below 2³¹
CASE = 32  # between "A" and "a"


class HashText(Feature):
    """Counts of a text's character n-grams in a few buckets, from a row of character codes."""

    length: Annotated[int, Field(ge=1, le=4096, description="Codes a text has, zeros behind.")]
    buckets: Annotated[int, Field(ge=2, le=4096, description="How many counts come out.")]
    ngram: Annotated[int, Field(ge=1, le=8, description="Codes that are counted together.")] = 3
    lower: Annotated[bool, Field(description="Take A to Z for a to z.")] = True
    dtype: Annotated[
        Literal["int32", "uint8", "float32"], Field(description="Of the codes that come in.")
    ] = "int32"

    @model_validator(mode="after")
    def check_length(self) -> Self:
        if self.length < self.ngram:
            raise ValueError("a text has at least as many codes as are counted together")
        return self

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.buckets,)

    def takes(self, given: TensorSpec) -> TensorSpec:
        if given.shape[1:] != (self.buckets,):
            hint = "Set buckets to what the model takes."
            raise refused(self, given, f"gives {self.buckets} counts", hint)
        return replace(
            given,
            shape=(-1, self.length),
            dtype=self.dtype,
            meaning="codes of characters",
            unit="",
            columns=(),
        )

    def module(self) -> "nn.Module":
        import torch
        from torch import nn

        class Hashed(nn.Module):
            wanted: torch.Tensor
            nowhere: torch.Tensor

            def __init__(self, step: "HashText") -> None:
                super().__init__()
                self.step = step
                wanted = torch.arange(step.buckets, dtype=torch.int32)
                self.register_buffer("wanted", wanted)
                self.register_buffer("nowhere", torch.tensor(-1, dtype=torch.int32))

            def forward(self, codes: torch.Tensor) -> torch.Tensor:
                codes = codes.to(torch.int32)
                if self.step.lower:
                    large = (codes >= ord("A")) & (codes <= ord("Z"))
                    codes = torch.where(large, codes + CASE, codes)
                count = self.step.length - self.step.ngram + 1
                parts = [codes[:, i : i + count] for i in range(self.step.ngram)]
                hashed = parts[0] % PRIME
                for part in parts[1:]:
                    hashed = (hashed * TIMES + part % PRIME) % PRIME
                hashed = hashed % self.step.buckets
                # what reaches beyond the text's end is no n-gram of it, and falls into no bucket
                hashed = torch.where(parts[-1] > 0, hashed, self.nowhere)
                return (hashed[..., None] == self.wanted).float().sum(dim=1)

        return Hashed(self)
