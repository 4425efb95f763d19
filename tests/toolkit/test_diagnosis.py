"""Planted faults are found and mended; what is healthy is left alone; nothing is half done."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    EdgeError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import compression, journeys, shelf
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.diagnosis import diagnose
from toolkit.diagnosis.readings import Budget, affordable, mean_loss
from toolkit.diagnosis.signals import outlier_of, sqnr, weight_sqnr, widest
from toolkit.diagnosis.telling import healthy
from toolkit.diagnosis.values import answers
from toolkit.evaluation.gate import Gate, judge
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of, parse, written
from toolkit.passes.fold_batch_norm import FoldBatchNorm
from toolkit.passes.half_precision import HalfPrecision
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.recipe import Recipe
from toolkit.results import Diagnosed
from toolkit.training import Settings, fit
from toolkit.workspace import Workspace

PER_TENSOR = Recipe((QuantizeInt8(per_channel=False),))
GATE = Gate(max_drop=0.03)
WriteTable = Callable[..., Path]
Change = Callable[[dict[str, NDArray[Any]]], None]


@pytest.fixture(scope="module")
def wide(digits: Dataset) -> Model:
    """A graph with batch norm folded, wide enough that weights are most of the file."""
    blank = Model(
        digits.signature(), SmallCnn(channels=(8, 16), hidden=96), fit_features(digits), data=digits
    )
    model = fit(blank, Settings(epochs=8), QUIET).model
    return FoldBatchNorm().apply(model.with_graph(graph_of(model, QUIET)), QUIET)


@pytest.fixture
def shelves(workspace: Workspace, digits: Dataset) -> Workspace:
    shelf.save_dataset(workspace, digits, "data add", {})
    return workspace


def changed(model: Model, change: Change) -> Model:
    graph = parse(model.graph)
    arrays = {t.name: numpy_helper.to_array(t).copy() for t in graph.graph.initializer}
    change(arrays)
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name], tensor.name))
    return model.with_graph(written(graph))


def outlier(layer: str, bias: str, times: float) -> Change:
    """A unit with huge weights that its ReLU never lets through: the answers need none of it."""

    def change(arrays: dict[str, NDArray[Any]]) -> None:
        weight = arrays[f"{layer}.weight"]
        weight[0] = -times * np.abs(weight).max()
        arrays[bias][0] = -times

    return change


def unequal(layer: str, following: str, spread: float) -> Change:
    """Channels scaled up and down, and back in the next layer: the answers stay the same."""

    def change(arrays: dict[str, NDArray[Any]]) -> None:
        weight, bias = arrays[f"{layer}.weight"], arrays[f"{layer}.bias"]
        factors = np.exp(np.linspace(-1, 1, len(weight)) * np.log(spread) / 2).astype(np.float32)
        arrays[f"{layer}.weight"] = weight * factors[:, None]
        arrays[f"{layer}.bias"] = bias * factors
        arrays[f"{following}.weight"] = arrays[f"{following}.weight"] / factors

    return change


def save(shelves: Workspace, model: Model, name: str = "m") -> None:
    source = (shelves.get("datasets", "digits"),)
    shelf.save_model(shelves, name, model, "train", {}, source, source)


def look(shelves: Workspace, model: str = "m", job: Job = QUIET, **given: Any) -> Diagnosed:
    wanted = {
        "recipe": None, "gate": GATE, "repair": False, "name": None, "max_size": None, "slices": ()
    } | given  # fmt: skip
    return diagnose(shelves, model, "digits", **wanted, job=job)


@pytest.mark.parametrize(
    ("layer", "bias"), [("1.0", "1.0.weight_bias"), ("1.3", "1.3.weight_bias"), ("1.8", "1.8.bias")]
)
def test_the_layer_with_outlier_weights_is_named_first_with_the_reason(
    shelves: Workspace, wide: Model, layer: str, bias: str
) -> None:
    save(shelves, changed(wide, outlier(layer, bias, 300)))

    found = look(shelves, recipe=PER_TENSOR)

    worst = found.layers[0]
    assert worst.layer == layer
    assert worst.loss > 5 * max(row.loss for row in found.layers[1:])
    assert worst.recovery == pytest.approx(1, abs=0.2)
    assert "output channels has weights" in worst.reason
    assert "per_channel" in worst.reason
    assert layer in found.reason
    assert found.ok
    assert found.repaired == ""


def test_a_repair_brings_back_what_was_lost_and_stays_small(
    shelves: Workspace, wide: Model
) -> None:
    save(shelves, changed(wide, outlier("1.3", "1.3.weight_bias", 3000)))

    found = look(shelves, recipe=PER_TENSOR, repair=True)

    assert found.before.value - found.after.value > 0.1
    assert found.recovered is not None
    assert found.recovered >= 0.9
    assert found.size_mended is not None
    assert found.size_before >= 3 * found.size_mended
    assert found.repaired == "m-repaired"
    assert found.gate
    assert found.gate.passed
    assert found.ok
    assert any(step.kept for step in found.repairs)
    entry = shelves.get("models", "m-repaired")
    assert entry.verb == "diagnose"
    assert [shelves.entry(parent).name for parent in entry.parents] == ["m", "digits"]


def test_the_recipe_of_a_repair_gives_the_same_bytes(
    shelves: Workspace, wide: Model, tmp_path: Path
) -> None:
    save(shelves, changed(wide, unequal("1.8", "1.11", 3000)))
    found = look(shelves, repair=True, name="mended")
    file = tmp_path / "recipe.toml"
    file.write_text(found.recipe)

    compression.compress(shelves, "m", Recipe.from_file(file), "digits", "again", QUIET)

    mended, again = (shelves.get("models", name) for name in ("mended", "again"))
    assert mended.files == again.files
    assert found.size_mended == shelves.file(mended, "model.onnx").stat().st_size


def test_unequal_channels_are_equalized_and_cost_nothing(shelves: Workspace, wide: Model) -> None:
    save(shelves, changed(wide, unequal("1.8", "1.11", 3000)))

    found = look(shelves, repair=True)

    assert found.layers[0].layer in {"1.8", "1.11"}
    assert 'name = "equalize_layers"' in found.recipe
    assert found.recovered is not None
    assert found.recovered >= 0.9
    assert found.size_mended == pytest.approx(found.size_after, rel=0.02)


def test_a_healthy_model_is_left_alone_and_that_is_said(shelves: Workspace, wide: Model) -> None:
    save(shelves, wide)

    found = look(shelves, repair=True)

    assert found.reason.startswith("Nothing to repair")
    assert found.repairs == ()
    assert found.recipe == found.repaired == ""
    assert found.recovered is None
    assert shelves.names("models") == ["m"]


def test_damage_is_told_layer_by_layer_while_it_is_found(shelves: Workspace, wide: Model) -> None:
    save(shelves, wide)
    events: list[Event] = []

    found = look(shelves, job=Job(events.append))

    told = [event.facts["layer"] for event in events if event.facts]
    assert (
        sorted(told) == sorted(row.layer for row in found.layers) == ["1.0", "1.11", "1.3", "1.8"]
    )
    assert all(event.done <= event.total for event in events)
    for row in found.layers:
        assert row.sqnr_db > 25
        assert row.weight_low < 0 < row.weight_high
        assert row.activation_low <= 0 < row.activation_high


def test_a_budget_below_the_int8_model_is_refused_before_the_work(
    shelves: Workspace, wide: Model
) -> None:
    save(shelves, changed(wide, outlier("1.3", "1.3.weight_bias", 300)))

    with pytest.raises(UnsupportedError, match="bytes in 8 bits already") as caught:
        look(shelves, recipe=PER_TENSOR, repair=True, max_size=10_000)

    assert "prune_channels" in caught.value.hint


def test_what_helps_but_is_too_large_is_not_taken(shelves: Workspace, wide: Model) -> None:
    def unread_outlier(arrays: dict[str, NDArray[Any]]) -> None:
        outlier("1.8", "1.8.bias", 3000)(arrays)
        arrays["1.11.weight"][:, 0] = 0  # what nobody reads cannot be equalized

    save(shelves, changed(wide, unread_outlier))
    size = look(shelves, recipe=PER_TENSOR).size_after

    found = look(shelves, recipe=PER_TENSOR, repair=True, max_size=size)

    assert "larger than --max-size allows" in found.reason
    assert next(step.how for step in found.repairs if step.accuracy > 0.9) == "per_channel"
    assert not any(step.kept for step in found.repairs)
    assert shelves.names("models") == ["m"]
    assert not found.ok


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cancelled_repair_leaves_nothing_behind(
    shelves: Workspace, wide: Model, share: float
) -> None:
    save(shelves, changed(wide, outlier("1.3", "1.3.weight_bias", 3000)))
    events: list[Event] = []
    look(shelves, recipe=PER_TENSOR, repair=True, job=Job(events.append))
    shelves.forget("models", "m-repaired")
    left = int(share * len(events))

    def listen(event: Event) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            job.cancel()

    job = Job(listen)
    with pytest.raises(Cancelled):
        look(shelves, recipe=PER_TENSOR, repair=True, job=job)

    assert shelves.names("models") == ["m"]
    assert not list(shelves.runs().iterdir())


def test_an_int8_model_is_diagnosed_through_the_float_one_it_was_made_from(
    shelves: Workspace, wide: Model
) -> None:
    save(shelves, changed(wide, outlier("1.3", "1.3.weight_bias", 300)))
    compression.compress(shelves, "m", PER_TENSOR, None, "m-int8", QUIET)

    found = look(shelves, "m-int8")

    assert found.model == "m"
    assert found.layers[0].layer == "1.3"
    assert "per_channel" in found.layers[0].reason
    assert any("m-int8 is quantized" in warning for warning in found.warnings)


def test_an_int8_model_of_unknown_origin_asks_for_the_float_one(
    shelves: Workspace, wide: Model
) -> None:
    save(shelves, QuantizeInt8().apply(wide, QUIET), "theirs")

    with pytest.raises(
        UnsupportedError, match="float model it was made from is not known"
    ) as caught:
        look(shelves, "theirs")

    assert "Import the float model" in caught.value.hint


def test_an_imported_graph_with_names_of_its_own_is_diagnosed(
    shelves: Workspace, wide: Model, tmp_path: Path
) -> None:
    graph = parse(changed(wide, outlier("1.3", "1.3.weight_bias", 3000)).graph)
    names = {tensor.name: f"array_{i}" for i, tensor in enumerate(graph.graph.initializer)}
    for tensor in graph.graph.initializer:
        tensor.name = names[tensor.name]
    for node in graph.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    file = tmp_path / "theirs.onnx"
    onnx.save(graph, file)
    journeys.import_file(shelves, file, "theirs", "digits", QUIET)
    second = [node.name for node in graph.graph.node if node.op_type == "Conv"][1]

    found = look(shelves, "theirs", recipe=PER_TENSOR, repair=True)

    assert found.layers[0].layer == second
    assert found.recovered is not None
    assert found.recovered >= 0.9


def test_a_trained_network_is_diagnosed_as_it_is(shelves: Workspace, trained: Model) -> None:
    save(shelves, trained)

    found = look(shelves)

    assert {row.layer for row in found.layers} == {"1.0", "1.3", "1.8", "1.11"}
    assert found.size_after < found.size_before


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"repair": True, "name": "../x"}, RecipeError, "is not a name"),
        ({"name": "x"}, UsageError, "of a repaired model"),
        ({"max_size": 10}, UsageError, "of a repaired model"),
        ({"slices": ("speaker",)}, UnknownNameError, "speaker"),
        (
            {"recipe": Recipe((QuantizeInt8(), HalfPrecision()))},
            RecipeError,
            "half_precision comes",
        ),
        ({"recipe": Recipe((QuantizeInt8(layers=("1.9=float",)),))}, RecipeError, "1.9"),
        ({"repair": True, "gate": Gate(max_drop=0.0001)}, DataError, "cannot show"),
        ({"repair": True, "name": "m"}, RecipeError, "stays as it is"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_with_what_to_do(
    shelves: Workspace, wide: Model, given: dict[str, Any], error: type[EdgeError], said: str
) -> None:
    save(shelves, wide)

    with pytest.raises(error, match=said) as caught:
        look(shelves, **given)

    assert caught.value.hint
    assert shelves.names("models") == ["m"]


def test_a_handful_of_items_is_refused(shelves: Workspace, wide: Model, digits: Dataset) -> None:
    save(shelves, wide)
    few = np.flatnonzero(digits.split == 1)[20:]
    split = digits.split.copy()
    split[few] = 0
    shelf.save_dataset(shelves, replace(digits, name="few", split=split), "data add", {})

    with pytest.raises(DataError, match="few has 20 validation items") as caught:
        diagnose(shelves, "m", "few", None, GATE, False, None, None, (), QUIET)

    assert "validation_share" in caught.value.hint


def test_int8_answers_are_those_of_plain_arithmetic_and_of_the_engine(
    wide: Model, digits: Dataset
) -> None:
    import onnxruntime

    graph = QuantizeInt8(layers=("1.11=weights",)).apply(wide, QUIET).graph
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs, _ = digits.part("validation")

    found = answers(graph, "probabilities", wide.signature.inputs[0], inputs, QUIET)

    [plain] = session.run(None, {wide.signature.inputs[0].name: inputs})
    engine = Runner(graph, "onnx", wide.signature).first_output(inputs, QUIET)
    assert (
        np.abs(found - plain).max() < 0.03
    )  # a value on the edge of two codes may fall either way
    assert np.abs(found - engine).max() < 1e-6


def test_of_very_many_layers_those_with_the_least_signal_are_tried(
    shelves: Workspace, wide: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(shelves, changed(wide, outlier("1.3", "1.3.weight_bias", 300)))
    monkeypatch.setattr("toolkit.diagnosis.readings.LAYERS", (1, 1))

    found = look(shelves, recipe=PER_TENSOR)

    assert [row.layer for row in found.layers] == ["1.3"]
    assert any(warning.startswith("3 of 4 layers were not tried") for warning in found.warnings)


def test_layers_that_stay_float_are_told_with_the_reason(shelves: Workspace, wide: Model) -> None:
    save(shelves, wide)

    found = look(shelves, recipe=Recipe((QuantizeInt8(layers=("1.11=half", "1.8=half")),)))

    assert {row.layer for row in found.layers} >= {"1.0", "1.3"}
    assert any("1.8, 1.11: asked for" in warning for warning in found.warnings)


def test_numbers_are_diagnosed_by_the_variance_that_is_explained(
    workspace: Workspace, table: WriteTable
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 3))
    wanted = values @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=400)
    rows = [["a", "b", "c", "y"], *np.column_stack([values, wanted]).round(4).tolist()]
    data = Csv().dataset("digits", str(table(rows)), "y", QUIET)
    shelf.save_dataset(workspace, data, "data add", {})
    journeys.train(workspace, "digits", "mlp", ("epochs=15",), "m", QUIET)

    found = look(workspace, gate=Gate(max_drop=0.05))

    assert found.gate
    assert found.gate.metric == "R²"
    for row in found.layers:
        assert row.damage == pytest.approx(row.loss, abs=1e-6)  # the loss is 1 - R²
    assert found.after.value > 0.9


def test_nothing_to_repair_and_a_gate_that_does_not_hold_are_both_told() -> None:
    right, wrong = np.eye(2)[[0] * 400], np.eye(2)[[1] * 8 + [0] * 392]
    targets = np.zeros(400, int)
    gained = judge(GATE, wrong, right, targets, {})
    lost = judge(Gate(max_drop=0.01), right, wrong, targets, {})

    told = healthy(gained, 4, lost)

    assert "the model gains 2.00 points on 400 validation items" in told
    assert told.endswith("On the test items the gate does not hold yet.")
    assert "does not hold" not in healthy(gained, 4, gained)


def test_a_large_model_is_tried_on_fewer_items_and_then_on_fewer_layers() -> None:
    assert affordable(30_000, 4) == Budget(2000, 64)
    assert affordable(12_000_000, 50) == Budget(10**12 // (50 * 12_000_000), 50)
    assert affordable(300_000_000, 53) == Budget(200, 16)
    assert affordable(0, 0) == Budget(2000, 64)


def test_the_loss_is_the_same_for_scores_and_shares_and_falls_with_sureness() -> None:
    scores = np.array([[2.0, 0.0], [0.0, 1.0]], np.float32)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = np.array([0, 1])

    assert mean_loss(scores, targets) == pytest.approx(mean_loss(shares, targets), abs=1e-6)
    assert mean_loss(scores * 3, targets) < mean_loss(scores, targets)
    # -ln(e²/(e²+1)) = 0.1269 and -ln(e/(e+1)) = 0.3133: their mean is 0.2201
    assert mean_loss(scores, targets) == pytest.approx(0.2201, abs=1e-4)
    assert mean_loss(np.full((2, 2), np.nan), targets) > 1e5


def test_a_scale_a_channel_never_has_more_noise_and_an_outlier_costs_decibels() -> None:
    weights = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
    spoiled = weights.copy()
    spoiled[3] *= 100

    assert weight_sqnr(weights, True) >= weight_sqnr(weights, False)
    assert sqnr(weights, weights) == 300
    assert sqnr(weights, weights * 1.1) == pytest.approx(20, abs=1e-4)  # a tenth is 20 dB
    assert outlier_of(weights) < 2
    assert outlier_of(np.append(weights, 100.0)) > 30
    assert widest(np.array([0.0, 1.0, 1.0, 50.0])) == 50
