"""Low-rank factorization (`toolkit/weights/factors.py`): a layer becomes a chain of smaller ones.

Denton et al. 2014, arXiv:1404.0736, for dense layers; Kim et al. 2016, arXiv:1511.06530 (Tucker)
and Lebedev et al. 2015, arXiv:1412.6553 (CP) for convolutions. A layer is only split where
that takes fewer parameters and fewer multiplications.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.passes.base import Pass
from toolkit.training.finetuning import Epochs, LearningRate, Seed, recovered, settings
from toolkit.weights import packed
from toolkit.weights.ranks import split_for
from toolkit.weights.splitting import Factors, Whole, split_graph, split_network, wholes


class LowRank(Pass):
    """Split wide layers into chains of narrow ones: fewer parameters and multiplications."""

    energy: Annotated[
        float, Field(gt=0, le=1, description="Share of the squared singular values to keep.")
    ] = 0.9
    budget: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of a layer's parameters to keep; 0 goes by energy."),
    ] = 0.0
    method: Annotated[
        Literal["tucker", "cp", "svd"],
        Field(description="How convolutions are split; dense layers always by singular values."),
    ] = "tucker"
    min_gain: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of parameters and of multiplications to save."),
    ] = 0.1
    epochs: Epochs = 0
    learning_rate: LearningRate = 1e-3
    seed: Seed = 0

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        found = {whole.name: self._plan(whole)[0] for whole in self._layers(model)}
        reasons = {name: reason for name, reason in found.items() if reason}
        return {**packed(model), **reasons}

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_training_a_graph(model)
        found: dict[str, Factors] = {}
        for whole in job.track(self._layers(model), "split layers"):
            reason, factors = self._plan(whole)
            if not reason:
                found[whole.name] = factors
        split = (split_network if model.network else split_graph)(model, found)
        if not self.epochs:
            return split
        how = settings(self.epochs, self.learning_rate, self.seed)
        return recovered(self, split, how, job)

    def _layers(self, model: Model) -> list[Whole]:
        *others, last = wholes(model)
        if self.budget and not last.reason:  # fewer terms than classes would merge some
            last = replace(last, reason="it is the last layer, which a budget does not split")
        return [*others, last]

    def _plan(self, whole: Whole) -> tuple[str, Factors]:
        """Why the layer is left alone, or its factors."""
        if whole.reason:
            return whole.reason, ()
        if not whole.weight.any():
            return "all its weights are zero", ()
        split = split_for(whole.weight, self.method)
        limit = self.budget * whole.weight.size
        ranks = split.within(limit) if self.budget else split.keeping(self.energy)
        if ranks is None or not whole.saves(split.shapes(ranks), self.min_gain):
            return f"factors would not save {self.min_gain:.0%} of its weights and operations", ()
        return "", split.factors(ranks)
