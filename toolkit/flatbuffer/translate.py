"""The way from a graph to a file: read, rewrite, translate node by node, pack."""

import math
from typing import TYPE_CHECKING

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.batch import BATCHES, Program, freed
from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.dynamic import join_dynamic
from toolkit.flatbuffer.expansion import expanded
from toolkit.flatbuffer.folding import read
from toolkit.flatbuffer.fusion import fuse
from toolkit.flatbuffer.graph import Graph, Node
from toolkit.flatbuffer.integer import propagate
from toolkit.flatbuffer.last_step import read_last_steps
from toolkit.flatbuffer.layout import Layout
from toolkit.flatbuffer.operators import TRANSLATIONS
from toolkit.flatbuffer.quantized import absorb
from toolkit.flatbuffer.serialize import serialize
from toolkit.flatbuffer.writer import STORED, Tensor

if TYPE_CHECKING:
    import onnx

DTYPES = {
    "bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32",
}  # fmt: skip


def translate(
    model: "onnx.ModelProto", job: Job, title: str = "", *, free_batch: bool = False
) -> bytes:
    """The bytes of a `.tflite` file that computes what `model` does for a batch of one.

    Inputs and outputs keep their names, shapes and dtypes. With `free_batch` it computes for one
    item until its inputs are resized to another number.

    Raises:
        UnsupportedError: an operator, or a way of using it, that TFLite has nothing for.
    """
    if free_batch:
        program = freed(*(assembled(model, job, batch) for batch in BATCHES))
    else:
        program = assembled(model, job)
    return serialize(program.writer, program.inputs, program.outputs, title)


def assembled(model: "onnx.ModelProto", job: Job, batch: int = 1) -> Program:
    """Everything that is in the file, for a batch of so many."""
    graph = read_last_steps(join_dynamic(absorb(read(expanded(model), batch))))
    graph = propagate(fuse(graph))
    refuse_unknown(graph)
    compiler = Compiler(graph)
    inputs = {name: open_input(compiler, name) for name in graph.inputs}
    for node in job.track(graph.nodes, "compile for TFLite"):
        compiler.writer.scope = node.name
        compiler.node = node
        TRANSLATIONS[node.op](compiler, node)
        refuse_missing(compiler, node)
    compiler.node = None
    compiler.writer.scope = "output"
    taken = {tensor.index for tensor in inputs.values()}
    outputs = {}
    for name in graph.outputs:
        outputs[name] = close_output(compiler, name, taken)
        taken.add(outputs[name].index)
    return Program(compiler.writer, inputs, outputs)


def refuse_unknown(graph: Graph) -> None:
    """Name what has no counterpart before any work is done."""
    for name in (*graph.inputs, *graph.outputs):
        kind = graph.dtypes[name].name if name in graph.dtypes else "no tensor"
        if kind not in DTYPES:
            raise UnsupportedError(
                f"TFLite: {name!r} holds {kind}.",
                "Give the model tensors of numbers, and take such from it.",
            )
        if math.prod(graph.shapes[name]) == 0:
            raise UnsupportedError(
                f"TFLite: {name!r} is an empty tensor.",
                "Leave it out of the model.",
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
    for node in graph.nodes:
        for name in filter(None, node.outputs):
            if math.prod(graph.shapes[name]) == 0:
                raise node.unsupported("gives an empty tensor", "Leave it out of the model.")
            if name in graph.dtypes and graph.dtypes[name].name not in DTYPES:
                raise node.unsupported(
                    f"gives {graph.dtypes[name].name}, which TFLite cannot compute on",
                    "Cast to float32 or int32 instead.",
                )


def refuse_missing(compiler: Compiler, node: Node) -> None:
    """Name an output that somebody reads and the translation does not make."""
    graph = compiler.graph
    for place, name in enumerate(node.outputs):
        read = name and (name in graph.outputs or graph.consumers.get(name))
        if read and not compiler.knows(name):
            raise node.unsupported(
                f"is asked for its output {place} ({name!r})", "Use its first output alone."
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
