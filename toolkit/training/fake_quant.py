"""A quantized graph that can still learn: it computes in floats, rounded where integers will be.

Gradients pass the rounding as if it were not there (straight-through, Bengio et al. 2013,
arXiv:1308.3432; Jacob et al. 2018, arXiv:1712.05877). Ranges of activations are moving averages.
The scales of weights are learned with them (LSQ, Esser et al. 2020, arXiv:1902.08153), here by
their logarithms: a step of Adam then changes a small scale by as large a share as a big one.

Where a value is rounded is read from the same plan, by the same rules, as the pairs that are
written into the graph afterwards (toolkit/quantization/regions.py).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.quantization import weights as stored_weights
from toolkit.quantization.draft import Draft
from toolkit.quantization.plan import LayerPlan, Weighted, axis_of, weighted_layers
from toolkit.quantization.ranges import Encoding, Range, encoding
from toolkit.quantization.regions import SEVERAL, Regions
from toolkit.training import replay

if TYPE_CHECKING:
    import torch
    from torch import nn

MOMENTUM = 0.05  # of a range for a batch: it forgets what is twenty batches old


class Circuit:
    """The part of a graph that learns: what lies behind its first quantized layer.

    Attributes:
        source: the value that goes into it, made by the steps before.
        sink: the value that comes out: raw scores, before a softmax at the end.
    """

    def __init__(self, graph: bytes, plan: Mapping[str, LayerPlan]) -> None:
        self.draft = Draft(graph)
        self.plan = plan
        self.regions = Regions(self.draft, plan)
        self.layers = {
            str(layer.node.output[0]): layer
            for layer in weighted_layers(self.draft)
            if plan[layer.name].weights
        }
        self.nodes, self.source = self.live()
        [self.sink] = self.draft.outputs
        last = self.nodes[-1] if self.nodes else None
        if last is not None and last.op_type == "Softmax" and last.output[0] == self.sink:
            self.nodes, self.sink = self.nodes[:-1], last.input[0]

    def live(self) -> tuple[list[Any], str]:
        """The nodes that follow a layer which learns, and the value that they start from."""
        made: set[str] = set()
        nodes, needed = [], []
        for node in self.draft.nodes:
            if node.output[0] in self.layers or made & set(node.input):
                nodes.append(node)
                made.update(node.output)
                needed += [n for n in node.input if n and n not in self.draft.tensors]
        sources = list(dict.fromkeys(name for name in needed if name not in made))
        if len(sources) == 1:
            return nodes, sources[0]
        return self.draft.nodes, self.draft.inputs[0]

    def before(self) -> bytes:
        """The graph up to the source; empty when nothing is before."""
        from onnx import TensorProto, helper

        if self.source in self.draft.inputs:
            return b""
        draft = Draft(self.draft.finish())
        needed, kept = {self.source}, []
        for node in reversed(draft.nodes):
            if needed & set(node.output):
                needed.update(node.input)
                kept.append(node)
        draft.nodes, draft.outputs = kept[::-1], [self.source]
        del draft.model.graph.output[:]
        draft.model.graph.output.append(
            helper.make_tensor_value_info(self.source, TensorProto.FLOAT, None)
        )
        return draft.finish()


def fake_quantized(
    circuit: Circuit, ranges: Mapping[str, Range], unit: tuple[float, float]
) -> "nn.Module":
    """The circuit as a torch module that gives raw scores.

    Args:
        ranges: where those of the activations start.
        unit: mean and deviation of the outputs; weights that make them are learned in it.
    """
    import torch
    from torch import nn

    class FakeQuantized(nn.Module):
        spans: torch.Tensor
        unit: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            draft = circuit.draft
            self.constants = {n: torch.tensor(draft.array(n)) for n in draft.tensors}
            self.readers = [(node, replay.Reader(node)) for node in circuit.nodes]
            self.roots = list(ranges)
            self.learned, self.logs = nn.ParameterList(), nn.ParameterList()
            self.places: dict[str, int] = {}
            self.steps: dict[str, tuple[int, int, int]] = {}
            self.units: dict[str, tuple[float, float]] = {}
            for layer in circuit.layers.values():
                self.add(layer)
            spans = [[ranges[name].low, ranges[name].high] for name in self.roots]
            self.register_buffer("spans", torch.tensor(spans, dtype=torch.float64).reshape(-1, 2))
            self.register_buffer("unit", torch.tensor([1.0, 0.0], dtype=torch.float64))

        def add(self, layer: Weighted) -> None:
            """Have a layer's weights and bias learn, and the scale of its codes."""
            plan = circuit.plan[layer.name]
            values = circuit.draft.array(layer.weight)
            bias = bias_of(circuit.draft, layer)
            if circuit.regions.ends.get(layer.node.output[0]) == circuit.sink and bias:
                self.units |= {layer.weight: (unit[1], 0.0), bias: (unit[1], unit[0])}
            for name in (layer.weight, bias):
                if name and name not in self.places:
                    times, plus = self.units.get(name, (1.0, 0.0))
                    self.places[name] = len(self.learned)
                    self.learned.append(nn.Parameter((self.constants[name] - plus) / times))
            if layer.weight in self.steps:
                return
            axis = axis_of(layer.node) if plan.per_channel else None
            method = stored_weights.method_for(plan.weights)
            scales = stored_weights.scales_of(values, plan.weights, axis, method)
            levels = (1 << (plan.weights - 1)) - 1
            self.steps[layer.weight] = (len(self.logs), axis_of(layer.node), levels)
            self.logs.append(nn.Parameter(torch.tensor(np.log(scales))))

        def in_unit(self, times: float, plus: float) -> None:
            old_times, old_plus = self.unit.tolist()
            self.unit.copy_(torch.tensor([old_times * times, old_plus * times + plus]))

        def value_of(self, name: str) -> torch.Tensor:
            """A stored array as the graph will read it: weights as their codes stand for."""
            if name not in self.places:
                return self.constants[name]
            times, plus = self.units.get(name, (1.0, 0.0))
            values: torch.Tensor = self.learned[self.places[name]] * times + plus
            if name not in self.steps:
                return values
            place, axis, levels = self.steps[name]
            log = self.logs[place]
            shape = [1] * values.ndim
            shape[axis] = -1
            scale = (log.reshape(shape) if log.ndim else log).exp()
            codes = torch.clamp(values / scale, -levels, levels)
            found: torch.Tensor = (codes + (codes.round() - codes).detach()) * scale
            return found

        def held(self, name: str, values: torch.Tensor) -> torch.Tensor:
            """An activation as its codes stand for; while learning, its range follows it."""
            if circuit.regions.held[name].root != name:
                return values  # it was only moved, and so has codes already
            place = self.roots.index(name)
            if self.training:
                seen = torch.stack([values.detach().min(), values.detach().max()])
                self.spans[place].lerp_(seen.double(), MOMENTUM)
            low, high = self.spans[place].tolist()
            return rounded(values, encoding(Range(low, high)))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            real = {circuit.source: inputs}
            held = circuit.regions.held
            coded = {name: self.held(name, inputs) for name in real if name in held}
            for node, reader in self.readers:
                first = node.output[0]
                integer = first in circuit.regions.integer
                given: list[torch.Tensor | None] = []
                for name in node.input:
                    if name in held and (integer or held[name].inside):
                        given.append(coded[name])
                    elif name in real or not name:
                        given.append(real.get(name))
                    elif integer and node.op_type in SEVERAL:
                        given.append(own_range(self.value_of(name)))
                    else:
                        given.append(self.value_of(name))
                real[first] = replay.run(reader, given)
                if first in held:
                    coded[first] = self.held(first, real[first])
            scores = coded.get(circuit.sink, real[circuit.sink])
            return scores * self.unit[0].float() + self.unit[1].float()

    return FakeQuantized()


