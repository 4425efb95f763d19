"""Fit networks: seeded, resumable, cancellable."""

from toolkit.training.checkpoints import resumable
from toolkit.training.fit import fit, teach
from toolkit.training.lesson import Lesson
from toolkit.training.run import Settings

__all__ = ["Lesson", "Settings", "fit", "resumable", "teach"]
