"""Structured pruning: fewer channels, fewer bytes, nearly as good after a little training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import Cancelled, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.passes.prune_channels import PruneChannels


def shapes(model: Model) -> set[tuple[int, ...]]:
    return {value.shape for value in model.weights.values() if value.ndim > 1}


def test_digits_stay_known_with_half_the_channels(
    trained: Model, exported: Model, digits: Dataset
) -> None:
    found = PruneChannels().apply(trained, QUIET)

    inputs, targets = digits.part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(axis=1) == targets).mean() >= 0.95
    assert found.parameters < 0.4 * trained.parameters
    assert len(graph_of(found, QUIET)) < 0.5 * len(exported.graph)


def test_the_share_that_was_asked_for_goes_and_the_classes_stay(trained: Model) -> None:
    found = PruneChannels(ratio=0.25, epochs=0).apply(trained, QUIET)

    assert shapes(trained) == {(8, 1, 3, 3), (16, 8, 3, 3), (32, 256), (10, 32)}
    assert shapes(found) == {(6, 1, 3, 3), (12, 6, 3, 3), (24, 192), (10, 24)}


def test_the_least_important_channels_go() -> None:
    data_free = Model(small_signature(), Mlp(hidden=(4,)))
    weights = state_of(data_free.module())
    weights["1.0.weight"] = np.array([[3.0], [0.1], [2.0], [0.2]], np.float32)
    weights["1.2.weight"] = np.ones((2, 4), np.float32)

    found = PruneChannels(ratio=0.5, epochs=0).apply(data_free.with_weights(weights), QUIET)

    assert found.weights["1.0.weight"].tolist() == [[3.0], [2.0]]


def small_signature() -> Signature:
    return Signature((TensorSpec("x", (-1, 1)),), (TensorSpec("y", (-1, 2)),), ("a", "b"))


@pytest.mark.parametrize("ratio", [0.01, 0.99])
def test_no_layer_is_pruned_away(trained: Model, ratio: float) -> None:
    found = PruneChannels(ratio=ratio, epochs=0).apply(trained, QUIET)

    assert all(value.size for value in found.weights.values())
    assert found.module()


def test_of_every_layer_at_least_one_channel_stays_and_no_more_than_asked_for(
    trained: Model,
) -> None:
    most, nearly = (
        PruneChannels(ratio=ratio, epochs=0).apply(trained, QUIET) for ratio in (0.99, 0.9)
    )

    assert shapes(most) == {(1, 1, 3, 3), (1, 16), (10, 1)}
    assert shapes(nearly) == {(1, 1, 3, 3), (3, 16), (10, 3)}


def test_where_nothing_can_be_removed_it_is_said(trained: Model) -> None:
    step = PruneChannels(ratio=0.99, epochs=0)
    least = step.apply(trained, QUIET)

    with pytest.raises(UnsupportedError, match="nothing to remove") as caught:
        step.apply(least, QUIET)

    assert caught.value.hint


def test_it_trains_unless_it_is_told_not_to() -> None:
    assert PruneChannels().trains
    assert not PruneChannels(epochs=0).trains


def test_pruning_can_go_on_from_a_pruned_model(trained: Model) -> None:
    step = PruneChannels(ratio=0.5, epochs=0)

    twice = step.apply(step.apply(trained, QUIET), QUIET)

    assert twice.weights["1.0.weight"].shape == (2, 1, 3, 3)


def test_a_table_is_pruned_and_its_feature_steps_stay(digits: Dataset) -> None:
    flat = Model(digits.signature(), Mlp(hidden=(16, 8)), fit_features(digits), data=digits)
    model = flat.with_weights(state_of(flat.module()))

    found = PruneChannels(ratio=0.5, epochs=0).apply(model, QUIET)

    assert found.steps == model.steps
    assert found.parameters < 0.6 * model.parameters


def test_a_finished_graph_cannot_be_pruned_and_it_is_said_what_can(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="finished graph") as caught:
        PruneChannels().apply(exported, QUIET)

    assert "before passes that make a graph" in caught.value.hint


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_rounds_end_at_the_ratio_that_was_asked_for(trained: Model, rounds: int) -> None:
    found = PruneChannels(ratio=0.6, rounds=rounds, epochs=0).apply(trained, QUIET)

    assert shapes(found) == {(3, 1, 3, 3), (6, 3, 3, 3), (12, 96), (10, 12)}


def test_the_epochs_are_shared_among_the_rounds(trained: Model, events: list[Event]) -> None:
    PruneChannels(rounds=3, epochs=4).apply(trained, Job(events.append))

    ends = [e.total for e in events if e.message.startswith("train:") and e.done == e.total]
    pruned = [event.message for event in events if event.done and "prune" in event.message]
    assert ends == [1, 1, 2]
    assert pruned == [f"prune channels, round {n}" for n in (1, 2, 3)]


def test_a_stopped_round_goes_on_and_finished_ones_are_not_done_again(
    trained: Model, tmp_path: Path
) -> None:
    step = PruneChannels(rounds=2, epochs=4)
    whole = step.apply(trained, QUIET)

    def stop(event: Event) -> None:
        rounds.append("round 2" in event.message)
        if any(rounds) and event.message.startswith("train") and event.done == 1:
            job.cancel()

    rounds: list[bool] = []
    job = Job(stop, tmp_path)
    with pytest.raises(Cancelled):
        step.apply(trained, job)
    said: list[Event] = []
    again = step.apply(trained, Job(said.append, tmp_path))

    on = [event.message for event in said if event.message.startswith("go on")]
    assert on == ["go on after epoch 2", "go on after epoch 1"]
    assert again.stored() == whole.stored()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "batch_norm"])
def test_every_importance_keeps_the_digits_known(
    importance: Any, trained: Model, digits: Dataset
) -> None:
    found = PruneChannels(ratio=0.3, importance=importance, epochs=4).apply(trained, QUIET)

    inputs, targets = digits.part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(axis=1) == targets).mean() >= 0.93
    assert shapes(found) == {(5, 1, 3, 3), (11, 5, 3, 3), (22, 176), (10, 22)}


def test_the_scale_of_the_batch_norm_decides_where_it_is_asked(trained: Model) -> None:
    scales = trained.weights["1.1.weight"].copy()
    scales[[1, 4, 5, 7]] *= 1e-3
    model = trained.with_weights({**trained.weights, "1.1.weight": scales})

    found = PruneChannels(importance="batch_norm", epochs=0).apply(model, QUIET)

    assert found.weights["1.1.weight"].tolist() == scales[[0, 2, 3, 6]].tolist()


def test_without_batch_norm_its_scale_cannot_decide(digits: Dataset) -> None:
    flat = Model(digits.signature(), Mlp(hidden=(16, 8)), fit_features(digits), data=digits)
    model = flat.with_weights(state_of(flat.module()))

    with pytest.raises(UnsupportedError, match="this network has none") as caught:
        PruneChannels(importance="batch_norm").apply(model, QUIET)

    assert "magnitude" in caught.value.hint


def test_taylor_removes_what_the_loss_does_not_need(digits: Dataset) -> None:
    flat = Model(digits.signature(), Mlp(hidden=(8,)), fit_features(digits), data=digits)
    weights = state_of(flat.module())
    dead = [0, 3, 5, 6]
    weights["1.1.weight"][dead] *= 9  # large, but always below zero before the ReLU
    weights["1.1.bias"][dead] = -1e4

    found = PruneChannels(importance="taylor", epochs=0).apply(flat.with_weights(weights), QUIET)

    assert found.weights["1.1.bias"].tolist() == weights["1.1.bias"][[1, 2, 4, 7]].tolist()


def test_taylor_needs_data(trained: Model) -> None:
    with pytest.raises(UnsupportedError, match="Ranking channels"):
        PruneChannels(importance="taylor", epochs=0).apply(trained.with_data(None), QUIET)


class Recurrent(Network):
    """A GRU over the rows of an image."""

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        class Last(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gru = nn.GRU(shape[-1], 8, batch_first=True)

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                states: torch.Tensor = self.gru(values.flatten(1, -2))[0]
                return states[:, -1]

        return nn.Sequential(Last(), nn.Linear(8, outputs))


def test_recurrent_layers_are_refused_and_not_passed_over_in_silence(digits: Dataset) -> None:
    blank = Model(digits.signature(), Recurrent(), fit_features(digits), data=digits)
    model = blank.with_weights(state_of(blank.module()))

    with pytest.raises(UnsupportedError, match="recurrent") as caught:
        PruneChannels().apply(model, QUIET)

    assert "quantize_dynamic" in caught.value.hint
