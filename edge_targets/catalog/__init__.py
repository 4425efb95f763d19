"""Places a model can go to; one file per class of places."""

from edge_targets.catalog.base import Target
from edge_targets.runtime.registry import Registry

__all__ = ["Target", "targets"]

targets = Registry(__name__, Target)
