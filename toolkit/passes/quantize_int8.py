"""Static int8 quantization (Jacob et al. 2018, arXiv:1712.05877), as QuantizeLinear pairs."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.anatomy import layers_of
from toolkit.data.sampling import thinned
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of, operators
from toolkit.passes.base import Pass
from toolkit.quantization.calibrate import channel_means, ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for, reasons_for
from toolkit.quantization.qdq import quantize_graph


class QuantizeInt8(Pass):
    """Weights and activations in 8 bits, ranges from calibration items of the training part."""

    per_channel: Annotated[
        bool, Field(description="One scale a channel of a weight, instead of one a tensor.")
    ] = True
    samples: Annotated[
        int, Field(ge=1, le=100_000, description="Calibration items, from the training part.")
    ] = 256
    calibration: Annotated[
        Literal["minmax", "percentile", "entropy", "mse"],
        Field(description="How an activation's range is chosen from what was seen."),
    ] = "minmax"
    percentile: Annotated[
        float,
        Field(gt=50, le=100, description="Share of values inside, in percent, for percentile."),
    ] = 99.99
    activations: Annotated[
        Literal["signed", "unsigned"],
        Field(description="Codes from -128, which ARM and TFLite take, or from 0."),
    ] = "signed"
    reduce_range: Annotated[
        bool, Field(description="Weights in 7 bits: x86 without VNNI adds up 8 bits wrongly.")
    ] = False
    correct_bias: Annotated[
        bool, Field(description="Make good in the biases what rounding shifts mean outputs by.")
    ] = False
    layers: Annotated[
        tuple[str, ...],
        Field(
            description="Exceptions, LAYER=HOW: per_tensor, per_channel, minmax, percentile, "
            "entropy, mse, weights, int16, half or float."
        ),
    ] = ()

    @property
    def base(self) -> LayerPlan:
        """The plan of every layer without an exception."""
        return LayerPlan(
            weights=7 if self.reduce_range else 8,
            per_channel=self.per_channel,
            calibration=self.calibration,
        )

    def apply(self, model: Model, job: Job) -> Model:
        data = model.need_data("Static quantization")
        graph = prepared(self._float_graph(model, job))
        plan = plan_for(graph, self.base, self.layers)
        items = thinned(data.part("train")[0], self.samples)
        dtype = model.signature.inputs[0].dtype
        seen = observe(graph, items.astype(dtype), job)
        job.step("quantize int8", 0, 1)
        quantized = quantize_graph(
            graph,
            plan,
            ranges_for(graph, seen, plan, self.base, self.percentile),
            signed=self.activations == "signed",
            means=channel_means(seen) if self.correct_bias else None,
        )
        quantized = cleaned(quantized)
        job.step("quantize int8", 1, 1)
        return model.with_graph(quantized)

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        graph = prepared(self._float_graph(model, job))
        plan = plan_for(graph, self.base, self.layers)
        stored = {
            layer.name: f"its weights are in {layer.bits} bits already"
            for layer in layers_of(graph)
            if layer.name not in plan
        }
        return stored | reasons_for(graph, plan)

    def _float_graph(self, model: Model, job: Job) -> bytes:
        graph = graph_of(model, job)
        if "QuantizeLinear" in operators(graph):
            raise UnsupportedError(
                "quantize_int8: the model is quantized already.",
                "Start from the float model; `sanderling show` names it.",
            )
        return graph
