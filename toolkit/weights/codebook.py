"""A tensor with few different values: k-means in one dimension, and training that keeps to it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.training import Lesson

if TYPE_CHECKING:
    from torch import nn

MOST_ROUNDS = 100  # of Lloyd's algorithm; a sorted line settles long before


def clustered(values: NDArray[Any], clusters: int) -> NDArray[np.float32]:
    """Every value moved to the centre of its cluster; zeros stay, as a cluster of their own.

    Centres start evenly spread from the smallest to the largest value, which serves the few
    large weights best (Han et al. 2016, arXiv:1510.00149), and lie on no more than `clusters`.
    """
    flat = values.reshape(-1).astype(np.float64)
    pruned = flat == 0
    count = clusters - bool(pruned.any())
    line = np.sort(flat[~pruned])
    if not len(line) or not count:
        return np.zeros(values.shape, np.float32)
    centres = means(line, np.linspace(line[0], line[-1], count))
    nearest = np.searchsorted(middles(centres), flat)
    return np.where(pruned, 0, centres[nearest]).astype(np.float32).reshape(values.shape)


def means(line: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lloyd's algorithm on sorted values; a centre that no value is near stays where it is."""
    sums = np.concatenate([[0.0], np.cumsum(line)])
    for _ in range(MOST_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(line, middles(centres)), [len(line)]])
        counts = np.diff(edges)
        moved = np.where(counts, np.diff(sums[edges]) / np.maximum(counts, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = np.sort(moved)
    return centres


def middles(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    return (centres[1:] + centres[:-1]) / 2


def distinct(values: NDArray[Any]) -> int:
    return len(np.unique(values))


class KeepClusters(Lesson):
    """Training on with equal weights kept equal: each centre goes where its weights would go."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        import torch

        super().__init__()
        self.clusters = {}
        for name, values in tensors.items():
            centres, label, counts = np.unique(values, return_inverse=True, return_counts=True)
            share = np.where(centres == 0, 0, 1 / counts)  # pruned weights stay zero
            labels = torch.from_numpy(label.reshape(-1).astype(np.int64))
            self.clusters[name] = labels, torch.from_numpy(share.astype(np.float32))

    def after_step(self, module: "nn.Module") -> None:
        import torch

        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for name, (label, share) in self.clusters.items():
                weight = parameters[name]
                sums = torch.zeros_like(share).index_add_(0, label, weight.reshape(-1))
                weight.copy_((sums * share)[label].reshape(weight.shape))
