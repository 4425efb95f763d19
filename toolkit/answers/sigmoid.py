"""Shares that do not depend on each other: several classes may be there at once."""

from dataclasses import replace

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from toolkit.answers.base import Answer, Nodes


class Sigmoid(Answer):
    """Every number of the first output becomes a share of its own, 0 to 1."""

    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        first = given.outputs[0]
        if first.dtype != "float32":
            raise UnsupportedError(
                f"sigmoid takes float32; {first.name} is {first.dtype}.", "Leave it out."
            )
        name = nodes.one("Sigmoid", [first.name], "each_share")
        return replace(
            given, outputs=(replace(first, name=name, unit=""), *given.outputs[1:]), labels=()
        )
