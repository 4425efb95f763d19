"""Averaging: what is kept is the mean of the ends, with statistics of its own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.errors import Cancelled, RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.parameters import checked
from toolkit.passes.average_weights import AverageWeights
from toolkit.training.averaging import Averaging, take_statistics

STEP = AverageWeights(epochs=3)


def test_the_mean_of_the_weights_after_every_cycle_is_kept() -> None:
    module = nn.Linear(1, 1)
    lesson = Averaging(module, cycle=2)

    for epoch, value in enumerate((1.0, 2.0, 30.0, 4.0), start=1):
        module.weight.data.fill_(value)
        lesson.after_epoch(module, epoch)
    lesson.conclude(module, torch.zeros(4, 1))

    assert module.weight.item() == 3.0  # of 2 and 4: cycles end after epochs 2 and 4


def test_the_step_size_falls_in_each_cycle_and_stays_without() -> None:
    module = nn.Linear(1, 1)

    cyclic, constant = (
        [Averaging(module, cycle).rate(epoch, 6) for epoch in range(6)] for cycle in (3, 1)
    )

    assert cyclic == pytest.approx([1, 0.55, 0.1] * 2)
    assert constant == [1] * 6


def test_batch_norms_get_the_statistics_of_what_they_now_see() -> None:
    layer = nn.BatchNorm1d(2)
    inputs = torch.randn(256, 2) * 5 + 3

    take_statistics(nn.Sequential(layer), inputs)

    assert layer.running_mean is not None
    assert layer.running_var is not None
    np.testing.assert_allclose(layer.running_mean, inputs.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, inputs.var(0), rtol=1e-5)
    assert not layer.training
    assert layer.momentum == 0.1


def test_an_averaged_model_is_as_good_and_is_another(trained: Model) -> None:
    found = STEP.apply(trained, QUIET)

    inputs, targets = trained.need_data("").part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(1) == targets).mean() >= 0.96
    assert found.stored() != trained.stored()
    assert found.network == trained.network


def test_averaging_that_was_cancelled_goes_on_and_ends_the_same(
    trained: Model, tmp_path: Path
) -> None:
    def listen(event: Event) -> None:
        if event.done == 2:
            job.cancel()

    job = Job(listen, tmp_path)
    with pytest.raises(Cancelled):
        STEP.apply(trained, job)
    [left] = tmp_path.iterdir()
    events: list[Event] = []

    resumed = STEP.apply(trained, Job(events.append, tmp_path))

    assert events[0].done == 2
    assert not left.exists()
    assert resumed.stored() == STEP.apply(trained, QUIET).stored()


def test_a_cycle_that_never_ends_is_refused() -> None:
    with pytest.raises(RecipeError, match="cycle of 5 epochs does not end in 4"):
        checked(AverageWeights, {"cycle": 5, "epochs": 4}, "here")


def test_a_finished_graph_cannot_be_averaged(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="average_weights needs the trainable network"):
        STEP.apply(exported, QUIET)
