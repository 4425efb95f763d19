"""Which weights may go: the smallest of a tensor, of all tensors, or two of every four."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.training import Lesson

if TYPE_CHECKING:
    from torch import nn

Mask = NDArray[np.bool_]  # true where a weight stays


def smallest_gone(values: NDArray[Any], share: float) -> Mask:
    """All but that share of the values, of equal ones the first go; exactly, rounded down."""
    order = np.argsort(np.abs(values), axis=None, kind="stable")
    mask = np.ones(values.size, np.bool_)
    mask[order[: int(values.size * share)]] = False
    return mask.reshape(values.shape)


def smallest_gone_of_all(tensors: Mapping[str, NDArray[Any]], share: float) -> dict[str, Mask]:
    """The same over all tensors together: those with small weights lose more."""
    whole = smallest_gone(np.concatenate([tensors[name].reshape(-1) for name in tensors]), share)
    ends = np.cumsum([values.size for values in tensors.values()])
    parts = np.split(whole, ends[:-1])
    return {
        name: part.reshape(values.shape)
        for (name, values), part in zip(tensors.items(), parts, strict=True)
    }


def n_of_m(values: NDArray[Any], axis: int, n: int = 2, m: int = 4) -> Mask:
    """The `n` largest of every `m` neighbours along `axis`, whose length is a multiple of `m`."""
    last = np.moveaxis(np.abs(values), axis, -1)
    blocks = last.reshape(*last.shape[:-1], -1, m)
    order = np.argsort(-blocks, axis=-1, kind="stable")
    mask = np.zeros(blocks.shape, np.bool_)
    np.put_along_axis(mask, order[..., :n], True, axis=-1)
    return np.moveaxis(mask.reshape(last.shape), -1, axis)


class KeepZeros(Lesson):
    """Training on with the same weights left at zero."""

    def __init__(self, masks: Mapping[str, Mask]) -> None:
        import torch

        super().__init__()
        self.gone = {name: torch.from_numpy(~mask) for name, mask in masks.items()}

    def after_step(self, module: "nn.Module") -> None:
        import torch

        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for name, gone in self.gone.items():
                parameters[name].masked_fill_(gone, 0)
