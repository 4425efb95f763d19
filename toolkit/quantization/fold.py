"""Makes a graph ready for fewer bits: constants computed, scales and shifts inside layers.

Batch normalization behind a convolution or dense layer is a scale and a shift of each channel
(Jacob et al. 2018, arXiv:1712.05877, section 3.2): left outside, it would be a float operator
in the middle of integers. Values keep their names, weights keep the stem of theirs.
"""

import math
from typing import Any

import numpy as np

from toolkit.anatomy import THROUGH, WEIGHT
from toolkit.onnx_graph import attribute
from toolkit.quantization.draft import Array, Draft, node, set_attribute

KEPT = {"QuantizeLinear", "DequantizeLinear"}  # computed, what is stored in few bits would grow
RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial"}
MOST_VALUES = 1 << 24  # of a computed constant: 64 MB in float32
FOLDABLE = {"Conv", "ConvTranspose", "Gemm"}


def prepared(graph: bytes) -> bytes:
    """The same function: constants computed, biases and batch norms inside their layers."""
    draft = Draft(graph)
    changed = fold_constants(draft)
    changed |= plain_gemms(draft)
    changed |= matmuls_with_bias(draft)
    changed |= fold_channels(draft, {"BatchNormalization", "Mul", "Add"})
    return draft.finish() if changed else graph


def fold_batch_norms(graph: bytes) -> tuple[bytes, int]:
    """Batch norm inside the layers before it, and how many were; the same bytes for none."""
    draft = Draft(graph)
    before = len(draft.nodes)
    while fold_channels(draft, {"BatchNormalization"}):
        pass
    folded = before - len(draft.nodes)
    return (draft.finish() if folded else graph), folded


def fold_constants(draft: Draft) -> bool:
    """Replace every node whose inputs are stored by what it gives."""
    left = []
    for each in draft.nodes:
        values = computed(draft, each)
        if values is None:
            left.append(each)
            continue
        for name, array in values.items():
            draft.store(name, array)
    found = len(left) < len(draft.nodes)
    draft.nodes = left
    return found


def computed(draft: Draft, each: Any) -> dict[str, Array] | None:
    """What a node gives, when that is known now."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = [name for name in each.input if name]
    if each.op_type in KEPT | RANDOM or any(a.HasField("g") for a in each.attribute):
        return None
    if set(each.output) & set(draft.outputs) or any(n not in draft.tensors for n in names):
        return None
    arrays = {name: draft.array(name) for name in names}
    if each.op_type == "Cast" and arrays[names[0]].dtype == np.float16:
        return None  # stored in half the bits on purpose
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in each.output if name]
    graph = onnx.helper.make_graph([each], "constant", inputs, outputs)
    alone = onnx.helper.make_model(graph, opset_imports=draft.model.opset_import)
    try:
        found = ReferenceEvaluator(alone).run(None, arrays)
    except Exception:  # noqa: BLE001 - an operator that the evaluator lacks stays as it is
        return None
    arrays = dict(zip((v.name for v in outputs), map(np.asarray, found), strict=True))
    if any(array.size > MOST_VALUES for array in arrays.values()):
        return None
    return {stemmed(draft, each, name): array for name, array in arrays.items()}


def stemmed(draft: Draft, each: Any, name: str) -> str:
    """What becomes of a weight is called after it: by that name layers are known."""
    source = each.input[0] if each.input else ""
    if each.op_type not in THROUGH or WEIGHT not in source:
        return name
    called = f"{source}_{each.op_type.lower()}"
    for reader in draft.nodes:
        for index, given in enumerate(reader.input):
            if given == name:
                reader.input[index] = called
    return called


def plain_gemms(draft: Draft) -> bool:
    """Factors of a Gemm, which no int8 kernel takes, inside its weights."""
    found = False
    for each in draft.nodes:
        alpha, beta = (attribute(each, key, 1.0) for key in ("alpha", "beta"))
        if each.op_type != "Gemm" or (alpha, beta) == (1.0, 1.0):
            continue
        stored = [name for name in each.input[1:] if name]
        if any(name not in draft.tensors for name in stored):
            continue
        for index, factor in enumerate((alpha, beta)[: len(stored)], start=1):
            if factor != 1.0:
                name = f"{each.input[index]}_of_{each.output[0]}"
                values = draft.array(each.input[index]) * np.float32(factor)
                each.input[index] = draft.store(name, values)
        set_attribute(each, "alpha", 1.0)
        set_attribute(each, "beta", 1.0)
        found = True
    return found


def matmuls_with_bias(draft: Draft) -> bool:
    """MatMul and Add of a row as one Gemm, where the input is a matrix."""
    ranks = ranks_of(draft)
    readers = draft.readers()
    gone = set()
    for each in draft.nodes:
        if each.op_type != "MatMul" or ranks.get(each.input[0]) != 2:
            continue
        weight = each.input[1]
        if weight not in draft.tensors or len(draft.tensors[weight].dims) != 2:
            continue
        reader = alone(draft, readers, each.output[0])
        if reader is None or reader.op_type != "Add":
            continue
        bias = next((name for name in reader.input if name in draft.tensors), "")
        values = draft.array(bias) if bias else np.zeros(0)
        outputs = draft.tensors[weight].dims[1]
        if values.size != outputs or (values.ndim and values.shape[-1] != outputs):
            continue
        flat = bias if values.ndim == 1 else draft.store(f"{bias}_row", values.reshape(-1))
        result = reader.output[0]
        each.CopyFrom(node("Gemm", [each.input[0], weight, flat], [result], each.name))
        gone.add(id(reader))
    draft.nodes = [each for each in draft.nodes if id(each) not in gone]
    return bool(gone)


def ranks_of(draft: Draft) -> dict[str, int]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(draft.model).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {
        v.name: len(v.type.tensor_type.shape.dim)
        for v in values
        if v.type.tensor_type.HasField("shape")
    }


def alone(draft: Draft, readers: dict[str, list[Any]], name: str) -> Any | None:
    """The one reader of a value that nobody outside sees."""
    found = readers.get(name, [])
    return found[0] if len(found) == 1 and name not in draft.outputs else None


def fold_channels(draft: Draft, ops: set[str]) -> bool:
    """Move what scales and shifts a layer's channels right behind it into the layer."""
    readers, gone = draft.readers(), set()
    for each in draft.nodes:
        if each.op_type not in FOLDABLE or each.input[1] not in draft.tensors:
            continue
        if len(each.input) > 2 and each.input[2] and each.input[2] not in draft.tensors:
            continue
        while True:
            reader = alone(draft, readers, each.output[0])
            affine = None
            if reader is not None and reader.op_type in ops:
                affine = channelwise(draft, each, reader)
            if reader is None or affine is None:
                break
            scale_layer(draft, each, *affine)
            each.output[0] = reader.output[0]
            gone.add(id(reader))
    draft.nodes = [each for each in draft.nodes if id(each) not in gone]
    return bool(gone)


