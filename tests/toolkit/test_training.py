"""Training: seeded, stopped early, cancelled, killed and gone on with."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import Cancelled, DataError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.data import Dataset, Facts
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.passes.prune_channels import PruneChannels
from toolkit.training import Lesson, Settings, fit, resumable
from toolkit.training.fit import Fitted

SETTINGS = Settings(epochs=5, batch_size=256, seed=4)

CHILD = """
import json
import sys
from pathlib import Path
from edge_targets.runtime.events import QUIET, Job
from toolkit.data.sources.digits import Digits
from toolkit.features import fit_features
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.training import Settings, fit

def wait_in_the_fourth_epoch(event):
    seen.append(event)
    if event.done == 3 and seen[-2].done == 3:
        print("here", flush=True)
        sys.stdin.read()

seen = []
data = Digits().dataset("digits", "digits", None, QUIET)
blank = Model(data.signature(), SmallCnn(channels=(4,), hidden=8), fit_features(data), data=data)
settings = Settings(**json.loads(sys.argv[2]))
fit(blank, settings, Job(wait_in_the_fourth_epoch), Path(sys.argv[1]))
"""


@pytest.fixture
def blank(digits: Dataset) -> Model:
    """With everything that could make two runs differ: batch norm, dropout, random order."""
    network = SmallCnn(channels=(4,), hidden=8)
    return Model(digits.signature(), network, fit_features(digits), data=digits)


def same(one: Fitted, other: Fitted) -> bool:
    return one.model.stored() == other.model.stored() and one.epochs == other.epochs


def numbers(inputs: np.ndarray, targets: np.ndarray, labels: tuple[str, ...] = ()) -> Model:
    """A model that is to learn `targets` from one column."""
    facts = Facts("made", TensorSpec("x", (-1, 1)), labels)
    split = (np.arange(len(inputs)) % 5 % 3).astype(np.uint8)
    data = Dataset("made", facts, inputs.astype(np.float32)[:, None], targets, split)
    return Model(data.signature(), Mlp(hidden=(16,)), data=data)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(blank: Model) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 2})

    one, again, other = (
        fit(blank, settings.model_copy(update={"seed": seed}), QUIET) for seed in (1, 1, 2)
    )

    assert same(one, again)
    assert one.model.stored() != other.model.stored()


def test_training_leaves_the_callers_random_numbers_alone(blank: Model) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)

    fit(blank, Settings(epochs=1, batch_size=512), QUIET)

    assert torch.equal(torch.rand(3), expected)


def test_training_learns(trained: Model, digits: Dataset) -> None:
    inputs, targets = digits.part("test")

    found = Runner.of_model(trained, QUIET).first_output(inputs, QUIET)

    assert (found.argmax(axis=1) == targets).mean() >= 0.96


def test_training_reports_every_batch_and_the_end(
    blank: Model, job: Job, events: list[Event]
) -> None:
    fit(blank, SETTINGS, job)

    done = [event.done for event in events]
    batches = -(-blank.need_data("").count("train") // 256)
    assert len(events) == 5 * batches + 1
    assert done == sorted(done)
    assert (events[-1].done, events[-1].total) == (5, 5)
    assert "best validation loss" in events[-1].message


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(
    job: Job, events: list[Event]
) -> None:
    rng = np.random.default_rng(0)
    noise = numbers(rng.normal(size=100), rng.integers(0, 2, 100), ("a", "b"))
    settings = Settings(epochs=500, patience=3, learning_rate=0.1)

    found = fit(noise, settings, job)

    said = re.fullmatch(r"train: best validation loss (.*) in epoch (\d+)", events[-1].message)
    assert said
    assert found.epochs == int(said[2]) + 3 < 500
    inputs, targets = noise.need_data("").part("validation")
    with torch.no_grad():
        scores = found.model.module()(torch.from_numpy(inputs))
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(targets))
    assert f"{float(loss):.4f}" == said[1]


def test_a_killed_run_goes_on_and_ends_like_the_unbroken_one(blank: Model, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    words = [sys.executable, "-c", CHILD, str(checkpoint), SETTINGS.model_dump_json()]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdin
    assert child.stdout.readline() == b"here\n"
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    events: list[Event] = []

    resumed = fit(blank, SETTINGS, Job(events.append), checkpoint)

    assert events[0].done == 3
    assert same(resumed, fit(blank, SETTINGS, QUIET))


def test_a_cancelled_run_leaves_a_checkpoint_that_goes_on(blank: Model, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"

    def cancel_in_the_third_epoch(event: Event) -> None:
        if event.done == 2:
            job.cancel()

    job = Job(cancel_in_the_third_epoch)

    with pytest.raises(Cancelled):
        fit(blank, SETTINGS, job, checkpoint)

    assert same(fit(blank, SETTINGS, QUIET, checkpoint), fit(blank, SETTINGS, QUIET))


def test_a_finished_run_is_not_trained_again(blank: Model, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    first = fit(blank, SETTINGS, QUIET, checkpoint)
    events: list[Event] = []

    again = fit(blank, SETTINGS, Job(events.append), checkpoint)

    assert same(again, first)
    assert all(event.done == 5 for event in events)


@pytest.mark.parametrize("damage", [b"", b"PK\3\4", b"text", b"\x80\x04."])
def test_a_damaged_checkpoint_is_refused_by_name(
    blank: Model, tmp_path: Path, damage: bytes
) -> None:
    checkpoint = tmp_path / "run.pt"
    checkpoint.write_bytes(damage)

    with pytest.raises(IntegrityError, match=str(checkpoint)) as caught:
        fit(blank, SETTINGS, QUIET, checkpoint)

    assert "Delete" in caught.value.hint


def test_a_checkpoint_cut_in_half_is_refused(blank: Model, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    fit(blank, Settings(epochs=1, batch_size=1024), QUIET, checkpoint)
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(IntegrityError):
        fit(blank, SETTINGS, QUIET, checkpoint)


def test_a_loss_that_is_no_number_is_said_with_what_to_do() -> None:
    wild = numbers(np.linspace(-1e30, 1e30, 50), np.linspace(-1e30, 1e30, 50, dtype=np.float32))

    with pytest.raises(DataError, match="did not converge") as caught:
        fit(wild, Settings(epochs=2, learning_rate=1), QUIET)

    assert "learning_rate" in caught.value.hint


@pytest.mark.parametrize(("middle", "spread"), [(0, 1), (200_000, 50_000), (-0.003, 0.001)])
def test_numbers_of_any_size_are_learned(middle: float, spread: float) -> None:
    x = np.linspace(-1, 1, 200)
    targets = (middle + spread * np.sin(3 * x)).astype(np.float32)
    model = numbers(x, targets)

    settings = Settings(epochs=150, patience=150, batch_size=32, learning_rate=0.03)

    found = fit(model, settings, QUIET)

    inputs, wanted = model.need_data("").part("test")
    answers = Runner.of_model(found.model, QUIET).first_output(inputs, QUIET)[:, 0]
    assert np.abs(answers - wanted).mean() < 0.1 * spread


def test_training_without_data_is_refused(blank: Model) -> None:
    with pytest.raises(UnsupportedError, match="Training needs data"):
        fit(replace(blank, data=None), SETTINGS, QUIET)


class Greedy(Network):
    """Asks for a pebibyte as soon as it is used."""

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        class Hoard(nn.Linear):
            def forward(self, values: torch.Tensor) -> torch.Tensor:
                return super().forward(values) + torch.empty(1 << 48).sum()

        return nn.Sequential(nn.Flatten(), Hoard(shape[0], outputs))


def test_a_training_that_needs_more_memory_than_there_is_says_so() -> None:
    x = np.linspace(-1, 1, 50)
    greedy = replace(numbers(x, x.astype(np.float32)), network=Greedy())

    with pytest.raises(UnsupportedError, match="more memory") as caught:
        fit(greedy, Settings(epochs=1), QUIET)

    assert "batch_size" in caught.value.hint


@pytest.mark.parametrize("network", [Mlp(hidden=(65536, 65536)), SmallCnn(channels=(4096, 4096))])
def test_a_network_that_is_too_large_is_refused_before_anything_is_allocated(
    blank: Model, network: Network
) -> None:
    with pytest.raises(UnsupportedError, match=r"would have [\d,]{11,} parameters") as caught:
        fit(replace(blank, network=network), SETTINGS, QUIET)

    assert "smaller" in caught.value.hint


class Frozen(Lesson):
    """Keeps the first layer's weights at zero, and counts in its own state."""

    def __init__(self) -> None:
        super().__init__()
        self.own.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def after_step(self, module: nn.Module) -> None:
        self.own.get_buffer("steps").add_(1)
        module.get_parameter("1.0.weight").data.zero_()

    def conclude(self, module: nn.Module, inputs: torch.Tensor) -> None:
        module.get_parameter("1.0.weight").data.fill_(float(self.own.get_buffer("steps")))


