"""Where findings go; one file per sink."""

from edge_targets.runtime.registry import Registry
from edge_targets.streams.sinks.base import Sink

__all__ = ["Sink", "sinks"]

sinks = Registry(__name__, Sink)
