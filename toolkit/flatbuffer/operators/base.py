"""What a translation is, and the few numbers of the schema that translations write."""

from collections.abc import Callable
from enum import IntEnum

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node

Translation = Callable[[Compiler, Node], None]


class Padding(IntEnum):
    """The schema's `Padding`."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """The schema's `ActivationFunctionType`, as far as it is fused."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3


def activation(node: Node) -> Activation:
    return Activation[node.activation or "NONE"]
