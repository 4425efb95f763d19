"""Operators of ai.onnx.ml as standard ones, where that takes a few: then any runtime has them.

Trees stay as they are: see `toolkit.foreign.trees`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.onnx_graph import attribute

ML = "ai.onnx.ml"
CLASSES = ("classlabels_ints", "classlabels_int64s", "classlabels_strings")
Rule = Callable[["Rewrite", Any], bool]
RULES: dict[str, Rule] = {}


def rule(op: str) -> Callable[[Rule], Rule]:
    """Register what replaces an operator; it gives False where it cannot."""

    def register(function: Rule) -> Rule:
        RULES[op] = function
        return function

    return register


class Rewrite:
    """The nodes and weights that take the place of one node."""

    def __init__(self, node: Any, producers: dict[str, Any], stored: dict[str, Any]) -> None:
        self.stem = node.output[-1]
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.producers, self.known = producers, stored

    def keep(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        self.stored.append(
            numpy_helper.from_array(np.asarray(values, dtype), f"{self.stem}.{name}")
        )
        return f"{self.stem}.{name}"

    def add(self, op: str, *inputs: str, output: str = "", **given: Any) -> str:
        from onnx import helper

        made = output or f"{self.stem}/{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [made], name=made, **given))
        return made


def plain(model: Any) -> Any:
    """The same model with standard operators where a rule has them; outputs keep their names."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    producers = {name: node for node in graph.node for name in node.output}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    used = {name for node in graph.node for name in node.input}
    used |= {value.name for value in graph.output}
    nodes: list[Any] = []
    for node in graph.node:
        new = Rewrite(node, producers, stored)
        several = [name for name in node.output[:-1] if name in used]  # the label of a class
        fits = node.domain == ML and node.op_type in RULES and not several
        if fits and RULES[node.op_type](new, node):
            nodes.extend(new.nodes)
            graph.initializer.extend(new.stored)
            producers.update({one.output[0]: one for one in new.nodes})
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return made


@rule("LinearClassifier")
def linear_classifier(new: Rewrite, node: Any) -> bool:
    after = attribute(node, "post_transform", "NONE")
    classes = max(len(attribute(node, name, [])) for name in CLASSES)
    bias = attribute(node, "intercepts", [])
    if after not in {"NONE", "LOGISTIC", "SOFTMAX"} or len(bias) != classes:
        return False
    scores = "" if after != "NONE" else node.output[1]
    made = product(new, node, len(bias), scores)
    if after == "LOGISTIC":
        new.add("Sigmoid", made, output=node.output[1])
    if after == "SOFTMAX":
        new.add("Softmax", made, output=node.output[1], axis=1)
    return True


@rule("LinearRegressor")
def linear_regressor(new: Rewrite, node: Any) -> bool:
    if attribute(node, "post_transform", "NONE") != "NONE":
        return False
    product(new, node, attribute(node, "targets", 1), node.output[0])
    return True


def product(new: Rewrite, node: Any, rows: int, output: str) -> str:
    weights = np.asarray(attribute(node, "coefficients", []), np.float32).reshape(rows, -1)
    bias = attribute(node, "intercepts", []) or [0.0] * rows
    kept = (new.keep("weight", weights), new.keep("bias", bias))
    return new.add("Gemm", node.input[0], *kept, output=output, transB=1)


@rule("Scaler")
def scaler(new: Rewrite, node: Any) -> bool:
    offset = new.keep("offset", attribute(node, "offset", [0.0]))
    scale = new.keep("scale", attribute(node, "scale", [1.0]))
    new.add("Mul", new.add("Sub", node.input[0], offset), scale, output=node.output[0])
    return True


@rule("Normalizer")
def normalizer(new: Rewrite, node: Any) -> bool:
    """Shares to a sum of one: those of a softmax have it already."""
    source = new.producers.get(node.input[0])
    if attribute(node, "norm", "MAX") != "L1" or source is None:
        return False
    if source.op_type == "Softmax":
        new.add("Identity", node.input[0], output=node.output[0])
        return True
    if source.op_type != "Sigmoid":
        return False
    total = new.add("ReduceSum", node.input[0], new.keep("axes", [1], np.int64), keepdims=1)
    new.add("Div", node.input[0], total, output=node.output[0])
    return True


@rule("Imputer")
def imputer(new: Rewrite, node: Any) -> bool:
    """Only a missing value differs from itself."""
    values = attribute(node, "imputed_value_floats", [])
    if not len(values) or not np.isnan(attribute(node, "replaced_value_float", 0.0)):
        return False
    [taken] = node.input
    there = new.add("Equal", taken, taken)
    new.add("Where", there, taken, new.keep("values", values), output=node.output[0])
    return True


@rule("OneHotEncoder")
def one_hot(new: Rewrite, node: Any) -> bool:
    """A category is its number exactly, as in the library; ONNX would cut off fractions."""
    known = attribute(node, "cats_int64s", [])
    if not len(known) or not attribute(node, "zeros", 1):
        return False
    places = new.add("Unsqueeze", node.input[0], new.keep("axes", [-1], np.int64))
    source = new.producers.get(node.input[0])
    if source is not None and source.op_type == "Cast":  # to whole numbers
        places = new.add("Cast", places, to=1)
    same = new.add("Equal", places, new.keep("categories", known))
    new.add("Cast", same, output=node.output[0], to=1)
    return True


@rule("ArrayFeatureExtractor")
def columns(new: Rewrite, node: Any) -> bool:
    from onnx import numpy_helper

    indices = new.known.get(node.input[1])
    if indices is None:
        return False
    flat = numpy_helper.to_array(indices).reshape(-1)
    new.add("Gather", node.input[0], new.keep("columns", flat, np.int64), output=node.output[0],
            axis=-1)  # fmt: skip
    return True
