"""How much of a compiled file the accelerated kernels of its runtime take.

LiteRT hands runs of operators to a delegate (XNNPACK on processors); what is handed over in
many pieces is slow, for every border is a copy. ONNX Runtime has one set of kernels for
processors, and says nothing of the kind.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.runtime.engines.tflite import quiet

DELEGATE = "DELEGATE"
FLOAT_KERNELS = {
    "Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "Gemm", "LSTM",
    "MatMul", "NhwcFusedConv", "RNN",
}  # fmt: skip


@dataclass(frozen=True)
class Delegation:
    """What LiteRT does with a file.

    Attributes:
        partitions: pieces that the delegate takes.
        accelerated: share of the operators in them.
        left: the others, by name, with how often each occurs.
        integer: whether values on the way are whole numbers that stand for others.
    """

    partitions: int
    accelerated: float
    left: tuple[str, ...]
    integer: bool


def delegation_of(file: bytes) -> Delegation:
    """What the delegate takes of a `.tflite` file on this machine; inner graphs are not seen."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_content=file, num_threads=1)
        interpreter.allocate_tensors()  # now the delegate has taken its share
    nodes = interpreter._get_ops_details()  # nothing else tells
    pieces = [node for node in nodes if node["op_name"] == DELEGATE]
    operators = [node for node in nodes if node["op_name"] != DELEGATE]
    taken = {index for piece in pieces for index in inside(piece, operators)}
    left = [node["op_name"] for node in operators if node["index"] not in taken]
    details = {one["index"]: one for one in interpreter.get_tensor_details()}
    given = [details[index] for node in operators for index in node["outputs"] if index in details]
    return Delegation(
        len(pieces),
        len(taken) / max(len(operators), 1),
        counted(left),
        any(one["quantization"][0] and one["dtype"].__name__ in {"int8", "int16"} for one in given),
    )


def inside(piece: Mapping[str, Any], operators: Sequence[Mapping[str, Any]]) -> set[int]:
    """The operators of a piece: between what it gives and what it takes, looked at backwards."""
    wanted, ends = {int(i) for i in piece["outputs"]}, {int(i) for i in piece["inputs"]}
    found: set[int] = set()
    for node in reversed(operators):
        if wanted & {int(i) for i in node["outputs"]} - ends:
            found.add(int(node["index"]))
            wanted |= {int(i) for i in node["inputs"]}
    return found


def counted(names: Sequence[str]) -> tuple[str, ...]:
    """`CONV_2D` once, `ADD (3)` thrice; in the order of the alphabet."""
    return tuple(
        name if names.count(name) == 1 else f"{name} ({names.count(name)})"
        for name in sorted(set(names))
    )


def left_in_float(file: bytes) -> tuple[str, ...]:
    """The layers of an int8 ONNX file that ONNX Runtime computes in float all the same."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it warns that the file is for this processor alone
        options.optimized_model_filepath = os.fspath(path)
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(path).graph.node
    return counted([node.op_type for node in nodes if node.op_type in FLOAT_KERNELS])
