"""Where samples come from; one file per source."""

from edge_targets.runtime.registry import Registry
from edge_targets.streams.sources.base import Source

__all__ = ["Source", "sources"]

sources = Registry(__name__, Source)
