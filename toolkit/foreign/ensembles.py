"""Sums of decision trees as one ONNX node, and what turns a sum into an answer.

Whether `x < t` or `x <= t` goes left, and where a missing value goes, differs between libraries;
thresholds in double precision are rounded so that every x in single precision goes the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.foreign.tables import INPUT
from toolkit.onnx_graph import BATCH, IR_VERSION, OPSET

ML_OPSET = 3
RAW = "raw"
Step = tuple[str, str, str, dict[str, int]]  # operator, inputs, output, attributes
ENDS: dict[str, tuple[list[Step], str]] = {  # what becomes of the sums, and its name
    "": ([("Identity", RAW, "prediction", {})], "prediction"),
    "each_share": ([("Sigmoid", RAW, "probabilities", {})], "probabilities"),
    "exp": ([("Exp", RAW, "prediction", {})], "prediction"),
    "scores": ([("Mul", f"{RAW} ways", "scores", {})], "scores"),
    "shares": ([("Softmax", RAW, "probabilities", {"axis": 1})], "probabilities"),
    "sigmoid": ([("Sigmoid", RAW, "prediction", {})], "prediction"),
    "two_shares": (
        [("Mul", f"{RAW} ways", "both", {}), ("Sigmoid", "both", "probabilities", {})],
        "probabilities",
    ),
}


@dataclass(frozen=True)
class Tree:
    """One tree, its nodes side by side; the root is node 0.

    Attributes:
        left: node where the comparison holds; -1 at a leaf.
        right: node where it does not.
        feature: column that is compared.
        threshold: that it is compared with.
        missing_left: whether a missing value goes left.
        value: that a leaf adds.
        target: output it is added to.
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[Any]
    missing_left: NDArray[Any]
    value: NDArray[Any]
    target: int = 0

    @property
    def splits(self) -> NDArray[Any]:
        return self.left >= 0

    def times(self, factor: float) -> "Tree":
        return replace(self, value=self.value * factor)

    def fits(self, columns: int) -> bool:
        """Whether its nodes are a tree over so many columns: each but the root has one parent."""
        splits = self.splits
        below = np.concatenate([self.left[splits], self.right[splits]])
        count = len(self.left)
        single = len(below) == count - 1 and len(np.unique(below)) == len(below)
        later = (self.left[splits] > 0).all() and (self.right[splits] > 0).all()
        inside = ((below > 0) & (below < count)).all()
        known = ((self.feature[splits] >= 0) & (self.feature[splits] < columns)).all()
        return bool(single and later and inside and known)


@dataclass(frozen=True)
class Ensemble:
    """Trees, what their sum starts from, and what becomes of it.

    Attributes:
        mode: `BRANCH_LT` or `BRANCH_LEQ`.
        base: a number for each output.
        after: a key of `ENDS`.
    """

    trees: tuple[Tree, ...]
    mode: str
    base: tuple[float, ...]
    after: str = ""

    @property
    def outputs(self) -> int:
        return 2 if self.after in {"two_shares", "scores"} else len(self.base)

    @property
    def labels(self) -> tuple[str, ...]:
        known = self.after in {"each_share", "shares", "two_shares", "scores"}
        return tuple(str(i) for i in range(self.outputs)) if known else ()

    def pools(self) -> dict[int, NDArray[Any]]:
        """The thresholds of every column."""
        found: dict[int, list[Any]] = {}
        for tree in self.trees:
            for column, threshold in zip(
                tree.feature[tree.splits], tree.threshold[tree.splits], strict=True
            ):
                found.setdefault(int(column), []).append(threshold)
        return {column: np.asarray(numbers) for column, numbers in found.items()}

    def graph(self, columns: int) -> tuple[str, Any]:
        """The name of the output, and the graph."""
        from onnx import helper

        node = helper.make_node(
            "TreeEnsembleRegressor", [INPUT], [RAW], name="trees", domain="ai.onnx.ml",
            n_targets=len(self.base), base_values=list(self.base),
            **attributes(self.trees, self.mode),
        )  # fmt: skip
        return whole([node], self.after, columns)


def whole(nodes: list[Any], after: str, columns: int) -> tuple[str, Any]:
    """A graph from the input to the answer, given the nodes that make the raw sums."""
    from onnx import TensorProto, helper, numpy_helper

    steps, output = ENDS[after]
    made = [helper.make_node(op, taken.split(), [name], name=name, **given)
            for op, taken, name, given in steps]  # fmt: skip
    ways = numpy_helper.from_array(np.array([[-1, 1]], np.float32), "ways")
    used = [ways] if after in {"two_shares", "scores"} else []
    graph = helper.make_graph(
        [*nodes, *made],
        "imported",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, columns])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [BATCH, None])],
        used,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return output, helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def attributes(trees: Sequence[Tree], mode: str) -> dict[str, Any]:
    """All nodes of all trees, as lists that run side by side."""
    splits = np.concatenate([tree.splits for tree in trees])
    counts = [len(tree.left) for tree in trees]
    ids = np.repeat(np.arange(len(trees)), counts)
    places = np.concatenate([np.arange(count) for count in counts])
    targets = np.repeat([tree.target for tree in trees], counts)

    def side(name: str, leaf: float = 0) -> NDArray[Any]:
        """One attribute of every node; `leaf` where a leaf has none."""
        return np.where(splits, np.concatenate([getattr(tree, name) for tree in trees]), leaf)

    thresholds = rounded(side("threshold"), mode)
    return {
        "nodes_treeids": ids.tolist(),
        "nodes_nodeids": places.tolist(),
        "nodes_featureids": side("feature").astype(int).tolist(),
        "nodes_modes": np.where(splits, mode, "LEAF").tolist(),
        "nodes_values": thresholds.tolist(),
        "nodes_truenodeids": side("left").astype(int).tolist(),
        "nodes_falsenodeids": side("right").astype(int).tolist(),
        "nodes_missing_value_tracks_true": side("missing_left").astype(int).tolist(),
        "target_treeids": ids[~splits].tolist(),
        "target_nodeids": places[~splits].tolist(),
        "target_ids": targets[~splits].astype(int).tolist(),
        "target_weights": np.concatenate([tree.value for tree in trees])[~splits].tolist(),
    }


def rounded(numbers: NDArray[Any], mode: str) -> NDArray[Any]:
    """Thresholds in single precision: down for `x <= t`, up for `x < t`."""
    wanted = np.asarray(numbers, np.float64)
    with np.errstate(over="ignore"):
        near = wanted.astype(np.float32)
    wrong, way = (near > wanted, -np.inf) if mode == "BRANCH_LEQ" else (near < wanted, np.inf)
    return np.where(wrong, np.nextafter(near, np.float32(way)), near).astype(np.float32)
