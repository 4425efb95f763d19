"""Yes or no, where a share is large enough."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from toolkit.answers.base import Answer, Nodes


class Threshold(Answer):
    """Every number of the first output becomes 1 where it is at least so large, else 0."""

    at: Annotated[float, Field(description="The smallest value that gives 1.")] = 0.5

    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        first = given.outputs[0]
        if first.dtype != "float32":
            raise UnsupportedError(
                f"threshold takes float32; {first.name} is {first.dtype}.", "Leave it out."
            )
        least = nodes.constant(np.float32(self.at), "least")
        reached = nodes.one("GreaterOrEqual", [first.name, least], "reached")
        name = nodes.cast(reached, "int32", "yes")
        spec = replace(
            first, name=name, dtype="int32", meaning=f"1 from {self.at:g} on, else 0", unit=""
        )
        return replace(given, outputs=(spec, *given.outputs[1:]), labels=())
