"""Fit networks: seeded, resumable, cancellable."""

from toolkit.training.fit import Settings, fit

__all__ = ["Settings", "fit"]
