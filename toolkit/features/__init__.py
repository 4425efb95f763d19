"""Steps between a raw input and a network, exported into the graph; one file per step."""

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.registry import Registry
from toolkit.data.dataset import Dataset
from toolkit.features.base import Feature

__all__ = ["Feature", "features", "fit_features"]

features = Registry(__name__, Feature, "feature step")


def fit_features(data: Dataset) -> tuple[Feature, ...]:
    """The steps that `data` needs, in order, fitted on its training part."""
    inputs: NDArray[np.float32] = data.part("train")[0]
    members = sorted((features[name] for name in features.names()), key=lambda cls: cls.order)
    fitted = [member.fit(inputs, data.facts) for member in members]
    return tuple(step for step in fitted if step)
