"""The numbers that layers have learned: to read, to replace, to thin out and to split."""

from toolkit.weights.access import packed, replaced, weights_of

__all__ = ["packed", "replaced", "weights_of"]
