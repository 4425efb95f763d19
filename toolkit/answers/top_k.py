"""The few best classes."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.answers.base import Answer, Nodes, named


class TopK(Answer):
    """The largest scores and the numbers of their classes, best first: two outputs for one."""

    k: Annotated[int, Field(ge=1, description="How many classes.")] = 3

    def attach(self, nodes: Nodes, given: Signature) -> Signature:
        first = self.per_class(given)
        if self.k > first.shape[1]:
            raise UnsupportedError(
                f"The model has {first.shape[1]} classes, and the best {self.k} are asked for.",
                f"Set k to {first.shape[1]} or less.",
            )
        count = nodes.constant(np.array([self.k], np.int64), "k")
        shares, places = nodes.add("TopK", [first.name, count], "top_shares", "top_places", axis=1)
        # 64 bits would be a type of their own in browsers
        labels = nodes.cast(places, "int32", "top_labels")
        outputs = (
            replace(first, name=shares, shape=(-1, self.k), columns=()),
            TensorSpec(labels, (-1, self.k), "int32", meaning=named(given.labels)),
        )
        return replace(given, outputs=(*outputs, *given.outputs[1:]), labels=())
