"""Ways to run a model on a device; one file per model format."""

from edge_targets.runtime.engines.base import Engine
from edge_targets.runtime.registry import Registry

__all__ = ["Engine", "engines"]

engines = Registry(__name__, Engine)
