"""Compression: what each pass did to each layer, the gate, and nothing kept that it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from edge_targets.runtime.errors import Cancelled, DataError, RecipeError, UnknownNameError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import journeys, shelf
from toolkit.compression import State, compress, warning
from toolkit.data import Dataset
from toolkit.data.sources.digits import Digits
from toolkit.evaluation.gate import Gate
from toolkit.model import Model
from toolkit.passes import Pass, passes
from toolkit.passes.prune_channels import PruneChannels
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.recipe import Recipe
from toolkit.workspace import Workspace


def test_compressing_tells_what_each_pass_brought(line: Workspace) -> None:
    recipe = Recipe.of_names("prune_channels,quantize_int8")

    found = compress(line, "m", recipe, None, "small", QUIET)

    assert [step.name for step in found.steps] == ["prune_channels", "quantize_int8"]
    assert [step.changed for step in found.steps] == [True, True]
    assert found.steps[0].size_before == found.size_before
    assert found.steps[0].size_after == found.steps[1].size_before
    assert found.steps[1].size_after == found.size_after < found.size_before
    assert "weights became" in found.steps[0].summary
    assert "32 bits a weight became 8" in found.steps[1].summary
    assert found.before.value > 0.8
    assert found.kept
    assert line.get("models", "small").parameters["recipe"] == recipe.to_toml()


def test_every_layer_is_accounted_for_pass_by_pass(line: Workspace) -> None:
    found = compress(line, "m", Recipe.of_names("prune_channels,quantize_int8"), None, "s", QUIET)

    both = ("prune_channels", "quantize_int8")
    steps = {step: [row for row in found.layers if row.step == step] for step in both}
    names = [row.layer for row in steps["prune_channels"]]
    assert names == [row.layer for row in steps["quantize_int8"]]
    assert len(names) == 4
    for before, after in zip(*steps.values(), strict=True):
        assert before.parameters_after == after.parameters_before < before.parameters_before
        assert "removed" in before.done
        assert (after.bits_before, after.bits_after) == (32, 8)
    total = sum(row.macs_after for row in steps["quantize_int8"])
    assert total == found.steps[1].macs_after < found.steps[0].macs_before


class Idle(Pass):
    """Does nothing, as a pass may that finds nothing to do."""

    def apply(self, model: Model, job: Job) -> Model:
        job.step("idle", 1, 1)
        return model

    def skips(self, model: Model, job: Job) -> dict[str, str]:
        return {"1.0": "it is too small"}


class Ruin(Pass):
    """Makes the network answer the next class where it would answer class 3."""

    def apply(self, model: Model, job: Job) -> Model:
        job.step("ruin", 1, 1)
        [name] = [key for key, value in model.weights.items() if value.shape == (10,)]
        bias = model.weights[name].copy()
        bias[3] -= 1000
        return model.with_weights({**model.weights, name: bias})


@pytest.fixture
def own_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of this module are known by their class: no file of theirs is in the package."""
    monkeypatch.setattr(passes, "name_of", lambda step: type(step).__name__.lower())


@pytest.mark.usefixtures("own_passes")
def test_a_pass_that_did_nothing_says_so_and_why_and_fails_only_when_strict(
    line: Workspace,
) -> None:
    recipe = Recipe((Idle(),))

    easy = compress(line, "m", recipe, None, "idle", QUIET)
    hard = compress(line, "m", recipe, None, "idle", QUIET, strict=True)

    [step] = easy.steps
    assert not step.changed
    assert step.summary == "nothing changed"
    assert step.warning == "changed nothing: it is too small"
    assert easy.layers[0].done == "left alone: it is too small"
    assert {row.done for row in easy.layers[1:]} == {"unchanged"}
    assert easy.ok
    assert not hard.ok


def test_sparsity_that_saves_no_time_is_told_plainly(line: Workspace) -> None:
    found = compress(line, "m", Recipe.of_names("prune_weights"), None, "sparse", QUIET)

    [step] = found.steps
    assert step.changed
    assert step.size_after == pytest.approx(step.size_before, rel=0.01)
    assert step.zipped_after < 0.8 * step.zipped_before
    assert "only the zip is" in step.warning
    assert "prune_channels for speed" in step.warning


def test_doubtful_calibration_items_are_told(line: Workspace, digits: Dataset) -> None:
    brighter = replace(digits, name="brighter", inputs=digits.inputs * 16)
    shelf.save_dataset(line, brighter, "data add", {})

    few = compress(line, "m", Recipe((QuantizeInt8(samples=8),)), None, "few", QUIET)
    far = compress(line, "m", Recipe.of_names("quantize_int8"), "brighter", "far", QUIET)
    well = compress(line, "m", Recipe.of_names("quantize_int8"), None, "well", QUIET)

    assert any("Only 8 calibration items" in text for text in few.warnings)
    assert any("learned from" in text for text in far.warnings)
    assert well.warnings == ()


@pytest.mark.usefixtures("own_passes")
def test_a_recipe_that_ruins_one_class_is_refused_and_nothing_is_kept(line: Workspace) -> None:
    gate = Gate(max_drop=0.3)

    found = compress(line, "m", Recipe((Ruin(),)), None, "ruined", QUIET, gate)

    assert not found.ok
    assert not found.kept
    assert found.gate is not None
    assert found.gate.drop < 0.3  # the whole would pass
    assert found.gate.groups[0].group == "3"
    assert "class 3" in found.gate.reason
    assert "ruined" not in line.names("models")
    assert found.next == ("sanderling diagnose m --data digits",)


