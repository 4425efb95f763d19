"""Operators that look for the largest and the smallest."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.writer import Tensor

INT32 = 2  # the schema's TensorType


def arg(compiler: Compiler, node: Node) -> None:
    """Of equals the first; to find the last, from behind."""
    x = compiler.take(node)
    axis = node.attributes.get("axis", 0) % len(x.shape)
    code = {"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}[node.op]
    if node.attributes.get("select_last_index"):
        backwards = compiler.emit("REVERSE_V2", [x, compiler.writer.constant((axis,))], x.shape)
        found = place(compiler, code, backwards, axis)
        found = compiler.compute("SUB", x.shape[axis] - 1, found)
    else:
        found = place(compiler, code, x, axis)
    compiler.give(node, compiler.reshape(found, compiler.shape(node.outputs[0])))


def place(compiler: Compiler, code: str, x: Tensor, axis: int) -> Tensor:
    """The index along `axis`, which falls away."""
    shape = [size for at, size in enumerate(x.shape) if at != axis]
    at = compiler.writer.constant(np.array(axis, np.int32))
    return compiler.emit(code, [x, at], shape, dtype="int32", outputType=INT32)


def top_k(compiler: Compiler, node: Node) -> None:
    """TFLite's runs along the last axis and finds the largest; the smallest are found negated."""
    count = compiler.constant_input(node, 1)
    if count is None:
        raise node.unsupported("lacks its count", "Export the model again.")
    x = compiler.take(node)
    rank = len(x.shape)
    axis = node.attributes.get("axis", -1) % rank
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    smallest = not node.attributes.get("largest", 1)
    x = compiler.transpose(x, swap)
    turned = compiler.compute("NEG", x) if smallest else x
    shape = (*turned.shape[:-1], int(count.item()))
    values = compiler.writer.tensor(shape, turned.dtype)
    places = compiler.writer.tensor(shape, "int32")
    size = compiler.writer.constant(np.array(count.item(), np.int32))
    compiler.writer.append("TOPK_V2", [turned, size], [values, places])
    back = compiler.compute("NEG", values) if smallest else values
    for output, found in enumerate((back, places)):
        if output < len(node.outputs) and node.outputs[output]:
            compiler.give(node, compiler.transpose(found, swap), output=output)


def hardmax(compiler: Compiler, node: Node) -> None:
    """One where the first of the largest is."""
    x = compiler.take(node)
    rank = len(x.shape)
    axis = node.attributes.get("axis", -1) % rank
    found = place(compiler, "ARG_MAX", x, axis)
    hot = one_hot(compiler, found, x.shape[axis], axis)
    compiler.give(node, compiler.cast(hot, x.dtype))


def one_hot(compiler: Compiler, places: Tensor, size: int, axis: int) -> Tensor:
    """Floats, with a new axis before `axis`."""
    shape = (*places.shape[:axis], size, *places.shape[axis:])
    inputs = [np.array(size, np.int32), np.ones((), np.float32), np.zeros((), np.float32)]
    constants = [compiler.writer.constant(np.asarray(value)) for value in inputs]
    return compiler.emit("ONE_HOT", [places, *constants], shape, dtype="float32", axis=axis)


def one_hot_of(compiler: Compiler, node: Node) -> None:
    """Indices below zero count from the end; those out of range are nowhere."""
    depth, values = compiler.constant_input(node, 1), compiler.constant_input(node, 2)
    if depth is None or values is None:
        raise node.unsupported("lacks its inputs", "Export the model again.")
    size = int(depth.item())
    places = compiler.cast(compiler.take(node), "int32")
    below = compiler.compute("LESS", places, 0, dtype="bool")
    places = compiler.compute("SELECT_V2", below, compiler.compute("ADD", places, size), places)
    axis = node.attributes.get("axis", -1) % (len(places.shape) + 1)
    hot = compiler.cast(one_hot(compiler, places, size, axis), "bool")
    off, on = (compiler.writer.constant(np.array(value)) for value in values)
    result = compiler.compute("SELECT_V2", hot, on, off)
    compiler.give(node, compiler.cast(result, compiler.dtype(node.outputs[0])))


TRANSLATIONS: Mapping[str, Translation] = {
    "ArgMax": arg,
    "ArgMin": arg,
    "Hardmax": hardmax,
    "OneHot": one_hot_of,
    "TopK": top_k,
}
