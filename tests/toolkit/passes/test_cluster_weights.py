"""Weight clustering: few different weights a layer, near the old ones, also after training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import zipped
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.passes.cluster_weights import ClusterWeights
from toolkit.passes.prune_weights import PruneWeights
from toolkit.weights import weights_of
from toolkit.weights.codebook import clustered, distinct


def accuracy(model: Model, data: Dataset) -> float:
    inputs, targets = data.part("test")
    answers = Runner.of_model(model, QUIET).first_output(inputs, QUIET)
    return float((answers.argmax(axis=1) == targets).mean())


@given(
    st.lists(st.floats(-9, 9, width=32).map(lambda value: round(value, 3)), max_size=60),
    st.integers(2, 9),
)
def test_there_are_no_more_values_than_clusters_and_zeros_and_order_stay(
    numbers: list[float], clusters: int
) -> None:
    values = np.array(numbers, np.float32)

    found = clustered(values, clusters)

    assert distinct(found) <= clusters
    assert (found[values == 0] == 0).all()
    order = np.argsort(values[values != 0], kind="stable")
    assert (np.diff(found[values != 0][order]) >= 0).all()


@given(st.integers(0, 50))
def test_each_value_goes_to_the_mean_of_those_that_go_with_it(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=200).astype(np.float32)

    found = clustered(values, 5)

    for centre in np.unique(found):
        assert values[found == centre].mean() == pytest.approx(centre, abs=1e-5)


def test_more_clusters_are_nearer_and_enough_are_exact() -> None:
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)

    errors = [float(((clustered(values, k) - values) ** 2).mean()) for k in (2, 4, 8, 16, 64)]

    assert errors == sorted(errors, reverse=True)
    # -1 and 1 are two clusters, wherever the rest is: nothing is between them
    assert clustered(np.array([-1.0, 1.0, 1.0]), 2).tolist() == [-1, 1, 1]


def test_the_digits_stay_known_with_sixteen_weights_a_layer(
    trained: Model, digits: Dataset
) -> None:
    found = ClusterWeights().apply(trained, QUIET)

    assert {distinct(weight.values) for weight in weights_of(found)} == {16}
    assert accuracy(found, digits) >= accuracy(trained, digits) - 0.02


def test_a_graph_gets_the_same_weights_as_its_network(digits: Dataset) -> None:
    blank = Model(digits.signature(), Mlp(hidden=(32,)), fit_features(digits), data=digits)
    network = blank.with_weights(state_of(blank.module()))
    graph = network.with_graph(graph_of(network, QUIET))
    step = ClusterWeights(clusters=8)

    assert step.apply(graph, QUIET).graph == graph_of(step.apply(network, QUIET), QUIET)


def test_the_file_keeps_its_size_and_the_zip_shrinks_to_a_third(exported: Model) -> None:
    found = ClusterWeights().apply(exported, QUIET).graph

    assert len(found) == len(exported.graph)
    assert zipped(found) < 0.34 * zipped(exported.graph)


def test_training_moves_the_centres_and_keeps_equal_weights_equal(
    trained: Model, digits: Dataset
) -> None:
    hurt, found = (ClusterWeights(clusters=3, epochs=n).apply(trained, QUIET) for n in (0, 3))

    for before, after in zip(weights_of(hurt), weights_of(found), strict=True):
        assert distinct(after.values) <= 3
        assert not np.array_equal(after.values, before.values)
        for value in np.unique(before.values):
            assert distinct(after.values[before.values == value]) == 1
    assert accuracy(found, digits) > accuracy(hurt, digits)


def test_pruned_weights_stay_zero_also_in_training(trained: Model) -> None:
    sparse = PruneWeights(sparsity=0.7).apply(trained, QUIET)

    found = ClusterWeights(clusters=8, epochs=1).apply(sparse, QUIET)

    for before, after in zip(weights_of(sparse), weights_of(found), strict=True):
        assert (after.values[before.values == 0] == 0).all()
        assert distinct(after.values) <= 8


def test_layers_that_have_few_weights_already_are_named(trained: Model) -> None:
    once = ClusterWeights(clusters=4).apply(trained, QUIET)

    skipped = ClusterWeights().skips(once, QUIET)

    assert set(skipped) == {"1.0", "1.3", "1.8", "1.11"}
    assert skipped["1.0"] == "it has no more than 16 different weights"
    assert ClusterWeights().apply(once, QUIET).stored() == once.stored()


def test_a_graph_cannot_be_trained_on_and_it_is_said_why(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="epochs need the network") as caught:
        ClusterWeights(epochs=1).apply(exported, QUIET)

    assert "epochs at 0" in caught.value.hint
