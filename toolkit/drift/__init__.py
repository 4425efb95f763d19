"""Ways to tell that the world has moved; one file a test."""

from edge_targets.runtime.registry import Registry
from toolkit.drift.base import DriftTest

__all__ = ["DriftTest", "drift_tests"]

drift_tests = Registry(__name__, DriftTest, "drift test")
