"""Tree ensembles as plain tensors, for runtimes that have no operator for trees.

The GEMM form (Nakandala et al. 2020, "A Tensor Compiler for Unified Machine Learning Prediction
Serving"): every split of every tree is decided at once; a leaf is reached when all decisions on
the way to it fell its way, which a product of zeros, ones and minus ones counts exactly.
Here every tree has its own product, so that the size grows as the trees do, and not its square.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.foreign.ensembles import Tree
from toolkit.foreign.plain import ML, Rewrite
from toolkit.onnx_graph import attribute

MOST = 1 << 22  # numbers in all products: 16 MB; a larger forest is no model for a device
Way = list[tuple[int, bool]]  # splits, and whether to their left
UNREACHED = -1e6  # the count of a leaf that is not there


@dataclass(frozen=True)
class Forest:
    """Trees with what their leaves add: (nodes, outputs) for each."""

    trees: tuple[Tree, ...]
    values: tuple[NDArray[Any], ...]
    mode: str
    base: NDArray[Any]


def with_plain_trees(model: Any) -> Any:
    """The same model with tensors in place of trees; as it is where they are too many or unusual.

    The output keeps its name. The label of a classifier must not be in use.
    """
    import onnx

    if all(node.domain != ML for node in model.graph.node):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    used = {name for node in graph.node for name in node.input}
    used |= {value.name for value in graph.output}
    nodes: list[Any] = []
    for node in graph.node:
        kind = node.op_type if node.domain == ML else ""
        free = not any(name in used for name in node.output[:-1])
        forest = forest_of(node) if kind.startswith("TreeEnsemble") and free else None
        if forest is None or size_of(forest) > MOST:
            nodes.append(node)
            continue
        new = Rewrite(node, {}, {})
        tensors(new, node, forest)
        nodes.extend(new.nodes)
        graph.initializer.extend(new.stored)
    del graph.node[:]
    graph.node.extend(nodes)
    return made


def forest_of(node: Any) -> Forest | None:
    """What the attributes of a node say, where it is nothing unusual."""
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    after = attribute(node, "post_transform", "NONE")
    modes = [mode.decode() for mode in attribute(node, "nodes_modes", [])]
    splitting = {*modes} - {"LEAF"}
    if len(splitting) > 1 or not splitting <= {"BRANCH_LEQ", "BRANCH_LT"}:
        return None
    if attribute(node, "aggregate_function", "SUM") != "SUM":
        return None
    ids = np.asarray(attribute(node, f"{kind}_ids", []), np.int64)
    labels = max(
        len(attribute(node, name, []))
        for name in ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
    )
    outputs = labels if kind == "class" else attribute(node, "n_targets", 1)
    single = kind == "class" and outputs == 2 and len(set(ids.tolist())) == 1
    if after not in {"NONE", "SOFTMAX", "LOGISTIC"} or (single and after != "LOGISTIC"):
        return None
    if single:  # the sum is that of the second class, whatever number it goes by
        ids, outputs = np.zeros_like(ids), 1
    base = np.asarray(attribute(node, "base_values", []) or [0.0] * outputs, np.float64)
    if len(base) != outputs:
        return None
    trees, values = trees_of(node, kind, ids, outputs, modes)
    mode = splitting.pop() if splitting else "BRANCH_LEQ"
    return Forest(tuple(trees), tuple(values), mode, base)


def trees_of(
    node: Any, kind: str, ids: NDArray[Any], outputs: int, modes: list[str]
) -> tuple[list[Tree], list[NDArray[Any]]]:
    """The nodes tree by tree, numbered by their place, the root first."""

    def listed(name: str, dtype: Any = np.int64) -> NDArray[Any]:
        return np.asarray(attribute(node, name, []), dtype)

    owner, number = listed("nodes_treeids"), listed("nodes_nodeids")
    left, right = listed("nodes_truenodeids"), listed("nodes_falsenodeids")
    feature, threshold = listed("nodes_featureids"), listed("nodes_values", np.float32)
    missing = listed("nodes_missing_value_tracks_true")
    missing = missing if len(missing) == len(owner) else np.zeros_like(owner)
    leaf = np.array([mode == "LEAF" for mode in modes])
    whose, where = listed(f"{kind}_treeids"), listed(f"{kind}_nodeids")
    weights = listed(f"{kind}_weights", np.float64)
    trees, values = [], []
    for one in np.unique(owner):
        own = np.flatnonzero(owner == one)
        place = {int(number[index]): order for order, index in enumerate(own)}

        def side(children: NDArray[Any], own: Any = own, place: Any = place) -> NDArray[Any]:
            return np.array([-1 if leaf[i] else place[int(children[i])] for i in own])

        added = np.zeros((len(own), outputs))
        for index in np.flatnonzero(whose == one):
            added[place[int(where[index])], ids[index]] += weights[index]
        trees.append(
            Tree(side(left), side(right), feature[own], threshold[own], missing[own] > 0,
                 np.zeros(len(own)))
        )  # fmt: skip
        values.append(added)
    return trees, values


def size_of(forest: Forest) -> int:
    """Numbers in the products, all trees as large as the largest."""
    splits = max(int(tree.splits.sum()) for tree in forest.trees)
    return len(forest.trees) * max(splits, 1) * (splits + 1)


def tensors(new: Rewrite, node: Any, forest: Forest) -> None:
    """Compare, count, look up."""
    count = len(forest.trees)
    splits = max(max(int(tree.splits.sum()) for tree in forest.trees), 1)
    leaves = splits + 1
    features = np.zeros((count, splits), np.int64)
    thresholds = np.zeros((count, splits), np.float32)
    missing = np.zeros((count, splits), bool)
    ways = np.zeros((count, splits, leaves), np.float32)
    lefts = np.full((count, 1, leaves), UNREACHED, np.float32)
    added = np.zeros((count, leaves, len(forest.base)), np.float32)
    for index, (tree, values) in enumerate(zip(forest.trees, forest.values, strict=True)):
        inner = np.flatnonzero(tree.splits)
        features[index, : len(inner)] = tree.feature[inner]
        thresholds[index, : len(inner)] = tree.threshold[inner]
        missing[index, : len(inner)] = tree.missing_left[inner]
        for leaf, (place, way) in enumerate(ways_of(tree)):
            for split, went_left in way:
                ways[index, np.searchsorted(inner, split), leaf] = 1 if went_left else -1
            lefts[index, 0, leaf] = sum(went_left for _, went_left in way)
            added[index, leaf] = values[place]
    taken = new.add(
        "Gather", node.input[0], new.keep("columns", features.ravel(), np.int64), axis=1
    )
    compare = "LessOrEqual" if forest.mode == "BRANCH_LEQ" else "Less"
    decided = new.add(compare, taken, new.keep("thresholds", thresholds.ravel()))
    if missing.any():  # only a missing value differs from itself
        gone = new.add("Not", new.add("Equal", taken, taken))
        turned = new.add("And", gone, new.keep("missing_left", missing.ravel(), bool))
        decided = new.add("Or", decided, turned)
    rows = new.add("Reshape", new.add("Cast", decided, to=1),
                   new.keep("by_tree", [-1, count, 1, splits], np.int64))  # fmt: skip
    counts = new.add("MatMul", rows, new.keep("ways", ways))
    reached = new.add("Cast", new.add("Equal", counts, new.keep("lefts", lefts)), to=1)
    flat = new.add("Reshape", reached, new.keep("flat", [-1, count * leaves], np.int64))
    finish(new, node, flat, added.reshape(count * leaves, -1), forest.base)


def finish(new: Rewrite, node: Any, flat: str, added: NDArray[Any], base: NDArray[Any]) -> None:
    after, output = attribute(node, "post_transform", "NONE"), node.output[-1]
    two = node.op_type == "TreeEnsembleClassifier" and len(base) == 1
    if two:  # of one sum both shares: sigmoid(-sum), sigmoid(sum)
        added, base = added @ np.array([[-1, 1]], np.float32), base * np.array([-1, 1])
    words = (new.keep("leaf.weight", added.T), new.keep("leaf.bias", base))
    made = new.add("Gemm", flat, *words, transB=1, output=output if after == "NONE" else "")
    if after == "SOFTMAX":
        new.add("Softmax", made, output=output, axis=1)
    if after == "LOGISTIC":
        new.add("Sigmoid", made, output=output)


def ways_of(tree: Tree) -> list[tuple[int, Way]]:
    """Every leaf with the splits on the way to it, and whether it lies to their left."""
    below = {*tree.left[tree.splits].tolist(), *tree.right[tree.splits].tolist()}
    [root] = [place for place in range(len(tree.left)) if place not in below]
    found: list[tuple[int, Way]] = []
    waiting: list[tuple[int, Way]] = [(root, [])]
    while waiting:
        place, way = waiting.pop()
        if tree.left[place] < 0:
            found.append((place, way))
            continue
        waiting.append((int(tree.left[place]), [*way, (place, True)]))
        waiting.append((int(tree.right[place]), [*way, (place, False)]))
    return found
