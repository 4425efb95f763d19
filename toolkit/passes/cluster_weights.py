"""Weight clustering (Han et al. 2016, Deep Compression, arXiv:1510.00149).

Every layer keeps a handful of different weights. They are stored as the floats they are: the
file keeps its size, and a zip, an update or a web page shrinks.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.passes.base import Pass
from toolkit.training.finetuning import Epochs, LearningRate, Seed, recovered, settings
from toolkit.weights import packed, replaced, weights_of
from toolkit.weights.codebook import KeepClusters, clustered, distinct


class ClusterWeights(Pass):
    """Give each layer a few different weights, found by k-means: a smaller zip, no faster model."""

    clusters: Annotated[
        int, Field(ge=2, le=256, description="Different weights that a layer may have.")
    ] = 16
    epochs: Epochs = 0
    learning_rate: LearningRate = 1e-3
    seed: Seed = 0

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def skips(self, model: Model, job: Job) -> Mapping[str, str]:
        few = {
            weight.layer: f"it has no more than {self.clusters} different weights"
            for weight in weights_of(model)
            if distinct(weight.values) <= self.clusters
        }
        return {**packed(model), **few}

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_training_a_graph(model)
        found = {}
        for weight in job.track(weights_of(model), "cluster weights"):
            if distinct(weight.values) > self.clusters:
                found[weight.name] = clustered(weight.values, self.clusters)
        few = replaced(model, found)
        if not self.epochs:
            return few
        how = settings(self.epochs, self.learning_rate, self.seed)
        every = {weight.name: weight.values for weight in weights_of(few)}
        return recovered(self, few, how, job, KeepClusters(every))
