"""A classifier that abstains keeps its promise, and whoever reads its answers is told."""

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.package import SigningKey
from edge_targets.runtime import Predictor
from edge_targets.runtime.answer import Answer, abstained
from edge_targets.runtime.contract import Abstention, Manifest, Profile, Tensor, TensorSpec
from edge_targets.runtime.errors import DataError, RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.edge_targets import tiny
from toolkit.data import Dataset, Facts
from toolkit.evaluation.abstention import abstention_for, at_most
from toolkit.packaging import Contents, write_package

MATRIX, BIAS = tiny.weights(1.0)


def judged(draw: np.random.Generator, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of two classes that are right as often as they say: from a half to one."""
    sure = draw.uniform(0.5, 1, items)
    right = draw.random(items) < sure
    return np.stack([sure, 1 - sure], axis=1), np.where(right, 0, 1)


def test_the_risk_is_kept_as_often_as_is_promised() -> None:
    draw = np.random.default_rng(0)
    risk, kept, answered = 0.2, 0, []

    for _ in range(200):
        found = abstention_for(*judged(draw, 1000), risk)
        # confidences above t are uniform, so the mean error among them is (1 - t) / 2
        kept += (1 - max(0.5, found.threshold)) / 2 <= risk
        answered.append(found.coverage)

    assert kept >= 0.95 * 200
    # the best that could be had is t = 0.6, which answers 80 %: the price of the promise is small
    assert 0.5 < np.mean(answered) < 0.8


def test_less_risk_answers_less() -> None:
    shares, targets = judged(np.random.default_rng(1), 2000)

    found = [abstention_for(shares, targets, risk) for risk in (0.1, 0.15, 0.2, 0.3)]

    assert [one.coverage for one in found] == sorted(one.coverage for one in found)
    assert found[0].coverage < found[-1].coverage == 1
    for one in found:
        confident = shares.max(axis=1) >= one.threshold
        assert confident.mean() == one.coverage
        assert (targets[confident] != 0).mean() <= one.risk


def test_equal_confidences_are_answered_together() -> None:
    shares = np.repeat([[0.9, 0.1], [0.6, 0.4]], 200, axis=0)
    targets = np.r_[np.zeros(200), np.arange(200) % 2].astype(int)

    found = abstention_for(shares, targets, 0.05)

    assert found.coverage == 0.5
    assert found.threshold == pytest.approx(0.75)  # halfway: no rounding decides


def test_too_few_items_promise_nothing() -> None:
    with pytest.raises(DataError, match="no confidence keeps the risk") as caught:
        abstention_for(*judged(np.random.default_rng(0), 30), 0.01)

    assert "items are needed" in caught.value.hint


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1, math.nan])
def test_a_risk_that_is_no_share_is_refused(risk: float) -> None:
    with pytest.raises(RecipeError, match="cannot be kept"):
        abstention_for(*judged(np.random.default_rng(0), 30), risk)


def test_scores_that_are_no_shares_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="add up to 1"):
        abstention_for(np.array([[3.0, -1.0]]), np.array([0]), 0.1)


@given(items=st.integers(1, 60), data=st.data(), risk=st.floats(0.01, 0.9))
def test_a_binomial_tail_is_the_sum_of_its_terms(
    items: int, data: st.DataObject, risk: float
) -> None:
    errors = data.draw(st.integers(0, items))

    terms = [math.comb(items, k) * risk**k * (1 - risk) ** (items - k) for k in range(errors + 1)]

    assert at_most(errors, items, risk) == pytest.approx(math.fsum(terms))


@pytest.fixture
def world() -> Dataset:
    """What the tiny model sees; its classes are its own answers, but for a tenth."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(3000, 3)).astype(np.float32)
    truth = (inputs @ MATRIX + BIAS).argmax(axis=1)
    close = np.abs((inputs @ MATRIX + BIAS) @ [1, -1]) < 1
    truth = np.where(close & (draw.random(3000) < 0.4), 1 - truth, truth)
    facts = Facts("class", TensorSpec("x", (-1, 3), columns=("a", "b", "c")), ("no", "yes"))
    split = np.tile(np.array([0, 1, 2], np.uint8), 1000)
    return Dataset("made", facts, inputs, truth, split)


def packed(world: Dataset, folder: Path, abstain: float | None) -> Path:
    contents = Contents(
        "tiny", "onnx", tiny.onnx_model(), tiny.SIGNATURE, "simulator", False, "", "# tiny\n"
    )
    out = folder / "tiny.sndl"
    write_package(contents, world, SigningKey.from_seed(bytes(32)), out, QUIET, abstain)
    return out


def test_a_package_carries_its_threshold_and_the_predictor_abstains(
    world: Dataset, tmp_path: Path
) -> None:
    path = packed(world, tmp_path, 0.02)

    with Predictor(path) as predictor:
        inputs, targets = world.part("validation")
        answer = predictor(inputs)

        given = [one for one in answer if not one.abstained]
    chosen = predictor.manifest.abstention
    assert chosen
    assert 0 < chosen.coverage < 1
    assert len(given) / len(inputs) == pytest.approx(chosen.coverage, abs=0.05)
    assert all(one.confidence >= chosen.threshold for one in given)
    right = [
        one.label == world.labels[target]
        for one, target in zip(answer, targets, strict=True)
        if not one.abstained
    ]
    assert np.mean(right) > 0.97


def test_telemetry_sees_abstentions_rise(world: Dataset, tmp_path: Path) -> None:
    path = packed(world, tmp_path, 0.02)
    with zipfile.ZipFile(path) as file:
        reference = Profile.parse(file.read("profile.json")).sketches["abstained"]
    with Predictor(path) as predictor:
        predictor(0.2 * world.inputs[:500])  # nearer to the border
        record = predictor.close_window()

    assert record
    live = record.sketches["abstained"]
    assert list(live.edges) == list(reference.edges) == [0.5]
    assert live.mean > 2 * reference.mean


def test_a_card_says_when_a_model_abstains(world: Dataset, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed(world, tmp_path, 0.02)) as file:
        card = file.read("card.md").decode()

    assert "## Abstains\nBelow a confidence of 0." in card
    assert "at most 2.00% are wrong, with a certainty of 95%" in card


def test_a_package_that_was_not_asked_to_abstain_never_does(world: Dataset, tmp_path: Path) -> None:
    with Predictor(packed(world, tmp_path, None)) as predictor:
        answer = predictor(world.inputs[:50])

    assert predictor.manifest.abstention is None
    assert not any(one.abstained for one in answer)
    assert "abstained" not in predictor.profiler.reference.sketches


def test_a_model_of_numbers_cannot_abstain(world: Dataset, tmp_path: Path) -> None:
    numbers = replace(tiny.SIGNATURE, labels=())
    contents = Contents("tiny", "onnx", tiny.onnx_model(), numbers, "simulator", False, "", "")

    with pytest.raises(UnsupportedError, match="only a classifier can abstain"):
        write_package(
            contents, world, SigningKey.from_seed(bytes(32)), tmp_path / "x.sndl", QUIET, 0.1
        )


def test_a_server_asks_for_a_whole_batch() -> None:
    outputs = {"probabilities": Tensor((3, 2), [0.9, 0.1, 0.6, 0.4, math.nan, math.nan])}
    chosen = Abstention(0.7, 0.1, 0.95, 0.9, 100)

    assert abstained(tiny.SIGNATURE, chosen, outputs) == [False, True, True]
    assert abstained(tiny.SIGNATURE, None, outputs) == []


def test_an_older_manifest_says_nothing_of_abstaining() -> None:
    text = tiny.manifest().to_json()
    del text["abstention"]

    manifest = Manifest.from_json(text)

    answer = Answer({"probabilities": np.array([0.5, 0.5])}, manifest.signature, alone=True)
    assert manifest.abstention is None
    assert not answer.abstained
