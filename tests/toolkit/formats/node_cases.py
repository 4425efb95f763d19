"""The node tests that the onnx package ships, and what becomes of one behind the compiler."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.expansion import EXPANDED
from toolkit.flatbuffer.operators import TRANSLATIONS
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]

FOLDED = frozenset({"Constant", "ConstantOfShape", "MelWeightMatrix", "Range", "Shape", "Upsample"})
"""What becomes a constant, or another operator, before anything is translated."""

QUANTIZED = frozenset(
    {"DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear"}
)
"""What is read as the way in which values are stored: in pairs, or as one product."""

STANDARD = frozenset(op for op in TRANSLATIONS if onnx.defs.has(op))  # ours has one more
CLAIMED = STANDARD | EXPANDED | FOLDED | QUANTIZED

READ_BY_ONNXRUNTIME = 13  # its newest IR version; the tests' own says nothing about operators

ALL = range(16)
WEIGHTS = (1, 2, 3, 4)
BAKED: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Expand", "Tile", "TopK", "CumSum"), (1,)),
    **dict.fromkeys(("Trilu", "CenterCropPad", "Split", "Upsample", "Compress", "CastLike"), (1,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"), (1,)),
    **dict.fromkeys(("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"), (1,)),
    "ReduceSumSquare": (1,),
    **dict.fromkeys(("Slice", "Pad", "Resize"), (1, 2, 3, 4)),
    **dict.fromkeys(("Clip", "Dropout", "DFT", "OneHot"), (1, 2)),
    **dict.fromkeys(("AffineGrid", "RotaryEmbedding"), (1, 2, 3)),
    **dict.fromkeys(("Range", "ConstantOfShape", "MelWeightMatrix", "EyeLike"), ALL),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), ALL),
    **dict.fromkeys(("Conv", "ConvTranspose", "LSTM", "GRU", "RNN"), WEIGHTS),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), WEIGHTS),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "RMSNormalization"), WEIGHTS),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), (1, 2)),
    **dict.fromkeys(("NonMaxSuppression", "STFT"), (1, 2, 3, 4)),
}
"""Inputs that real graphs hold as constants: weights, shapes, axes, bounds."""


@dataclass(frozen=True)
class Case:
    """One test: a graph, mostly of one node, with numbers in and out."""

    name: str
    op: str  # of a graph that is a function written out: the function's name is in the test's
    model: onnx.ModelProto
    inputs: Mapping[str, Any]
    outputs: tuple[Any, ...]
    rtol: float
    atol: float


@dataclass(frozen=True)
class Verdict:
    """`passed`, `refused` (with the reason) or `wrong` (with how)."""

    status: str
    reason: str = ""
    hint: str = ""


def cases() -> Iterator[Case]:
    """Every node test of the installed onnx package."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for test in found:
        model, [(inputs, outputs), *_] = test.model, test.data_sets
        nodes = model.graph.node
        names = [value.name for value in model.graph.input]
        yield Case(
            test.name,
            nodes[0].op_type if len(nodes) == 1 else "",
            model,
            {name: as_array(data) for name, data in zip(names, inputs, strict=False)},
            tuple(as_array(data) for data in outputs),
            test.rtol,
            test.atol,
        )


def as_array(data: Any) -> Any:
    return numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else data


def baked(case: Case) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model with its parameters as constants, and the inputs that are left."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    nodes = model.graph.node
    fixed = {
        name
        for node in nodes
        for place, name in enumerate(node.input)
        if place in BAKED.get(node.op_type, ()) and name in case.inputs
    }
    if len(nodes) > 1:  # a function written out hands its parameters on
        later = list(case.inputs)[1:]
        fixed |= {name for name in later if getattr(case.inputs[name], "dtype", 0) == np.int64}
    # an input without values could as well have a free batch
    fixed |= {name for name, data in case.inputs.items() if getattr(data, "size", 1) == 0}
    for value in [value for value in model.graph.input if value.name in fixed]:
        array = np.asarray(case.inputs[value.name])
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        model.graph.input.remove(value)
    return model, {name: data for name, data in case.inputs.items() if name not in fixed}


def behind_convolutions(model: onnx.ModelProto) -> bool:
    """Put a convolution that changes nothing before each image: its result has channels last."""
    graph, before = model.graph, []
    for value in graph.input:
        tensor = value.type.tensor_type
        sizes = [dim.dim_value for dim in tensor.shape.dim]
        if tensor.elem_type != onnx.TensorProto.FLOAT or len(sizes) not in (3, 4):
            continue
        ones = np.eye(sizes[1], dtype=np.float32).reshape(sizes[1], -1, *[1] * (len(sizes) - 2))
        weights, image = f"{value.name}/weights", f"{value.name}/image"
        graph.initializer.append(numpy_helper.from_array(ones, weights))
        before.append(onnx.helper.make_node("Conv", [value.name, weights], [image]))
        for node in graph.node:
            node.input[:] = [image if name == value.name else name for name in node.input]
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in (*before, *graph.node)]
    del graph.node[:]
    graph.node.extend(nodes)
    return bool(before)


def judge(case: Case, as_images: bool = False) -> Verdict:
    """Compile and run one case; `as_images`: with inputs whose channels lie last."""
    model, inputs = baked(case)
    if as_images and not behind_convolutions(model):
        return Verdict("passed")
    try:
        compiled = translate(model, QUIET)
    except UnsupportedError as error:
        return Verdict("refused", str(error), error.hint)
    return compared(case, run(compiled, inputs))


def run(compiled: bytes, inputs: Mapping[str, Any]) -> dict[str, Array]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=compiled, num_threads=1)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.asarray(inputs[entry["name"]]))
    interpreter.invoke()
    return {
        entry["name"]: interpreter.get_tensor(entry["index"])
        for entry in interpreter.get_output_details()
    }


def run_onnx(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """As it is written: nothing fused."""
    import onnxruntime

    readable = onnx.ModelProto()
    readable.CopyFrom(model)
    readable.ir_version = min(model.ir_version, READ_BY_ONNXRUNTIME)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        readable.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(inputs)), strict=True))


def compared(case: Case, found: Mapping[str, Array]) -> Verdict:
    names = [value.name for value in case.model.graph.output]
    for name, wanted in zip(names, case.outputs, strict=True):
        expected, given = np.asarray(wanted), found[name]
        if given.shape != expected.shape:
            return Verdict("wrong", f"{name} has shape {given.shape}, not {expected.shape}")
        if given.dtype != expected.dtype:
            return Verdict("wrong", f"{name} has type {given.dtype}, not {expected.dtype}")
        if not np.allclose(given, expected, case.rtol, max(case.atol, 1e-6), equal_nan=True):
            with np.errstate(all="ignore"):
                error = np.abs(given.astype(np.float64) - expected.astype(np.float64)).max()
            return Verdict("wrong", f"{name} is off by {error:.3g}")
    return Verdict("passed")