def channelwise(draft: Draft, layer: Any, reader: Any) -> tuple[Array, Array] | None:
    """Factor and shift of each of the layer's channels; None when it is not that."""
    channels = channels_of(draft, layer)
    if reader.op_type == "BatchNormalization":
        if attribute(reader, "training_mode", 0) or any(
            n not in draft.tensors for n in reader.input[1:5]
        ):
            return None
        scale, shift, mean, variance = (
            draft.array(name).astype(np.float64) for name in reader.input[1:5]
        )
        factor = scale / np.sqrt(variance + attribute(reader, "epsilon", 1e-5))
        return factor, shift - mean * factor
    constant = next((name for name in reader.input if name in draft.tensors), "")
    if not constant:
        return None
    values = draft.array(constant).astype(np.float64)
    rank = 2 if layer.op_type == "Gemm" else len(draft.tensors[layer.input[1]].dims)
    shape = (1,) * (rank - values.ndim) + values.shape
    if len(shape) != rank or math.prod(shape) != shape[1] or shape[1] not in {1, channels}:
        return None
    row = np.broadcast_to(values.reshape(-1), (channels,))
    return (row, np.zeros(channels)) if reader.op_type == "Mul" else (np.ones(channels), row)


def channels_of(draft: Draft, layer: Any) -> int:
    dims = draft.tensors[layer.input[1]].dims
    if layer.op_type == "ConvTranspose":
        return int(dims[1] * attribute(layer, "group", 1))
    if layer.op_type == "Gemm" and not attribute(layer, "transB", 0):
        return int(dims[1])
    return int(dims[0])


def scale_layer(draft: Draft, layer: Any, factor: Array, shift: Array) -> None:
    """Write the factor into the weights and both into the bias; shared arrays stay."""
    weight = layer.input[1]
    values = draft.array(weight).astype(np.float64)
    has_bias = len(layer.input) > 2 and layer.input[2]
    bias = draft.array(layer.input[2]).astype(np.float64) if has_bias else np.zeros(1)
    bias = np.broadcast_to(bias.reshape(-1), factor.shape) * factor + shift
    if not np.all(factor == 1):
        layer.input[1] = own(draft, layer, 1, values * along_outputs(layer, values, factor))
    if has_bias:
        layer.input[2] = own(draft, layer, 2, bias)
        return
    del layer.input[2:]
    layer.input.append(draft.store(f"{weight}_bias", bias.astype(np.float32)))


def along_outputs(layer: Any, values: Array, factor: Array) -> Array:
    """A number for each output channel, in a shape that multiplies the weights."""
    if layer.op_type == "Gemm" and not attribute(layer, "transB", 0):
        return factor.reshape(1, -1)
    if layer.op_type == "ConvTranspose":
        groups = attribute(layer, "group", 1)
        by_group = factor.reshape(groups, 1, -1)
        rows = np.repeat(by_group, values.shape[0] // groups, axis=1)
        return rows.reshape(values.shape[0], values.shape[1], *[1] * (values.ndim - 2))
    return factor.reshape(-1, *[1] * (values.ndim - 1))


def own(draft: Draft, layer: Any, index: int, values: Array) -> str:
    """Store an input of the layer anew; under its old name when nobody else reads that."""
    name = str(layer.input[index])
    if sum(list(each.input).count(name) for each in draft.nodes) > 1:
        name = f"{name}_of_{layer.output[0]}"
    return draft.store(name, values.astype(np.float32))
