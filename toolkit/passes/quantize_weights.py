"""Weights in 8 or 4 bits, arithmetic in floats (Krishnamoorthi 2018, arXiv:1806.08342)."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.storing import left_as_they_are, need_weights, store_codes


class QuantizeWeights(Pass):
    """Store weights in 8 or 4 bits and compute in floats: smaller, not faster, no calibration."""

    bits: Annotated[int, Field(ge=4, le=8, multiple_of=4, description="Of a weight: 8 or 4.")] = 8
    per_channel: Annotated[
        bool, Field(description="One scale a channel of a weight, instead of one a tensor.")
    ] = True
    block: Annotated[
        int,
        Field(
            ge=0, le=4096, description="Weights that share a scale in a dense layer; 0: a channel."
        ),
    ] = 0

    def apply(self, model: Model, job: Job) -> Model:
        graph = graph_of(model, job)
        need_weights(graph, "quantize_weights")
        stored = store_codes(graph, self.bits, self.per_channel, self.block, job)
        return model.with_graph(cleaned(stored))

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        return left_as_they_are(graph_of(model, job))
