"""Steps between a network's output and what is asked for, in the graph; one file per step."""

from edge_targets.runtime.registry import Registry
from toolkit.answers.base import Answer

__all__ = ["Answer", "answers"]

answers = Registry(__name__, Answer, "answer step")
