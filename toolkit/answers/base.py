"""What an answer step is: nodes at the end of a graph, and what the graph gives then."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.registry import Registry
from toolkit.onnx_graph import nodes_of


class Nodes:
    """A graph that is added to, at its end, under names that it does not have yet."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.taken = {value.name for value in [*graph.input, *graph.output]}
        self.taken |= {tensor.name for tensor in graph.initializer}
        for node in nodes_of(graph):
            self.taken |= {node.name, *node.input, *node.output}

    def name(self, wanted: str) -> str:
        """`wanted`, or with a number behind where that is taken."""
        found, count = wanted, 1
        while found in self.taken:
            count += 1
            found = f"{wanted}_{count}"
        self.taken.add(found)
        return found

    def constant(self, values: Any, name: str) -> str:
        from onnx import numpy_helper

        found = self.name(name)
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values), found))
        return found

    def add(self, op: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> list[str]:
        """A node; the names that its outputs got."""
        from onnx import helper

        given = [self.name(output) for output in outputs]
        name = self.name(f"{op}_{given[0]}")
        self.graph.node.append(helper.make_node(op, inputs, given, name=name, **attributes))
        return given

    def one(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node with one output; that output's name."""
        return self.add(op, inputs, output, **attributes)[0]

    def cast(self, value: str, dtype: str, output: str) -> str:
        from onnx import helper

        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.one("Cast", [value], output, to=to)

    def maker(self, value: str) -> Any:
        """The node that gives a value; None for an input."""
        return next((node for node in self.graph.node if value in node.output), None)


class Answer(BaseModel, ABC):
    """Turns what a network gives into what is asked for, so that no device has to do it by hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        """Add the step behind what the graph gives; what it gives then.

        Raises:
            UnsupportedError: the graph gives nothing that the step can take.
        """

    def per_class(self, given: Signature) -> TensorSpec:
        """The first output, where it is one number a class.

        Raises:
            UnsupportedError: it is not.
        """
        first = given.outputs[0]
        if len(first.shape) != 2 or first.shape[1] < 1 or first.dtype != "float32":
            raise UnsupportedError(
                f"{Registry.name_of(self)} takes one number a class; {first.name} is "
                f"{first.dtype} of shape {list(first.shape)}.",
                "Put it behind a model that gives shares or scores of classes.",
            )
        return first


def named(labels: Sequence[str]) -> str:
    """What a class's number stands for, for a person."""
    known = ", ".join(f"{i} {label}" for i, label in enumerate(labels[:20]))
    more = ", …" if len(labels) > 20 else ""
    return f"class: {known}{more}" if labels else "class"
