"""Quantization-aware training (Jacob et al. 2018, arXiv:1712.05877): learn with the rounding.

Batch norm is folded first. Gradients pass the rounding as if it were not there; the scales of
weights are learned (Esser et al. 2020, arXiv:1902.08153).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.sampling import thinned
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import cleaned, graph_of
from toolkit.passes.base import Pass
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for, reasons_for
from toolkit.quantization.qdq import quantize_graph
from toolkit.training import Settings, resumable, teach
from toolkit.training.fake_quant import Circuit, fake_quantized, trained
from toolkit.training.run import unit_of

SAMPLES = 256  # items that the first ranges are taken from; training moves them on


class Qat(Pass):
    """Train on with weights and activations rounded as they will be, then quantize."""

    needs_network = True

    bits: Annotated[
        int,
        Field(ge=4, le=8, multiple_of=4, description="Of a weight: 8 or 4; activations have 8."),
    ] = 8
    per_channel: Annotated[
        bool, Field(description="One scale a channel of a weight, instead of one a tensor.")
    ] = True
    epochs: Annotated[int, Field(ge=1, le=10_000, description="Passes over the data.")] = 10
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Step size at the start.")] = 1e-3
    seed: Annotated[int, Field(ge=0, lt=1 << 32, description="Seed of the order of items.")] = 0

    @property
    def trains(self) -> bool:
        return True

    @property
    def base(self) -> LayerPlan:
        return LayerPlan(weights=self.bits, per_channel=self.per_channel)

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_graph(model)
        data = model.need_data("Quantization-aware training")
        graph = prepared(graph_of(model, job))
        plan = plan_for(graph, self.base)
        circuit = Circuit(graph, plan)
        if not circuit.layers:
            raise UnsupportedError(
                "qat: no layer of this network can be quantized.",
                "Use quantize_dynamic for recurrent networks.",
            )
        items = thinned(data.part("train")[0], SAMPLES)
        ranges = ranges_for(graph, observe(graph, items, job), plan, self.base)
        inside = replace(data, inputs=reached(circuit, model, job))
        module = fake_quantized(circuit, ranges, unit_of(data))
        settings = Settings(
            epochs=self.epochs,
            patience=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=0,  # it would pull scales, too
            seed=self.seed,
        )
        with resumable(job, self, model) as checkpoint:
            teach(module, inside, settings, job, checkpoint)
            job.step("write the quantized graph", 0, 1)
            learned, spans, scales = trained(module, circuit)
            quantized = quantize_graph(learned, plan, spans, weight_scales=scales)
            result = model.with_graph(cleaned(quantized))
            job.step("write the quantized graph", 1, 1)
        return result

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        graph = prepared(graph_of(model, job))
        return reasons_for(graph, plan_for(graph, self.base))


def reached(circuit: Circuit, model: Model, job: Job) -> NDArray[np.float32]:
    """What the steps before the learning part make of all items: that part sees nothing else."""
    data = model.need_data("Quantization-aware training")
    graph = circuit.before()
    if not graph:
        return data.inputs
    signature = Signature(model.signature.inputs, (TensorSpec(circuit.source, (-1,)),))
    return Runner(graph, "onnx", signature).first_output(data.inputs, job)
