"""Quantize one float model in many ways, observing what flows through it only once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge_targets.runtime.events import Job
from toolkit.data.sampling import thinned
from toolkit.model import Model
from toolkit.onnx_graph import cleaned
from toolkit.passes import Pass, passes
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.quantization.calibrate import channel_means, ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import Observation, observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph

FLOAT = "float"


@dataclass(frozen=True)
class Treatment:
    """What is done otherwise than the recipe says.

    Attributes:
        ahead: passes over the whole graph before it is quantized.
        exceptions: of the quantization, as `LAYER=HOW`.
        correct_bias: whether the shift of every layer's mean output is taken out.
    """

    ahead: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    correct_bias: bool = False

    def with_layers(self, layers: Sequence[str], *hows: str) -> "Treatment":
        more = (f"{layer}={how}" for layer in layers for how in hows)
        return replace(self, exceptions=tuple(dict.fromkeys((*self.exceptions, *more))))


@dataclass(frozen=True)
class Ready:
    """A float graph with scales inside its layers, and what was seen of each value in it."""

    graph: bytes
    seen: dict[str, Observation]


@dataclass
class Workshop:
    """A float model with its data, and the quantization that is varied.

    Attributes:
        model: a graph.
        base: the quantization.
    """

    model: Model
    base: QuantizeInt8
    _ready: dict[tuple[str, ...], Ready] = field(default_factory=dict)

    def passes(self, treatment: Treatment) -> tuple[Pass, ...]:
        """As a recipe has them."""
        return (*(passes[name]() for name in treatment.ahead), self.step(treatment))

    def step(self, treatment: Treatment) -> QuantizeInt8:
        correct = treatment.correct_bias or self.base.correct_bias
        exceptions = (*self.base.layers, *treatment.exceptions)
        return self.base.model_copy(update={"layers": exceptions, "correct_bias": correct})

    def ready(self, ahead: tuple[str, ...], job: Job) -> Ready:
        """The float graph after the passes ahead, observed."""
        if ahead not in self._ready:
            model = self.model
            for name in ahead:
                model = passes[name]().apply(model, job)
            graph = prepared(model.graph)
            items = self.model.need_data("Static quantization").part("train")[0]
            items = thinned(items, self.base.samples)
            spec = self.model.signature.inputs[0]
            self._ready[ahead] = Ready(graph, observe(graph, items.astype(spec.dtype), job))
        return self._ready[ahead]

    def plans(self, treatment: Treatment, job: Job) -> dict[str, LayerPlan]:
        """How each layer is to be quantized.

        Raises:
            RecipeError: a layer cannot be so, or there is none of that name.
        """
        step = self.step(treatment)
        return plan_for(self.ready(treatment.ahead, job).graph, step.base, step.layers)

    def quantized(self, treatment: Treatment, job: Job) -> bytes:
        """The same bytes as the passes of `passes(treatment)` make."""
        ready, step = self.ready(treatment.ahead, job), self.step(treatment)
        plans = self.plans(treatment, job)
        graph = quantize_graph(
            ready.graph,
            plans,
            ranges_for(ready.graph, ready.seen, plans, step.base, step.percentile),
            signed=step.activations == "signed",
            means=channel_means(ready.seen) if step.correct_bias else None,
        )
        return cleaned(graph)
