"""Weights as float16 (Micikevicius et al. 2018, arXiv:1710.03740), arithmetic in float32."""

from collections.abc import Mapping

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.storing import left_as_they_are, need_weights, store_halves


class HalfPrecision(Pass):
    """Store weights as float16: half the file for hardly any error, and no faster."""

    def apply(self, model: Model, job: Job) -> Model:
        graph = graph_of(model, job)
        need_weights(graph, "half_precision")
        return model.with_graph(cleaned(store_halves(graph, job)))

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        return left_as_they_are(graph_of(model, job))