def trained(
    module: "nn.Module", circuit: Circuit
) -> tuple[bytes, dict[str, Range], dict[str, NDArray[Any]]]:
    """The float graph with the weights that were learned, ranges of values, scales of weights."""
    import torch

    draft: Draft = circuit.draft
    found: Any = module
    with torch.no_grad():
        for name in found.places:
            draft.store(name, found.value_of(name).numpy().astype(np.float32))
        scales = {n: found.logs[place].exp().numpy() for n, (place, *_) in found.steps.items()}
    spans = zip(found.roots, found.spans.tolist(), strict=True)
    return draft.finish(), {name: Range(*span) for name, span in spans}, scales


def bias_of(draft: Draft, layer: Weighted) -> str:
    """The name of a layer's stored bias; empty where it has none."""
    given = layer.node.input
    return str(given[2]) if len(given) > 2 and given[2] in draft.tensors else ""


def rounded(values: "torch.Tensor", code: Encoding) -> "torch.Tensor":
    """The nearest numbers that have a code; gradients pass where nothing is cut off."""
    low, high = ((bound - code.zero_point) * code.scale for bound in (code.least, code.most))
    kept = values.clamp(low, high)
    codes = (kept / code.scale).round() + code.zero_point
    real = (codes.clamp(code.least, code.most) - code.zero_point) * code.scale
    return kept + (real - kept).detach()


def own_range(values: "torch.Tensor") -> "torch.Tensor":
    """A constant beside a sum or product, in codes over its own range."""
    return rounded(values, encoding(Range(float(values.min()), float(values.max()))))
