"""Which layer is stored and computed how: one way for all, and exceptions by a layer's name."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge_targets.runtime.errors import RecipeError
from toolkit.anatomy import RECURRENT, WEIGHTED, layer_name, weight_inputs
from toolkit.onnx_graph import attribute
from toolkit.quantization.draft import Draft
from toolkit.quantization.ranges import Calibration

FEATURE = re.compile(r"0\.\d+\.(?!weight|bias)\w+")
"""Constants of the steps before a network, as our export names them: `0.0.times`."""

INTEGER = {"Conv", "Gemm", "MatMul"}
"""Layers that runtimes have int8 kernels for; onnxruntime's ConvTranspose computes in floats."""

STORED = INTEGER | {"ConvTranspose"}
"""Layers whose weights may be stored in fewer bits."""

HOWS = (
    "per_tensor", "per_channel", "minmax", "percentile", "entropy", "mse", "weights", "int16",
    "half", "float",
)  # fmt: skip


@dataclass(frozen=True)
class LayerPlan:
    """How one layer is stored and computed.

    Attributes:
        weights: bits of a stored weight: 8, 7 (in 8), 4, 16 (as float16), or 0 for float32.
        activations: bits of what it takes and gives: 8, 16, or 0 for float arithmetic.
        per_channel: a scale for each channel of the weight, instead of one for all.
        calibration: how the range of what it gives is chosen.
    """

    weights: int = 8
    activations: int = 8
    per_channel: bool = True
    calibration: Calibration = "minmax"

    @property
    def is_float(self) -> bool:
        return self.weights == self.activations == 0


FLOAT = LayerPlan(weights=0, activations=0)


@dataclass(frozen=True)
class Weighted:
    """A layer as the planner sees it.

    Attributes:
        weight: name of the stored array, which is a direct input of the node; else empty.
        reason: why its arithmetic stays float; empty where it can be int8.
    """

    name: str
    node: Any
    weight: str
    reason: str


def weighted_layers(draft: Draft) -> list[Weighted]:
    """Every operator with learned weights, in the order of the graph."""
    found = []
    for node in draft.nodes:
        if node.op_type in WEIGHTED:
            weight = next((n for n in weight_inputs(node) if is_matrix(draft, n)), "")
            if weight:
                name = layer_name(node, weight)
                found.append(Weighted(name, node, weight, reason_against(draft, node, weight)))
    return found


def is_matrix(draft: Draft, name: str) -> bool:
    return name in draft.tensors and len(draft.tensors[name].dims) > 1


def reason_against(draft: Draft, node: Any, weight: str) -> str:
    """Why int8 arithmetic is not for this layer; empty when it is."""
    if any(is_feature(name) for name in node.input):
        return "a step that prepares the input: it needs the input's full precision"
    if node.op_type in RECURRENT:
        return f"runtimes have no static int8 {node.op_type}; quantize_dynamic stores it in 8 bits"
    if node.op_type not in INTEGER:
        return f"onnxruntime has no int8 {node.op_type}: 8-bit weights, float arithmetic"
    if node.op_type == "MatMul" and (
        weight != node.input[1] or len(draft.tensors[weight].dims) != 2
    ):
        return "its weights are not a matrix on the right: no int8 kernel takes them"
    if node.op_type == "Gemm" and attribute(node, "transA", 0):
        return "it transposes its input, which no int8 kernel does"
    return ""


def axis_of(node: Any) -> int:
    """Of a weight's output channels; of a recurrent layer's gates."""
    if node.op_type == "Conv":
        return 0
    return 0 if attribute(node, "transB", 0) else 1


def is_feature(name: str) -> bool:
    return FEATURE.fullmatch(name) is not None


def plan_for(graph: bytes, base: LayerPlan, exceptions: Sequence[str] = ()) -> dict[str, LayerPlan]:
    """The plan of every layer by its name.

    Raises:
        RecipeError: an exception names a layer or a way that there is not, or a layer that
            cannot be so.
    """
    layers = weighted_layers(Draft(graph))
    plans = {layer.name: possible(layer, base) for layer in layers}
    reasons = {layer.name: layer.reason for layer in layers}
    for text in exceptions:
        name, equals, how = text.rpartition("=")
        if not equals:
            raise RecipeError(
                f"layers, {text}: expected LAYER=HOW.",
                f"Write it like {text}=float; known ways: {', '.join(HOWS)}.",
            )
        name = known(text, name, plans, "layer")
        how = known(text, how, HOWS, "way to quantize")
        if reasons[name] and how in {"int16", "minmax", "percentile", "entropy", "mse"}:
            raise RecipeError(
                f"layers, {text}: layer {name!r} keeps float arithmetic: {reasons[name]}.",
                "Leave the exception out.",
            )
        plans[name] = changed(plans[name], how)
    return plans


def possible(layer: Weighted, base: LayerPlan) -> LayerPlan:
    if not layer.reason:
        return base
    stays = layer.node.op_type not in STORED or any(is_feature(n) for n in layer.node.input)
    return replace(base, weights=0 if stays else base.weights, activations=0)


def changed(plan: LayerPlan, how: str) -> LayerPlan:
    if how in {"per_tensor", "per_channel"}:
        return replace(plan, per_channel=how == "per_channel")
    if how == "weights":
        return replace(plan, weights=8, activations=0)
    if how == "int16":
        return replace(plan, activations=16)
    if how == "half":
        return replace(plan, weights=16, activations=0)
    if how == "float":
        return replace(plan, weights=0, activations=0)
    return replace(plan, calibration=how)  # type: ignore[arg-type]


def known(text: str, name: str, names: Iterable[str], kind: str) -> str:
    """`name`, which must be one of `names`."""
    all_names = list(names)
    if name in all_names:
        return name
    close = difflib.get_close_matches(name, all_names, n=1)
    listed = ", ".join(all_names) or "none"
    hint = f"Did you mean {close[0]!r}? Known: {listed}." if close else f"Known: {listed}."
    raise RecipeError(f"layers, {text}: there is no {kind} {name!r}.", hint)


def reasons_for(graph: bytes, plan: Mapping[str, LayerPlan]) -> dict[str, str]:
    """Layers that do not compute in integers, each with the reason."""
    found = {}
    for layer in weighted_layers(Draft(graph)):
        if plan[layer.name].activations:
            continue
        found[layer.name] = layer.reason or asked(plan[layer.name])
    return found


def asked(plan: LayerPlan) -> str:
    stored = {0: "float", 16: "float16"}.get(plan.weights, f"{plan.weights}-bit")
    return f"asked for: {stored} weights, float arithmetic"
