"""A graph while it is rewritten: values by name, stored arrays, nodes in order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_graph import parse, written

Array = NDArray[Any]
FLOAT32 = 1  # onnx.TensorProto.FLOAT, without loading onnx


class Draft:
    """Built on a copy: the bytes it came from stay as they are.

    Attributes:
        nodes: in order of execution; replace the list to rewrite the graph.
        tensors: stored arrays by name, as the file holds them.
    """

    def __init__(self, graph: bytes) -> None:
        self.model = parse(graph)
        self.nodes: list[Any] = [copied(node) for node in self.model.graph.node]
        self.tensors: dict[str, Any] = {
            tensor.name: copied(tensor) for tensor in self.model.graph.initializer
        }
        self.inputs = [v.name for v in self.model.graph.input if v.name not in self.tensors]
        self.outputs = [value.name for value in self.model.graph.output]

    def array(self, name: str) -> Array:
        """A stored array, for reading."""
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.tensors[name]))

    def scalar(self, name: str) -> float | None:
        """A stored single number; None when it is anything else."""
        if name not in self.tensors or self.array(name).size != 1:
            return None
        return float(self.array(name).item())

    def store(self, name: str, array: Array) -> str:
        """Keep an array, also over an older one of this name; the name back."""
        from onnx import numpy_helper

        self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        if not np.ndim(array):  # ascontiguousarray makes a row of a scalar
            del self.tensors[name].dims[:]
        return name

    def store_int4(self, name: str, codes: Array) -> str:
        """Two codes a byte."""
        from onnx import TensorProto, helper, numpy_helper

        dtype = helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
        self.tensors[name] = numpy_helper.from_array(codes.astype(dtype), name)
        self.need_opset(21)
        return name

    def need_opset(self, version: int) -> None:
        """Raise the graph's opset: newer ones only take more, as far as it is written here."""
        for opset in self.model.opset_import:
            if opset.domain in {"", "ai.onnx"}:
                opset.version = max(opset.version, version)
        if version > 20:
            self.model.ir_version = max(self.model.ir_version, 10)

    def producers(self) -> dict[str, Any]:
        return {name: node for node in self.nodes for name in node.output if name}

    def readers(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name:
                    found.setdefault(name, []).append(node)
        return found

    def finish(self) -> bytes:
        """The graph as bytes, without stored arrays that nobody reads."""
        used = {name for node in self.nodes for name in every_input(node)} | set(self.outputs)
        graph = self.model.graph
        nodes = [copied(node) for node in self.nodes]  # clearing a field ends what it held
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(t for name, t in self.tensors.items() if name in used)
        return written(self.model)


def every_input(node: Any) -> Sequence[str]:
    """What a node reads, its branches and bodies included."""
    names = list(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for child in inner.node:
                names += every_input(child)
            names += [value.name for value in inner.output]
    return names


def copied(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **given: Any) -> Any:
    from onnx import helper

    return helper.make_node(op, list(inputs), list(outputs), name=name, **given)


def set_attribute(message: Any, name: str, value: Any) -> None:
    from onnx import helper

    kept = [copied(given) for given in message.attribute if given.name != name]
    del message.attribute[:]
    message.attribute.extend([*kept, helper.make_attribute(name, value)])


def rename_input(message: Any, old: str, new: str) -> None:
    for index, name in enumerate(message.input):
        if name == old:
            message.input[index] = new
