"""Dynamic int8: weights as codes, the range of what a layer takes measured while it runs.

As integer products of standard ONNX (DynamicQuantizeLinear, MatMulInteger), which runtimes have
kernels for. Convolutions stay out: measured here, dynamic int8 makes them 5 to 24 times slower.
"""

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.anatomy import RECURRENT
from toolkit.onnx_graph import attribute
from toolkit.quantization import weights as stored_weights
from toolkit.quantization.draft import FLOAT32, Draft, node
from toolkit.quantization.fold import prepared
from toolkit.quantization.plan import Weighted, axis_of, is_feature, weighted_layers
from toolkit.quantization.storing import DENSE, dequantizer


def quantize_dynamic(graph: bytes, per_channel: bool, job: Job) -> bytes:
    """Dense layers as integer products; recurrent ones with weights in 8 bits.

    Raises:
        UnsupportedError: there is no such layer.
    """
    draft = Draft(prepared(graph))
    layers = [layer for layer in weighted_layers(draft) if not reason(draft, layer)]
    if not layers:
        raise UnsupportedError(
            "quantize_dynamic finds no dense or recurrent layer in float32 in this model.",
            "Use quantize_int8 for convolutions: dynamic ranges make them slower.",
        )
    for layer in job.track(layers, "quantize dynamically"):
        if layer.node.op_type in RECURRENT:
            store_recurrent(draft, layer, per_channel)
        else:
            write_product(draft, layer, per_channel)
    return draft.finish()


def reasons(graph: bytes) -> dict[str, str]:
    """Layers that stay as they are, each with the reason."""
    draft = Draft(prepared(graph))
    found = {layer.name: reason(draft, layer) for layer in weighted_layers(draft)}
    return {name: why for name, why in found.items() if why}


def reason(draft: Draft, layer: Weighted) -> str:
    """Why a layer stays as it is; empty where it does not."""
    each = layer.node
    if any(is_feature(name) for name in each.input):
        return "a step that prepares the input: it needs its full precision"
    if draft.tensors[layer.weight].data_type != FLOAT32:
        return "its weights are not stored in float32"
    if each.op_type in RECURRENT:
        return ""
    if each.op_type not in DENSE:
        return "dynamic int8 makes convolutions slower; quantize_int8 makes them faster"
    return layer.reason


def write_product(draft: Draft, layer: Weighted, per_channel: bool) -> None:
    """The product as Mul(Cast(MatMulInteger(codes)), scale of x · scale of W), then the bias."""
    each = layer.node
    values = draft.array(layer.weight)
    stored_weights.refuse_broken(values, layer.name)
    matrix = values.T if each.op_type == "Gemm" and attribute(each, "transB", 0) else values
    codes = stored_weights.quantize(matrix, 8, 1 if per_channel else None)
    name = f"{layer.weight}_int8"
    if name in draft.tensors and not np.array_equal(draft.array(name), codes.values):
        name = f"{name}_of_{each.output[0]}"
    draft.store(name, codes.values)
    scale = draft.store(f"{name}_scale", codes.scales)
    source, result = each.input[0], each.output[0]
    bias = each.input[2] if len(each.input) > 2 and each.input[2] else ""
    quantized = [f"{source}_{part}" for part in ("codes", "scale", "zero")]
    made = []
    if not any(quantized[0] in other.output for other in draft.nodes):  # one for all its readers
        made.append(node("DynamicQuantizeLinear", [source], quantized, f"{source}_quantize"))
    inner = [f"{result}_{part}" for part in ("sums", "floats", "step", "product")]
    product = inner[3] if bias else result
    made += [
        node("MatMulInteger", [quantized[0], name, quantized[2]], [inner[0]], each.name),
        node("Cast", [inner[0]], [inner[1]], f"{each.name}_cast", to=FLOAT32),
        node("Mul", [quantized[1], scale], [inner[2]], f"{each.name}_step"),
        node("Mul", [inner[1], inner[2]], [product], f"{each.name}_scale"),
    ]
    if bias:
        made.append(node("Add", [product, bias], [result], f"{each.name}_bias"))
    place = draft.nodes.index(each)
    draft.nodes[place : place + 1] = made


def store_recurrent(draft: Draft, layer: Weighted, per_channel: bool) -> None:
    """Both weights in 8 bits: no standard operator multiplies them as integers."""
    axis = axis_of(layer.node) if per_channel else None
    place = draft.nodes.index(layer.node)
    for index in (1, 2):
        name = str(layer.node.input[index])
        values = draft.array(name)
        stored_weights.refuse_broken(values, layer.name)
        if f"{name}_int8" not in draft.tensors:
            codes = stored_weights.quantize(values, 8, axis)
            draft.nodes.insert(place, dequantizer(draft, name, codes, 8))
        layer.node.input[index] = f"{name}_real"
