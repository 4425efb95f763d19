"""Distillation: a small network learns from a large one, by its answers and from inside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import Cancelled, UnknownNameError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset, Facts
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.passes.distill import Distill
from toolkit.training import Settings, fit
from toolkit.training.distillation import (
    Distillation,
    attention,
    paired,
    teachers_scores,
)

QUICK = Distill(epochs=3)


def agreement(one: Model, other: Model) -> float:
    inputs = one.need_data("").part("test")[0]
    labels = [Runner.of_model(m, QUIET).first_output(inputs, QUIET).argmax(1) for m in (one, other)]
    return float((labels[0] == labels[1]).mean())


def test_a_student_is_narrower_and_learns(trained: Model) -> None:
    found = Distill(width=0.5, epochs=10).apply(trained, QUIET)

    assert found.network == SmallCnn(channels=(4, 8), hidden=16)
    assert found.parameters < trained.parameters / 3
    assert agreement(found, trained) > 0.85


def test_a_student_may_be_another_kind_of_network(trained: Model) -> None:
    found = Distill(network="mlp", width=0.25, depth=0.5, epochs=3).apply(trained, QUIET)

    assert found.network == Mlp(hidden=(16,))


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="small_cn"):
        Distill(network="small_cn")


def test_without_a_change_of_size_the_model_itself_learns_on(trained: Model) -> None:
    found = Distill(width=1, epochs=1, learning_rate=1e-6).apply(trained, QUIET)

    for name, values in trained.weights.items():
        if name.endswith("weight"):
            np.testing.assert_allclose(found.weights[name], values, atol=1e-4)


@pytest.mark.parametrize("hints", ["features", "attention"])
def test_hints_from_inside_make_another_student(trained: Model, hints: str) -> None:
    step = QUICK.model_copy(update={"hints": hints})

    found = step.apply(trained, QUIET)

    assert found.stored() == step.apply(trained, QUIET).stored()
    assert found.stored() != QUICK.apply(trained, QUIET).stored()
    assert set(found.weights) == set(trained.weights)  # the map of the hints is not the student's


def test_attention_needs_maps_on_both_sides(trained: Model) -> None:
    with pytest.raises(UnsupportedError, match="attention hints") as caught:
        Distill(network="mlp", hints="attention").apply(trained, QUIET)

    assert "hints=features" in caught.value.hint


def test_features_teach_across_kinds_of_networks(trained: Model) -> None:
    assert Distill(network="mlp", hints="features", epochs=1).apply(trained, QUIET)


def test_a_teacher_is_found_by_name_and_is_no_part_of_the_recipe(trained: Model) -> None:
    step = Distill(teacher="large", epochs=1)

    resolved = step.resolved({"large": trained}.__getitem__)

    assert resolved == step
    assert hash(resolved) == hash(step)
    assert resolved.model_dump() == step.model_dump()
    itself = Distill(epochs=1).apply(trained, QUIET)
    assert resolved.apply(trained, QUIET).stored() == itself.stored()


def test_a_teacher_that_was_not_looked_up_is_missed(trained: Model) -> None:
    with pytest.raises(UnsupportedError, match="'large' is a name"):
        Distill(teacher="large").apply(trained, QUIET)


def test_a_teacher_of_another_task_is_refused(trained: Model) -> None:
    labels = tuple("abcdefghij")
    other = replace(trained, signature=replace(trained.signature, labels=labels))
    step = Distill(teacher="letters").resolved({"letters": other}.__getitem__)

    with pytest.raises(UnsupportedError, match="'letters' cannot teach this model"):
        step.apply(trained, QUIET)


def test_a_finished_graph_teaches_like_its_network_but_gives_no_hints(
    trained: Model, exported: Model
) -> None:
    data = trained.need_data("")
    one, other = (teachers_scores(teacher, data, QUIET) for teacher in (trained, exported))
    soft = [torch.softmax(scores / 4, 1) for scores in (one, other)]
    step = Distill(teacher="graph", hints="features").resolved({"graph": exported}.__getitem__)

    np.testing.assert_allclose(soft[0], soft[1], atol=0.02)
    with pytest.raises(UnsupportedError, match="gives no hints"):
        step.apply(trained, QUIET)


def test_the_distance_from_a_teacher_is_what_the_paper_says() -> None:
    lesson = Distillation(torch.zeros(1, 2), temperature=2.0, alpha=1.0)

    found = lesson.distance(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), classes=True)

    # shares are (e, 1) / (e + 1); sum of 1/2 log(1/2 / share), times the temperature's square
    share = np.e / (np.e + 1)
    expected = 4 * 0.5 * (np.log(0.5 / share) + np.log(0.5 / (1 - share)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_attention_is_where_channels_together_are_strong() -> None:
    maps = torch.zeros(1, 2, 1, 2)
    maps[0, 0, 0, 0], maps[0, 1, 0, 0], maps[0, 1, 0, 1] = 1.0, -1.0, 1.0

    # squares, mean over channels: (1, 1/2); of length 1: (2, 1) / sqrt(5)
    np.testing.assert_allclose(attention(maps), [[2 / 5**0.5, 1 / 5**0.5]], rtol=1e-6)


def test_layers_are_compared_at_the_same_share_of_the_depth() -> None:
    assert paired(("a", "b"), ("1", "2", "3", "4")) == (("a", "2"), ("b", "4"))
    assert paired(("a", "b", "c"), ("1",)) == (("a", "1"), ("b", "1"), ("c", "1"))


def test_numbers_are_learned_from_a_teacher_in_their_unit() -> None:
    x = np.linspace(-1, 1, 200, dtype=np.float32)
    targets = (200_000 + 50_000 * np.sin(3 * x)).astype(np.float32)
    facts = Facts("made", TensorSpec("x", (-1, 1)))
    split = (np.arange(200) % 5 % 3).astype(np.uint8)
    data = Dataset("made", facts, x[:, None], targets, split)
    blank = Model(data.signature(), Mlp(hidden=(32,)), data=data)
    settings = Settings(epochs=100, patience=100, batch_size=32, learning_rate=0.03)
    teacher = fit(blank, settings, QUIET).model

    student = Distill(alpha=1, epochs=100, learning_rate=0.03).apply(teacher, QUIET)

    inputs = data.part("test")[0]
    one, other = (Runner.of_model(m, QUIET).first_output(inputs, QUIET) for m in (teacher, student))
    assert np.abs(one - other).mean() < 5_000


@pytest.mark.parametrize("hints", ["none", "features"])
def test_distillation_that_was_cancelled_goes_on_and_ends_the_same(
    trained: Model, tmp_path: Path, hints: str
) -> None:
    step = QUICK.model_copy(update={"hints": hints})

    def listen(event: Event) -> None:
        if event.message.startswith("train") and event.done == 2:
            job.cancel()

    job = Job(listen, tmp_path)
    with pytest.raises(Cancelled):
        step.apply(trained, job)
    [left] = tmp_path.iterdir()
    events: list[Event] = []

    resumed = step.apply(trained, Job(events.append, tmp_path))

    assert any(event.message == "go on after epoch 2" for event in events)
    assert not left.exists()
    assert resumed.stored() == step.apply(trained, QUIET).stored()


def test_a_finished_graph_cannot_be_distilled(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="distill needs the trainable network"):
        Distill().apply(exported, QUIET)
