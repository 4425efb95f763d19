"""Shares of classes, calibrated by a temperature (Guo et al. 2017, arXiv:1706.04599)."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edge_targets.runtime.contract import Signature
from toolkit.answers.base import Answer, Nodes

UNCHANGED = {"DequantizeLinear", "Identity", "QuantizeLinear"}  # the same numbers, or nearly


class Softmax(Answer):
    """Scores become shares that add up to 1; where the model does that already, it does it anew."""

    temperature: Annotated[
        float, Field(gt=0, description="Scores are divided by it: above 1 shares are less certain.")
    ] = 1.0

    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        first = self.per_class(given)
        scores = before_softmax(nodes, first.name)
        if self.temperature != 1:
            heat = nodes.constant(np.float32(1 / self.temperature), "inverse_temperature")
            scores = nodes.one("Mul", [scores, heat], "cooled")
        name = nodes.one("Softmax", [scores], "shares", axis=-1)
        spec = replace(first, name=name, meaning=first.meaning or "share of the class", unit="")
        return replace(given, outputs=(spec, *given.outputs[1:]))


def before_softmax(nodes: Nodes, value: str) -> str:
    """What a softmax at the end of the graph is taken of; the value itself where there is none."""
    maker = nodes.maker(value)
    while maker is not None and maker.op_type in UNCHANGED:
        maker = nodes.maker(maker.input[0])
    return str(maker.input[0]) if maker is not None and maker.op_type == "Softmax" else value
