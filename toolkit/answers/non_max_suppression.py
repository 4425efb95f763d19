"""Of many boxes around one thing, the best (greedy, class by class; Felzenszwalb et al. 2010).

The graph's own operator gives as many boxes as it finds, and no device likes a size that changes.
So what it keeps is marked among all scores, and of these a fixed number of the best is taken.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.answers.base import Answer, Nodes


class NonMaxSuppression(Answer):
    """Boxes that are not another's double, best first, a fixed number of them; ONNX alone."""

    boxes: Annotated[
        str, Field(description="Name of the output with boxes, of shape (N, M, 4).")
    ] = "boxes"
    scores: Annotated[str, Field(description="Name of that with scores, of shape (N, C, M).")] = (
        "scores"
    )
    most: Annotated[int, Field(ge=1, description="How many boxes come out.")] = 100
    overlap: Annotated[
        float, Field(ge=0, le=1, description="Shared area over joint area that makes a double.")
    ] = 0.5
    least: Annotated[
        float, Field(ge=0, description="Boxes with a score up to this are none; no less than 0.")
    ] = 0.05
    centre: Annotated[
        bool, Field(description="Boxes are (x, y, width, height), not (y, x, y, x) of corners.")
    ] = False

    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        boxes, scores = (self.output(given, name) for name in (self.boxes, self.scores))
        fits = len(boxes.shape) == len(scores.shape) == 3 and boxes.shape[2] == 4
        if not fits or boxes.shape[1] != scores.shape[2]:
            raise UnsupportedError(
                f"{boxes.name} of shape {list(boxes.shape)} and {scores.name} of shape "
                f"{list(scores.shape)} are no boxes (N, M, 4) with scores (N, C, M).",
                "Name the outputs with boxes= and scores=, or export the model so.",
            )
        _, classes, count = scores.shape
        best, places = self.ranked(nodes, boxes.name, scores.name, classes * count)
        each = nodes.constant(np.array(count, np.int64), "boxes_of_a_class")
        last = nodes.constant(np.array([-1], np.int64), "last_axis")
        place = nodes.one("Mod", [places, each], "place")
        rows = nodes.one("Unsqueeze", [place, last], "rows")
        picked = nodes.one("GatherND", [boxes.name, rows], "picked", batch_dims=1)
        there = nodes.one("Greater", [best, nodes.constant(np.float32(0), "none")], "there")
        beside = nodes.one("Unsqueeze", [there, last], "there_too")
        blank = nodes.constant(np.float32(0), "blank")
        kind = nodes.one("Div", [places, each], "kind")
        nothing = nodes.constant(np.array(-1, np.int64), "nothing")
        kinds = nodes.one("Where", [there, kind, nothing], "kinds")
        found = nodes.one("Where", [beside, picked, blank], "best_boxes")
        labels = nodes.cast(kinds, "int32", "best_labels")
        most = min(self.most, classes * count)
        others = [spec for spec in given.outputs if spec not in (boxes, scores)]
        return replace(
            given,
            outputs=(
                replace(boxes, name=found, shape=(-1, most, 4)),
                replace(scores, name=best, shape=(-1, most), meaning="score; 0 where no box is"),
                TensorSpec(labels, (-1, most), "int32", meaning="class; -1 where no box is"),
                *others,
            ),
            labels=(),
        )

    def output(self, given: Signature, name: str) -> TensorSpec:
        for spec in given.outputs:
            if spec.name == name:
                return spec
        known = ", ".join(spec.name for spec in given.outputs)
        raise UnsupportedError(
            f"The model has no output {name!r}.", f"Name those with boxes= and scores=: {known}."
        )

    def ranked(self, nodes: Nodes, boxes: str, scores: str, count: int) -> list[str]:
        """The best scores of an item that are left, and their places among all; zeros behind."""
        limits = [
            nodes.constant(np.array([self.most], np.int64), "most"),
            nodes.constant(np.array([self.overlap], np.float32), "overlap"),
            nodes.constant(np.array([self.least], np.float32), "least"),
        ]
        kept = nodes.one(
            "NonMaxSuppression",
            [boxes, scores, *limits],
            "kept",
            center_point_box=int(self.centre),
        )
        values = nodes.one("GatherND", [scores, kept], "kept_scores")
        shape = nodes.one("Shape", [scores], "shape")
        zeros = nodes.one("ConstantOfShape", [shape], "zeros")
        marked = nodes.one("ScatterND", [zeros, kept, values], "marked")
        row = nodes.constant(np.array([-1, count], np.int64), "row")
        flat = nodes.one("Reshape", [marked, row], "flat")
        most = nodes.constant(np.array([min(self.most, count)], np.int64), "best")
        return nodes.add("TopK", [flat, most], "best_scores", "places", axis=1)
