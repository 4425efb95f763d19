"""Dynamic int8 for dense and recurrent layers (as in PyTorch and ONNX Runtime; no paper)."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.dynamic import quantize_dynamic, reasons


class QuantizeDynamic(Pass):
    """Dense and recurrent layers in int8, input ranges found at run time: no calibration data."""

    per_channel: Annotated[
        bool, Field(description="One scale a channel of a weight, instead of one a tensor.")
    ] = True

    def apply(self, model: Model, job: Job) -> Model:
        quantized = quantize_dynamic(graph_of(model, job), self.per_channel, job)
        return model.with_graph(cleaned(quantized))

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        return reasons(graph_of(model, job))
