"""The way from a graph to a file: read, rewrite, translate node by node, pack."""

from typing import TYPE_CHECKING

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.dynamic import join_dynamic
from toolkit.flatbuffer.folding import read
from toolkit.flatbuffer.fusion import fuse
from toolkit.flatbuffer.graph import Graph, Node
from toolkit.flatbuffer.integer import propagate
from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators import TRANSLATIONS
from toolkit.flatbuffer.quantized import absorb
from toolkit.flatbuffer.serialize import serialize
from toolkit.flatbuffer.writer import STORED, Tensor

if TYPE_CHECKING:
    import onnx

DTYPES = {"bool", "float16", "float32", "float64", "int8", "int32", "int64", "uint8"}


def translate(model: "onnx.ModelProto", job: Job, title: str = "") -> bytes:
    """The bytes of a `.tflite` file that computes what `model` does for a batch of one.

    Inputs and outputs keep their names, shapes and dtypes.

    Raises:
        UnsupportedError: an operator, or a way of using it, that TFLite has nothing for.
    """
    graph = propagate(fuse(join_dynamic(absorb(read(model)))))
    refuse_unknown(graph)
    compiler = Compiler(graph)
    inputs = {name: open_input(compiler, name) for name in graph.inputs}
    for node in job.track(graph.nodes, "compile for TFLite"):
        compiler.writer.scope = node.name
        TRANSLATIONS[node.op](compiler, node)
    compiler.writer.scope = "output"
    taken = {tensor.index for tensor in inputs.values()}
    outputs = {}
    for name in graph.outputs:
        outputs[name] = close_output(compiler, name, taken)
        taken.add(outputs[name].index)
    return serialize(compiler.writer, inputs, outputs, title)


def refuse_unknown(graph: Graph) -> None:
    """Name what has no counterpart before any work is done."""
    for name in (*graph.inputs, *graph.outputs):
        if graph.dtypes[name].name not in DTYPES:
            raise UnsupportedError(
                f"TFLite: {name!r} holds {graph.dtypes[name]}.",
                "Give the model numbers, and take numbers from it.",
            )
    unknown: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op not in TRANSLATIONS:
            unknown.setdefault(node.op, node)
    if unknown:
        named = ", ".join(f"{op} (node {node.name!r})" for op, node in sorted(unknown.items()))
        raise UnsupportedError(
            f"TFLite has no translation for {named}.",
            "Replace what the model uses there, or build it with --format onnx.",
        )


def open_input(compiler: Compiler, name: str) -> Tensor:
    """A tensor of the declared dtype; what comes after works on the stored one."""
    shape, dtype = compiler.shape(name), compiler.graph.dtypes[name].name
    compiler.writer.scope = name
    tensor = compiler.writer.tensor(shape, dtype)
    inside = tensor
    if dtype in STORED:
        inside = compiler.emit("CAST", [tensor], shape, dtype=STORED[dtype])
    compiler.values[name, Layout.FIRST, False] = inside
    return tensor


def close_output(compiler: Compiler, name: str, taken: set[int]) -> Tensor:
    """The output as declared, in a tensor that carries this name only."""
    tensor = compiler.value(name, Layout.FIRST, stored=False)
    dtype = compiler.graph.dtypes[name].name
    if dtype in STORED:
        return compiler.emit("CAST", [tensor], tensor.shape, dtype=dtype)
    if tensor.index in taken or tensor.index in compiler.writer.data:
        shape = compiler.writer.constant(tensor.shape)
        return compiler.emit("RESHAPE", [tensor, shape], tensor.shape, newShape=list(tensor.shape))
    return tensor
