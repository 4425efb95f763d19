"""How far the weights of two layers lie apart, once they are in the same order."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.comparison.parts import Part

ROUNDS = 10  # of scaling outputs, then inputs: more change nothing that matters here
SAMPLE = 4096  # weights that tell whether two layers can be the same


def same_size(first: Part, second: Part) -> bool:
    return first.compact == second.compact


def cut_down(first: Part, second: Part) -> bool:
    """Whether one can have been made from the other by leaving channels out."""
    a, b = first.shape, second.shape
    if len(a) != len(b) or first.kind != second.kind:
        return False
    pairs = list(zip(a, b, strict=True))
    return all(x >= y for x, y in pairs) or all(x <= y for x, y in pairs)


def weight_error(first: Part, second: Part, channels: int) -> float | None:
    """Difference as a share of the first one's size (L2); None where the shapes differ.

    Args:
        channels: of the picture that was flattened for a dense layer, if one was: frameworks
            lay it out with the channels first or last.
    """
    if not same_size(first, second):
        return None
    wanted = rows(first.weights)
    scaled = both_scaled(first, second)
    candidates = orders(rows(second.weights), channels)
    found = min(distance(wanted, other, scaled) for other in candidates)
    return found if np.isfinite(found) else None


def balanced(part: Part) -> NDArray[np.float32]:
    """The weights, shape (O, -1), without a factor for each output and each input channel.

    Batch norms, scales of codes and equalization between layers (Nagel et al. 2019,
    arXiv:1906.04721) change nothing but such factors: scaled until all channels are of one
    size (Sinkhorn and Knopp 1967), the weights are what they were.
    """
    flat = part.weights.astype(np.float64)
    powers = (flat**2).reshape(*flat.shape[:2], -1).sum(axis=2)
    for _ in range(ROUNDS):
        for axis in (1, 0):
            means = powers.mean(axis=axis, keepdims=True)
            powers = powers / np.where(means > 0, means, 1.0)
    old = (flat**2).reshape(*flat.shape[:2], -1).sum(axis=2)
    factors = np.sqrt(powers / np.where(old > 0, old, 1.0))
    return rows(flat * factors.reshape(*factors.shape, *[1] * (flat.ndim - 2))).astype(np.float32)


def apart(
    first: NDArray[np.float32], second: NDArray[np.float32], channels: int, most: float
) -> float | None:
    """How far balanced weights differ, where that is at most `most`.

    Large layers are told apart by a few of their weights.
    """
    if first.size > SAMPLE and channels == 0:
        step = first.size // SAMPLE
        some, others = (each.reshape(1, -1)[:, ::step] for each in (first, second))
        if not distance(some, others, scaled=True) <= 2 * most:
            return None
    found = min(distance(first, other, scaled=True) for other in orders(second, channels))
    return found if found <= most else None


def rows(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return weights.reshape(len(weights), -1)


def both_scaled(first: Part, second: Part) -> bool:
    return first.scaled and second.scaled


def orders(values: NDArray[np.float32], channels: int) -> Iterator[NDArray[np.float32]]:
    """As they are, and with the picture behind their columns laid out the other way."""
    yield values
    count, size = values.shape
    if channels > 1 and size > channels and size % channels == 0:
        yield values.reshape(count, -1, channels).transpose(0, 2, 1).reshape(count, size)
        yield values.reshape(count, channels, -1).transpose(0, 2, 1).reshape(count, size)


def distance(wanted: NDArray[np.float32], found: NDArray[np.float32], scaled: bool) -> float:
    """Relative L2; of numbers without their factor, with the one that suits each row best."""
    wide, other = wanted.astype(np.float64), found.astype(np.float64)
    if not scaled:
        power = (other**2).sum(axis=1, keepdims=True)
        other = other * ((wide * other).sum(axis=1, keepdims=True) / np.where(power, power, 1.0))
    size = float(np.linalg.norm(wide))
    return float(np.linalg.norm(wide - other)) / (size or 1.0)
