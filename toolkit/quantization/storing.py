"""Weights in fewer bits, arithmetic in floats: a smaller file that computes as before.

Codes of 8 or 4 bits behind DequantizeLinear (group-wise: Dettmers et al. 2022,
arXiv:2110.02861, section 2.1), or float16 behind Cast.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.anatomy import RECURRENT, layers_of
from toolkit.quantization import weights as stored_weights
from toolkit.quantization.draft import FLOAT32, Array, Draft, node
from toolkit.quantization.plan import Weighted, axis_of, is_feature, weighted_layers

DENSE = {"Gemm", "MatMul"}


def store_codes(graph: bytes, bits: int, per_channel: bool, block: int, job: Job) -> bytes:
    """Every float weight as codes; blocks are for the sums of dense layers."""
    draft = Draft(graph)
    made: list[Any] = []
    for layer, place in job.track(list(places(draft)), f"store weights in {bits} bits"):
        name = str(layer.node.input[place])
        twin = f"{name}_real"
        if f"{name}_int{bits}" not in draft.tensors:
            codes = coded(layer, draft.array(name), bits, per_channel, block)
            made.append(dequantizer(draft, name, codes, bits))
        layer.node.input[place] = twin
    draft.nodes = [*made, *draft.nodes]
    return draft.finish() if made else graph


def store_halves(graph: bytes, job: Job) -> bytes:
    """Every float weight as float16."""
    draft = Draft(graph)
    made: list[Any] = []
    for layer, place in job.track(list(places(draft)), "store weights as float16"):
        name = str(layer.node.input[place])
        if f"{name}_half" not in draft.tensors:
            values = draft.array(name)
            stored_weights.refuse_broken(values, layer.name)
            half = draft.store(f"{name}_half", stored_weights.halved(values, layer.name))
            made.append(node("Cast", [half], [f"{name}_real"], f"{name}_cast", to=FLOAT32))
        layer.node.input[place] = f"{name}_real"
    draft.nodes = [*made, *draft.nodes]
    return draft.finish() if made else graph


def places(draft: Draft) -> Iterator[tuple[Weighted, int]]:
    """Each layer with the number of an input that holds weights in float32."""
    for layer in weighted_layers(draft):
        if any(is_feature(name) for name in layer.node.input):
            continue
        inputs = list(layer.node.input)
        found = [1, 2] if layer.node.op_type in RECURRENT else [inputs.index(layer.weight)]
        yield from ((layer, place) for place in found if is_float(draft, inputs, place))


def is_float(draft: Draft, inputs: Sequence[str], place: int) -> bool:
    tensor = draft.tensors.get(inputs[place])
    return tensor is not None and tensor.data_type == FLOAT32


def need_weights(graph: bytes, name: str) -> None:
    """Say so where there is nothing to store in fewer bits.

    Raises:
        UnsupportedError: no layer has weights in float32.
    """
    if next(places(Draft(graph)), None) is None:
        raise UnsupportedError(
            f"{name}: no layer of this model stores its weights in float32.",
            "It is quantized already: start from the float model; `sanderling show` names it.",
        )


def left_as_they_are(graph: bytes) -> dict[str, str]:
    """Layers whose weights are not stored anew, each with the reason."""
    draft = Draft(graph)
    taken = {layer.name for layer, _ in places(draft)}
    steps = {
        layer.name for layer in weighted_layers(draft) if any(map(is_feature, layer.node.input))
    }
    return {
        layer.name: "a step that prepares the input: it needs its full precision"
        if layer.name in steps
        else "its weights are not stored in float32"
        for layer in layers_of(graph)
        if layer.name not in taken
    }


def coded(
    layer: Weighted, values: Array, bits: int, per_channel: bool, block: int
) -> stored_weights.Codes:
    stored_weights.refuse_broken(values, layer.name)
    method = stored_weights.method_for(bits)
    axis = axis_of(layer.node)
    if block and layer.node.op_type in DENSE and values.ndim == 2:
        return stored_weights.quantize_blocks(values, bits, 1 - axis, block, method)
    return stored_weights.quantize(values, bits, axis if per_channel else None, method=method)


def dequantizer(draft: Draft, name: str, codes: stored_weights.Codes, bits: int) -> Any:
    store = draft.store if bits == 8 else draft.store_int4
    stored = store(f"{name}_int{bits}", codes.values)
    scale = draft.store(f"{stored}_scale", codes.scales)
    given: dict[str, int] = {"axis": codes.axis} if codes.scales.ndim else {}
    if codes.block:
        given["block_size"] = codes.block
        draft.need_opset(21)
    inputs = [stored, scale]
    if bits == 8:  # where sums must be precise, onnxruntime adds one itself, of the wrong shape
        inputs.append(draft.store(f"{stored}_zero", np.zeros(codes.scales.shape, np.int8)))
    return node("DequantizeLinear", inputs, [f"{name}_real"], f"{name}_dequantize", **given)
