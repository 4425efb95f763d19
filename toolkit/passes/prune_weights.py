"""Unstructured and 2:4 pruning: single weights become zero.

Han et al. 2015, arXiv:1506.02626; Mishra et al. 2021, arXiv:2104.08378.

The file keeps its size and most engines multiply by zero as by anything else: what shrinks is
the zip, an update, a web page. Engines with sparse kernels want 2:4.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.passes.base import Pass
from toolkit.training.finetuning import Epochs, LearningRate, Seed, recovered, settings
from toolkit.weights import packed, replaced, weights_of
from toolkit.weights.access import Weight
from toolkit.weights.sparsity import KeepZeros, Mask, n_of_m, smallest_gone, smallest_gone_of_all

GROUP = 4  # neighbours, of which half go in the pattern 2:4


class PruneWeights(Pass):
    """Set the smallest weights to zero: a smaller zip, not a faster model."""

    sparsity: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of the weights to zero; half in the pattern 2:4."),
    ] = 0.5
    pattern: Annotated[
        Literal["any", "2:4"],
        Field(description="Zeros anywhere, or two in every four neighbouring inputs."),
    ] = "any"
    scope: Annotated[
        Literal["layer", "global"],
        Field(description="The smallest weights of each layer, or of all layers together."),
    ] = "layer"
    epochs: Epochs = 0
    learning_rate: LearningRate = 1e-3
    seed: Seed = 0

    @model_validator(mode="after")
    def _half(self) -> Self:
        if self.pattern == "2:4" and self.sparsity != 0.5:
            raise ValueError("the pattern 2:4 leaves half of the weights: sparsity is 0.5")
        return self

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        odd = {
            weight.layer: f"{weight.values.shape[weight.inputs]} inputs are no multiple of {GROUP}"
            for weight in weights_of(model)
            if not self._takes(weight)
        }
        return {**packed(model), **odd}

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_training_a_graph(model)
        found = [weight for weight in weights_of(model) if self._takes(weight)]
        masks = self._masks({weight.name: weight for weight in found}, job)
        pruned: dict[str, NDArray[Any]] = {
            weight.name: np.where(masks[weight.name], weight.values, np.float32(0))
            for weight in found
        }
        sparse = replaced(model, pruned)
        if not self.epochs:
            return sparse
        how = settings(self.epochs, self.learning_rate, self.seed)
        return recovered(self, sparse, how, job, KeepZeros(masks))

    def _takes(self, weight: Weight) -> bool:
        return self.pattern == "any" or weight.values.shape[weight.inputs] % GROUP == 0

    def _masks(self, weights: Mapping[str, Weight], job: Job) -> dict[str, Mask]:
        message = "prune weights"
        if self.pattern == "any" and self.scope == "global":
            job.step(message, 0, 1)
            values = {name: weight.values for name, weight in weights.items()}
            masks = smallest_gone_of_all(values, self.sparsity)
            job.step(message, 1, 1)
            return masks
        return {name: self._mask(weights[name]) for name in job.track(list(weights), message)}

    def _mask(self, weight: Weight) -> Mask:
        if self.pattern == "any":
            return smallest_gone(weight.values, self.sparsity)
        return n_of_m(weight.values, weight.inputs, GROUP // 2, GROUP)
