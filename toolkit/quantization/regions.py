"""Which values of a graph are held as integers, and which of them share a scale.

What quantized layers take and give is. What only moves such values gives them on with the same
scale; sums, products and averages join in when all they take is held so. Between a layer and
the activation right behind it nothing is: kernels do both at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.quantization.draft import Draft
from toolkit.quantization.plan import LayerPlan, is_feature, weighted_layers

MOVES = {
    "DepthToSpace", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice",
    "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Give back values that they took: the output is stored as the input is."""

JOINS = {
    "Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "ReduceMean",
    "Relu",
}  # fmt: skip
"""Have int8 kernels; a pair around one saves the way to floats and back."""

SEVERAL = {"Add", "Concat", "Mul"}  # all inputs are data
FUSES = {"Conv", "Gemm", "MatMul", "Add", "Mul"}  # take an activation in


@dataclass(frozen=True)
class Held:
    """A value held as integers.

    Attributes:
        root: the value whose range it has; itself unless it was only moved.
        bits: 8 or 16.
        layer: who made it, or for what nobody quantized made, who reads it first; may be empty.
        inside: whether an integer kernel makes it; then all its readers read the integers.
    """

    root: str
    bits: int
    layer: str
    inside: bool


@dataclass
class Regions:
    """Worked out node by node, in the order of execution.

    Attributes:
        held: the values held as integers.
        ends: the first output of a node -> that of the activation its kernel takes in.
        integer: first outputs of the nodes that compute on integers.
        fused: outputs of the activations that were taken in.
    """

    draft: Draft
    plan: Mapping[str, LayerPlan]
    held: dict[str, Held] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    integer: set[str] = field(default_factory=set)
    fused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.readers = self.draft.readers()
        self.layers = {
            str(layer.node.output[0]): layer.name for layer in weighted_layers(self.draft)
        }
        for node in self.draft.nodes:
            self.take(node)
        self.settle_bits()

    def take(self, node: Any) -> None:
        first = next(iter(node.output), "")
        if first in self.fused:
            return
        if self.bits_of(self.layers.get(first, "")):
            self.take_layer(node, self.layers[first])
        elif node.op_type in MOVES and node.input[0] in self.held:
            self.held[first] = replace(self.held[node.input[0]], inside=True)
            self.integer.add(first)
        elif node.op_type in JOINS and self.joins(node):
            end = self.end_of(node) if node.op_type in FUSES else first
            self.held[end] = Held(end, 8, "", inside=True)
            self.integer.add(first)

    def bits_of(self, layer: str) -> int:
        return self.plan[layer].activations if layer in self.plan else 0

    def take_layer(self, node: Any, layer: str) -> None:
        bits, source, end = self.bits_of(layer), node.input[0], self.end_of(node)
        if source not in self.held:
            self.held[source] = Held(source, bits, layer, inside=False)
        self.held[end] = Held(end, bits, layer, inside=True)
        self.integer.add(node.output[0])

    def joins(self, node: Any) -> bool:
        data = self.data_inputs(node)
        flowing = [name for name in data if name not in self.draft.tensors]
        if not flowing or any(is_feature(name) for name in node.input):
            return False
        return all(name in self.held for name in flowing)

    def data_inputs(self, node: Any) -> list[str]:
        return [n for n in (node.input if node.op_type in SEVERAL else node.input[:1]) if n]

    def end_of(self, node: Any) -> str:
        """The output of the activation that a kernel does together with the node."""
        name = str(node.output[0])
        reader = self.only_reader(name)
        if node.op_type == "MatMul" and reader and self.adds_bias(reader):
            self.fused.add(reader.output[0])
            name = str(reader.output[0])
            reader = self.only_reader(name)
        if reader and self.is_activation(reader):
            self.fused.add(reader.output[0])
            name = str(reader.output[0])
        self.ends[node.output[0]] = name
        return name

    def only_reader(self, name: str) -> Any | None:
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.draft.outputs else None

    def adds_bias(self, node: Any) -> bool:
        stored = [name for name in node.input if name in self.draft.tensors]
        return (
            node.op_type == "Add"
            and len(stored) == 1
            and (len([d for d in self.draft.tensors[stored[0]].dims if d > 1]) <= 1)
        )

    def is_activation(self, node: Any) -> bool:
        if node.op_type == "Relu":
            return True
        bounds = [name for name in node.input[1:] if name]
        return node.op_type == "Clip" and all(name in self.draft.tensors for name in bounds)

    def settle_bits(self) -> None:
        """A value has 16 bits when who makes it, or anybody who reads it, asks for them."""
        wide = {held.root for name, held in self.held.items() if self.wants_wide(name, held)}
        for node in self.draft.nodes:  # what is made of 16 bits is not cut to 8
            first = next(iter(node.output), "")
            end = self.ends.get(first, first)
            if node.op_type not in JOINS or first not in self.integer:
                continue
            if any(self.held[n].root in wide for n in self.data_inputs(node) if n in self.held):
                wide.add(self.held[end].root)
        for name, held in self.held.items():
            self.held[name] = replace(held, bits=16 if held.root in wide else 8)

    def wants_wide(self, name: str, held: Held) -> bool:
        reading = [self.layers.get(node.output[0], "") for node in self.readers.get(name, [])]
        makes = [held.layer] if held.root == name else []
        return any(self.bits_of(layer) == 16 for layer in (*reading, *makes))
