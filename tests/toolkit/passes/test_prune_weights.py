"""Unstructured pruning: the smallest weights are zero, as many as was asked for, and stay so."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.errors import Cancelled, IntegrityError, RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.anatomy import layers_of, zipped
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.parameters import from_words
from toolkit.passes.prune_weights import PruneWeights
from toolkit.weights import weights_of
from toolkit.weights.sparsity import n_of_m, smallest_gone, smallest_gone_of_all


def zeros(model: Model) -> dict[str, float]:
    return {weight.layer: float((weight.values == 0).mean()) for weight in weights_of(model)}


@pytest.fixture(scope="module")
def dense(digits: Dataset) -> Model:
    """Untrained, and without batch norm: exported, its weights are what they were."""
    blank = Model(digits.signature(), Mlp(hidden=(32, 16)), fit_features(digits), data=digits)
    return blank.with_weights(state_of(blank.module()))


@given(st.integers(0, 60), st.floats(0, 0.99), st.integers(0, 9))
def test_exactly_the_share_goes_and_nothing_that_stays_is_smaller(
    size: int, share: float, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=size).round(1)

    mask = smallest_gone(values, share)

    assert (~mask).sum() == int(size * share)
    gone, kept = np.abs(values[~mask]), np.abs(values[mask])
    assert not gone.size or not kept.size or gone.max() <= kept.min()


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 9))
def test_of_every_four_neighbours_the_two_largest_stay(rows: int, blocks: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, 4 * blocks, 3))

    mask = n_of_m(values, 1)

    groups = np.moveaxis(mask, 1, -1).reshape(-1, 4)
    sizes = np.abs(np.moveaxis(values, 1, -1)).reshape(-1, 4)
    assert (groups.sum(axis=1) == 2).all()
    assert (np.sort(sizes, axis=1)[:, 2:].sum(axis=1) == (sizes * groups).sum(axis=1)).all()


def test_of_all_tensors_together_the_one_with_small_weights_loses_more() -> None:
    found = smallest_gone_of_all({"small": np.full((2, 2), 0.1), "large": np.ones((4, 1))}, 0.5)

    assert not found["small"].any()
    assert found["large"].all()
    assert found["large"].shape == (4, 1)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_each_layer_reaches_the_sparsity_and_the_rest_is_as_it_was(
    trained: Model, sparsity: float
) -> None:
    found = PruneWeights(sparsity=sparsity).apply(trained, QUIET)

    sizes = {weight.layer: weight.values.size for weight in weights_of(trained)}
    for layer, share in zeros(found).items():
        assert share == pytest.approx(sparsity, abs=1 / sizes[layer])
    for name, before in trained.weights.items():
        after = found.weights[name]
        assert np.array_equal(after[after != 0], before[after != 0])
        assert before.ndim > 1 or np.array_equal(before, after)


def test_global_pruning_reaches_the_sparsity_over_all_layers(trained: Model) -> None:
    found = PruneWeights(sparsity=0.6, scope="global").apply(trained, QUIET)

    whole = np.concatenate([weight.values.reshape(-1) for weight in weights_of(found)])
    assert (whole == 0).mean() == pytest.approx(0.6, abs=0.001)
    assert len({round(share, 2) for share in zeros(found).values()}) > 1


@pytest.mark.parametrize("fields", [{}, {"scope": "global"}, {"pattern": "2:4"}])
def test_a_graph_loses_the_same_weights_as_its_network(dense: Model, fields: Any) -> None:
    step = PruneWeights(**fields)
    graph = dense.with_graph(graph_of(dense, QUIET))

    found = step.apply(graph, QUIET)

    assert found.graph == graph_of(step.apply(dense, QUIET), QUIET)
    assert found.graph != graph.graph


def test_pattern_2_4_holds_along_the_inputs_and_says_which_layers_do_not_fit(
    trained: Model, exported: Model
) -> None:
    step = PruneWeights(pattern="2:4")

    for model in (trained, exported):
        assert step.skips(model, QUIET) == {"1.0": "1 inputs are no multiple of 4"}
        for weight in weights_of(step.apply(model, QUIET)):
            if weight.layer == "1.0":
                assert weight.values.all()
                continue
            along = np.moveaxis(weight.values, weight.inputs, -1).reshape(-1, 4)
            assert (np.count_nonzero(along, axis=1) <= 2).all()


def test_zeros_stay_zeros_while_the_others_recover(trained: Model, digits: Dataset) -> None:
    hurt = PruneWeights(sparsity=0.9).apply(trained, QUIET)
    found = PruneWeights(sparsity=0.9, epochs=3).apply(trained, QUIET)

    for name, before in hurt.weights.items():
        if before.ndim > 1:
            assert (found.weights[name][before == 0] == 0).all()
            assert not np.array_equal(found.weights[name], before)
    inputs, targets = digits.part("test")
    accuracies = [
        (Runner.of_model(model, QUIET).first_output(inputs, QUIET).argmax(axis=1) == targets).mean()
        for model in (hurt, found)
    ]
    assert accuracies[1] > accuracies[0]


def test_recovery_that_was_stopped_goes_on_and_ends_the_same(trained: Model, tmp_path: Any) -> None:
    step = PruneWeights(sparsity=0.8, epochs=3)
    whole = step.apply(trained, QUIET)

    def stop(event: Event) -> None:
        if event.message.startswith("train") and event.done == 2:
            job.cancel()

    job = Job(stop, tmp_path)
    with pytest.raises(Cancelled):
        step.apply(trained, job)
    said: list[Event] = []
    again = step.apply(trained, Job(said.append, tmp_path))

    assert any(event.message == "go on after epoch 2" for event in said)
    assert again.stored() == whole.stored()
    assert not list(tmp_path.iterdir())


def test_the_file_keeps_its_size_and_the_zip_shrinks(exported: Model) -> None:
    found = PruneWeights(sparsity=0.8).apply(exported, QUIET).graph

    assert len(found) == len(exported.graph)
    assert zipped(found) < 0.5 * zipped(exported.graph)
    assert [layer.name for layer in layers_of(found)] == [
        layer.name for layer in layers_of(exported.graph)
    ]


def test_a_graph_cannot_be_trained_on_and_it_is_said_why(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="epochs need the network") as caught:
        PruneWeights(epochs=1).apply(exported, QUIET)

    assert "epochs at 0" in caught.value.hint


def test_another_sparsity_than_half_does_not_go_with_2_4() -> None:
    with pytest.raises(RecipeError, match=r"sparsity is 0\.5"):
        from_words(PruneWeights, ["pattern=2:4", "sparsity=0.7"])


def test_weights_that_are_not_numbers_are_named(trained: Model) -> None:
    broken = {**trained.weights, "1.8.weight": trained.weights["1.8.weight"] * np.float32(np.nan)}

    with pytest.raises(IntegrityError, match=r"Layer 1\.8") as caught:
        PruneWeights().apply(trained.with_weights(broken), QUIET)

    assert caught.value.hint