def test_a_model_that_holds_the_gate_is_kept_with_its_verdict(line: Workspace) -> None:
    found = compress(
        line, "m", Recipe.of_names("quantize_int8"), None, "held", QUIET, Gate(max_drop=0.1)
    )

    assert found.ok
    assert found.gate is not None
    assert found.gate.items == 359
    assert "held" in line.names("models")


def test_a_gate_that_these_items_can_never_show_is_refused_at_once(line: Workspace) -> None:
    said: list[Event] = []

    with pytest.raises(DataError, match="359 unseen items cannot show"):
        compress(
            line, "m", Recipe.of_names("prune_channels"), None, "x", Job(said.append),
            Gate(max_drop=0.001),
        )  # fmt: skip

    assert not said


def test_slices_are_judged_by_who_the_items_came_from(line: Workspace, digits: Dataset) -> None:
    writers = np.array([f"writer {index % 3}" for index in range(len(digits.inputs))])
    known = Dataset("written", digits.facts, digits.inputs, digits.targets, digits.split, writers)
    shelf.save_dataset(line, known, "data add", {})

    found = compress(
        line, "m", Recipe.of_names("quantize_int8"), "written", "sliced", QUIET,
        Gate(max_drop=0.1), ("group",),
    )  # fmt: skip

    assert found.gate is not None
    kinds = {group.kind for group in found.gate.groups}
    assert kinds == {"class", "group"}
    with pytest.raises(UnknownNameError, match="column to slice by"):
        compress(
            line, "m", Recipe.of_names("quantize_int8"), None, "x", QUIET, Gate(), ("speaker",)
        )


def test_a_teacher_that_is_not_there_is_answered_before_any_work(line: Workspace) -> None:
    distill = Recipe.of_names("distill").steps[0].model_copy(update={"teacher": "professor"})

    with pytest.raises(UnknownNameError, match="professor"):
        compress(line, "m", Recipe((distill,)), None, "x", QUIET)


def test_a_compression_that_was_stopped_in_training_goes_on_and_leaves_nothing(
    line: Workspace,
) -> None:
    recipe = Recipe((PruneChannels(epochs=3),))
    job = Job(lambda event: job.cancel() if event.done == 1 and event.total == 3 else None)

    with pytest.raises(Cancelled):
        compress(line, "m", recipe, None, "stopped", job)
    kept = list(line.runs().iterdir())
    compress(line, "m", recipe, None, "stopped", QUIET)
    compress(line, "m", recipe, None, "unbroken", QUIET)

    assert kept
    assert not list(line.runs().iterdir())
    assert line.get("models", "stopped").files == line.get("models", "unbroken").files


def test_data_that_only_calibrates_is_a_parent_and_nothing_learned(line: Workspace) -> None:
    recipe = Recipe.of_names("quantize_int8")

    compress(line, "m", recipe, "turned", "calibrated", QUIET)
    journeys.build(line, "calibrated", ("onnx",), "turned", QUIET)

    made, built = line.get("models", "calibrated"), line.get("artifacts", "calibrated.onnx")
    assert [line.entry(parent).name for parent in made.parents] == ["m", "turned"]
    assert [line.entry(parent).name for parent in built.parents] == ["calibrated", "turned"]
    assert [entry.name for entry in shelf.data_of(line, made)] == ["digits"]
    assert [entry.name for entry in shelf.data_of(line, built)] == ["digits"]
    assert journeys.measure(line, "calibrated.onnx", "turned", 1, QUIET).ok


def test_data_that_a_pass_trains_with_is_learned_too(line: Workspace) -> None:
    recipe = Recipe((PruneChannels(ratio=0.25, epochs=1),))
    noisy = Digits(noise=2).dataset("noisy", "digits", None, QUIET)
    shelf.save_dataset(line, noisy, "data add", {})

    compress(line, "m", recipe, "turned", "moved", QUIET)
    compress(line, "moved", recipe, "digits", "back", QUIET)
    found = journeys.retrain(line, "moved", "noisy", ("epochs=1",), "m8", QUIET)

    assert [row.data for row in found.comparisons] == ["noisy", "digits", "turned"]
    for name in ("moved", "back"):
        learned = shelf.data_of(line, line.get("models", name))
        assert [entry.name for entry in learned] == ["digits", "turned"]


def test_the_model_to_start_from_is_not_replaced(line: Workspace) -> None:
    before = line.get("models", "m")

    with pytest.raises(RecipeError, match="m is the model to start from"):
        compress(line, "m", Recipe.of_names("quantize_int8"), None, "m", QUIET)

    assert line.get("models", "m") == before


def test_a_pass_that_made_the_file_larger_says_that_and_does_not_recommend_itself(
    line: Workspace,
) -> None:
    before = State.of(shelf.model(line, "m"), QUIET)
    after = replace(before, graph=before.graph * 2)

    assert warning(before, after, True, 1.5, 0.9, {}) == (
        "the file became 2.00 times as large and takes 1.50 times the time"
    )
    assert warning(before, after, True, 1.0, 0.9, {}) == "the file became 2.00 times as large"
