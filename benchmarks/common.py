"""What several benchmarks do: find data beside the checkout, train a network, judge it."""

from pathlib import Path
from typing import Any

import torch

from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.training import Settings, fit

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def untrained(network: Network, data: Dataset) -> Model:
    return Model(data.signature(), network, fit_features(data), data=data)


def trained(network: Network, data: Dataset, **settings: Any) -> Model:
    return fit(untrained(network, data), Settings(**settings), QUIET).model


def accuracy(model: Model, data: Dataset) -> float:
    """Of a network on the test part, by torch: exports would take longer than the training."""
    inputs, targets = data.part("test")
    with torch.no_grad():
        scores = model.module()(torch.from_numpy(inputs)).numpy()
    return float((scores.argmax(axis=1) == targets).mean())