def test_a_lesson_has_its_say_after_every_step(blank: Model) -> None:
    lesson = Frozen()

    found = fit(blank, SETTINGS, QUIET, lesson=lesson)

    batches = -(-blank.need_data("").count("train") // 256)
    assert np.all(found.model.weights["1.0.weight"] == found.epochs * batches)


def test_a_run_that_goes_on_has_what_its_lesson_kept(blank: Model, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    with pytest.raises(Cancelled):
        fit(blank, SETTINGS, cancelled_in(epoch=2), checkpoint, Frozen())

    resumed = fit(blank, SETTINGS, QUIET, checkpoint, Frozen())

    assert same(resumed, fit(blank, SETTINGS, QUIET, lesson=Frozen()))


def cancelled_in(epoch: int, scratch: Path | None = None) -> Job:
    def listen(event: Event) -> None:
        if event.message.startswith("train") and event.done == epoch:
            job.cancel()

    job = Job(listen, scratch)
    return job


class Backwards(Lesson):
    """Teaches the opposite."""

    def loss(
        self, module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, items: torch.Tensor
    ) -> torch.Tensor:
        return super().loss(module, inputs, 1 - targets, items)


def test_a_lesson_may_have_another_loss_and_the_targets_still_judge() -> None:
    x = np.linspace(-1, 1, 100)
    model = numbers(x, (x > 0).astype(np.int64), ("no", "yes"))
    settings = Settings(epochs=30, patience=30, learning_rate=0.03)

    plain, other = (fit(model, settings, QUIET, lesson=lesson()) for lesson in (Lesson, Backwards))

    inputs, targets = model.need_data("").part("test")
    shares = [
        (
            Runner.of_model(found.model, QUIET).first_output(inputs, QUIET).argmax(1) == targets
        ).mean()
        for found in (plain, other)
    ]
    assert shares[0] > 0.9
    assert shares[1] < 0.6


def test_a_pass_finds_its_own_unfinished_run_and_no_other(blank: Model, tmp_path: Path) -> None:
    step, job = PruneChannels(), Job(scratch=tmp_path / "runs")
    others = [
        (PruneChannels(seed=1), blank),
        (step, replace(blank, network=SmallCnn(channels=(4,), hidden=8, dropout=0))),
        (step, blank.with_data(blank.need_data("").merged(blank.need_data("")))),
    ]

    with resumable(job, step, blank) as mine, resumable(job, step, blank) as again:
        assert mine == again
        found = {mine}
        for other, model in others:
            with resumable(job, other, model) as path:
                found.add(path)

    assert len(found) == 4
    with resumable(QUIET, step, blank) as nothing:
        assert nothing is None


def test_an_unfinished_run_is_kept_until_it_is_done(blank: Model, tmp_path: Path) -> None:
    job, step = Job(scratch=tmp_path / "runs"), PruneChannels()

    def interrupted() -> None:
        with resumable(job, step, blank) as path:
            assert path
            path.write_bytes(b"half")
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        interrupted()
    with resumable(job, step, blank) as path:
        assert path
        assert path.read_bytes() == b"half"
    assert not path.exists()
