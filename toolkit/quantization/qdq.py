"""Writes a plan into a graph as QuantizeLinear/DequantizeLinear pairs around float operators.

Runtimes read such pairs as what they mean (Jacob et al. 2018, arXiv:1712.05877): int8 kernels.
Weights are stored as codes, biases as int32 in the scale of the sums they are added to.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.quantization import weights as stored_weights
from toolkit.quantization.biases import CORRECTED, MOST_SUM, mean_shift, room_for_bias
from toolkit.quantization.draft import FLOAT32, Array, Draft, node, rename_input
from toolkit.quantization.fold import channels_of, prepared
from toolkit.quantization.plan import LayerPlan, Weighted, axis_of, weighted_layers
from toolkit.quantization.ranges import Encoding, Range, encoding
from toolkit.quantization.regions import SEVERAL, Regions

SHIELDED = {"Conv", "ConvTranspose", "Gemm"}


def quantize_graph(
    graph: bytes,
    plan: Mapping[str, LayerPlan],
    ranges: Mapping[str, Range],
    *,
    signed: bool = True,
    means: Mapping[str, Array] | None = None,
    weight_scales: Mapping[str, Array] | None = None,
) -> bytes:
    """The graph in QDQ form; `plan` by layer and `ranges` by value, as `plan_for` gives them.

    Args:
        graph: the float graph; it is prepared first (see fold.py), which keeps value names.
        plan: of each layer.
        ranges: of each value that `ranged_values` names.
        signed: int8 activations; else uint8.
        means: of each channel of each value: biases are corrected by what quantization of the
            weights shifts a layer's mean output by (Nagel et al. 2019, arXiv:1906.04721,
            section 4.2). None: they stay.
        weight_scales: of weights by name where they are given, as trained: shape () or (C,).
    """
    draft = Draft(prepared(graph))
    writer = _Writer(draft, Regions(draft, plan), plan, ranges, signed)
    writer.means, writer.scales = means or {}, weight_scales or {}
    return writer.write()


def ranged_values(graph: bytes, plan: Mapping[str, LayerPlan]) -> dict[str, str]:
    """Each value that needs a range, and the layer that it belongs to; empty for none."""
    draft = Draft(prepared(graph))
    return {h.root: h.layer for n, h in Regions(draft, plan).held.items() if h.root == n}


class _Writer:
    """The new nodes while they grow."""

    def __init__(
        self,
        draft: Draft,
        regions: Regions,
        plan: Mapping[str, LayerPlan],
        ranges: Mapping[str, Range],
        signed: bool,
    ) -> None:
        self.draft, self.regions, self.plan, self.ranges = draft, regions, plan, ranges
        self.signed = signed
        self.means: Mapping[str, Array] = {}
        self.scales: Mapping[str, Array] = {}
        self.nodes: list[Any] = []
        self.layers = {str(layer.node.output[0]): layer for layer in weighted_layers(draft)}
        self.real: dict[str, str] = {}  # a held value -> its dequantized twin
        self.written: dict[tuple[str, LayerPlan, bool], tuple[str, Array]] = {}

    def write(self) -> bytes:
        if any(held.bits == 16 for held in self.regions.held.values()):
            self.draft.need_opset(21)
        for name in self.draft.inputs:
            self.pair(name)
        for each in self.draft.nodes:
            self.take(each)
        self.draft.nodes = self.nodes
        return self.draft.finish()

    def take(self, each: Any) -> None:
        first = next(iter(each.output), "")
        layer = self.layers.get(first)
        if layer is not None:
            self.weigh(layer)
        is_integer = first in self.regions.integer
        if is_integer and each.op_type in SEVERAL:
            self.constants(each)
        for name in list(each.input):
            held = self.regions.held.get(name)
            if held and (is_integer or held.inside):
                rename_input(each, name, self.real[name])
        self.nodes.append(each)
        for index, name in enumerate(each.output):
            if name in self.regions.held:
                self.pair(name, each, index)

    def encoding(self, name: str) -> Encoding:
        held = self.regions.held[name]
        wide = held.bits == 16  # kernels with 16 bits know no zero point
        return encoding(
            self.ranges[held.root], held.bits, signed=self.signed or wide, symmetric=wide
        )

    def pair(self, name: str, maker: Any | None = None, index: int = 0) -> None:
        """Quantize a value right where it is made, and have its twin for the readers."""
        if name not in self.regions.held:
            return
        inner, twin = name, f"{name}_real"
        if name in self.draft.outputs and maker is not None:  # the outside sees the twin
            inner, twin = f"{name}_float", name
            maker.output[index] = inner
        scale, zero = self.parameters(self.regions.held[name].root)
        self.nodes += [
            node("QuantizeLinear", [inner, scale, zero], [f"{name}_codes"], f"{name}_quantize"),
            node("DequantizeLinear", [f"{name}_codes", scale, zero], [twin], f"{name}_dequantize"),
        ]
        self.real[name] = twin

    def parameters(self, root: str) -> tuple[str, str]:
        code, bits = self.encoding(root), self.regions.held[root].bits
        return self.constants_of(root, code, bits)

    def constants_of(self, name: str, code: Encoding, bits: int) -> tuple[str, str]:
        signed = self.signed or bits == 16
        dtype = np.dtype(f"{'' if signed else 'u'}int{bits}")
        return (
            self.draft.store(f"{name}_scale", np.array(code.scale, np.float32)),
            self.draft.store(f"{name}_zero", np.array(code.zero_point, dtype)),
        )

    def constants(self, each: Any) -> None:
        """Numbers stored beside a sum or product, as codes like what they meet."""
        bits = self.regions.held[self.regions.ends.get(each.output[0], each.output[0])].bits
        for name in list(dict.fromkeys(each.input)):
            if name not in self.draft.tensors:
                continue
            values, own = self.draft.array(name), name
            # a copy for each reader: where x86 wants unsigned codes, onnxruntime converts them once
            # a reader and stumbles over its own name at the second
            if any(f"{name}_real" in other.output for other in self.nodes):
                own = f"{name}_of_{each.output[0]}"
            twin = f"{own}_real"
            low, high = (float(bound) for bound in (values.min(), values.max()))
            signed = self.signed or bits == 16
            code = encoding(Range(low, high), bits, signed=signed, symmetric=bits == 16)
            codes = np.clip(np.rint(values / code.scale) + code.zero_point, code.least, code.most)
            scale, zero = self.constants_of(own, code, bits)
            dtype = np.dtype(f"{'' if signed else 'u'}int{bits}")
            held = self.draft.store(f"{own}_int{bits}", codes.astype(dtype))
            self.nodes.append(
                node("DequantizeLinear", [held, scale, zero], [twin], f"{own}_dequantize")
            )
            rename_input(each, name, twin)

    def weigh(self, layer: Weighted) -> None:
        """Store a layer's weights, and its bias, as the plan says."""
        plan = self.plan[layer.name]
        values = self.draft.array(layer.weight)
        stored_weights.refuse_broken(values, layer.name)
        if plan.weights in {0, 16}:
            self.shield(layer)
            if plan.weights:
                self.halve(layer, values)
            return
        bias, source = self.bias_name(layer), layer.node.input[0]
        integer = plan.activations and bias in self.draft.tensors
        step = self.encoding(source).scale if plan.activations else 0.0
        scales = self.weight_scales(layer, plan, values)
        if integer:
            scales = room_for_bias(scales, self.draft.array(bias), values, layer.node, step)
        codes = stored_weights.quantize(values, plan.weights, axis_of(layer.node), scales=scales)
        twin = self.codes(layer, plan, codes)
        shift = mean_shift(values - codes.real(), self.means.get(source), layer.node)
        rename_input(layer.node, layer.weight, twin)
        if shift is not None and bias in self.draft.tensors:
            corrected = self.draft.array(bias).reshape(-1) + shift
            layer.node.input[2] = bias = self.draft.store(
                f"{bias}_corrected", corrected.astype(np.float32)
            )
        if integer:
            self.bias(layer, bias, codes.scales.astype(np.float64) * step)

    def bias_name(self, layer: Weighted, *, always: bool = False) -> str:
        """Of the bias; one of zeros is made where it is needed."""
        given = layer.node.input
        if len(given) > 2 and given[2]:
            return str(given[2])
        corrected = given[0] in self.means and layer.node.op_type in CORRECTED
        if not (always or corrected):
            return ""
        outputs = channels_of(self.draft, layer.node)
        zeros = self.draft.store(f"{layer.weight}_bias", np.zeros(outputs, np.float32))
        del given[2:]
        given.append(zeros)
        return zeros

    def weight_scales(self, layer: Weighted, plan: LayerPlan, values: Array) -> Array:
        given = self.scales.get(layer.weight)
        if given is not None:
            return np.asarray(given, np.float32)
        axis = axis_of(layer.node) if plan.per_channel else None
        method = stored_weights.method_for(plan.weights)
        return stored_weights.scales_of(values, plan.weights, axis, method)

    def codes(self, layer: Weighted, plan: LayerPlan, codes: stored_weights.Codes) -> str:
        """The stored weights and what makes numbers of them; the name of these."""
        name = f"{layer.weight}_int{4 if plan.weights == 4 else 8}"
        if name in self.draft.tensors:  # two layers share the weight, but not its scale
            name = f"{name}_of_{layer.node.output[0]}"
        store = self.draft.store_int4 if plan.weights == 4 else self.draft.store
        store(name, codes.values)
        given = [name, self.draft.store(f"{name}_scale", codes.scales)]
        if plan.weights > 4:  # without it onnxruntime finds no QGemm, and stumbles over floats
            zeros = np.zeros(codes.scales.shape, np.int8)
            given.append(self.draft.store(f"{name}_zero", zeros))
        axis = {"axis": codes.axis} if codes.scales.ndim else {}
        twin = f"{name}_real"
        self.nodes.append(node("DequantizeLinear", given, [twin], f"{name}_dequantize", **axis))
        return twin

    def bias(self, layer: Weighted, bias: str, scales: Array) -> None:
        """As int32, in the scale of the products it is added to."""
        values = self.draft.array(bias).astype(np.float64).reshape(-1)
        rows = np.broadcast_to(np.asarray(scales), values.shape) if scales.ndim else scales
        codes = np.clip(np.rint(values / rows), -MOST_SUM, MOST_SUM).astype(np.int32)
        name = f"{bias}_int32"
        if name in self.draft.tensors:
            name = f"{name}_of_{layer.node.output[0]}"
        self.draft.store(name, codes)
        scale = self.draft.store(f"{name}_scale", np.asarray(scales, np.float32))
        given = {"axis": 0} if np.ndim(scales) else {}
        self.nodes.append(
            node("DequantizeLinear", [name, scale], [f"{name}_real"], f"{name}_dequantize", **given)
        )
        layer.node.input[2] = f"{name}_real"

    def shield(self, layer: Weighted) -> None:
        """Keep onnxruntime from quantizing the weights of a float layer behind its own scale.

        It does so, one scale a tensor, wherever the input comes from a DequantizeLinear and the
        bias is stored in floats (its transformer WeightBiasQuantization). A bias in int32 is left
        alone, and is as exact.
        """
        each = layer.node
        held = self.regions.held.get(each.input[0])
        if held is None or not held.inside or each.op_type not in SHIELDED:
            return
        bias = self.bias_name(layer, always=True)
        if bias in self.draft.tensors:
            row = np.abs(self.draft.array(bias).astype(np.float64)).reshape(-1)
            self.bias(layer, bias, np.where(row > 0, row, 1.0) / (1 << 30))

    def halve(self, layer: Weighted, values: Array) -> None:
        name = f"{layer.weight}_half"
        if name not in self.draft.tensors:
            self.draft.store(name, stored_weights.halved(values, layer.name))
            cast = node("Cast", [name], [f"{name}_real"], f"{name}_cast", to=FLOAT32)
            self.nodes.append(cast)
        rename_input(layer.node, layer.weight, f"{name}_real")
