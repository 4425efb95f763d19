"""The line on a workspace, step by step, with what each step refuses."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_targets.package import public_key, verify
from edge_targets.runtime.contract import Golden, Profile
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    EdgeError,
    IntegrityError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import journeys, shelf, shipping
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.digits import Digits
from toolkit.describe import dataset_info, listing, shown
from toolkit.model import Model
from toolkit.recipe import Recipe
from toolkit.report import plain
from toolkit.workspace import Entry, Workspace

WORDS = ("channels=4,8", "hidden=16", "epochs=4", "seed=1")
WriteTable = Callable[..., Path]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Workspace:
    """Digits, turned digits, a model, an int8 model and its artifacts."""
    shelves = Workspace.create(tmp_path_factory.mktemp("line"))
    shelf.save_dataset(shelves, digits, "data add", {})
    turned = Digits(rotation_deg=30, noise=1).dataset("turned", "digits", None, QUIET)
    shelf.save_dataset(shelves, turned, "data add", {})
    journeys.train(shelves, "digits", "small_cnn", WORDS, "m", QUIET)
    journeys.compress(shelves, "m", Recipe.of_names("quantize_int8"), None, "m-int8", QUIET)
    journeys.build(shelves, "m-int8", ("onnx", "tflite"), None, QUIET)
    return shelves


def test_training_tells_how_good_the_model_is_and_keeps_it(
    workspace: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(workspace, digits, "data add", {})

    found = journeys.train(workspace, "digits", "small_cnn", WORDS, "m", QUIET)

    assert (found.name, found.network, found.data, found.epochs) == ("m", "small_cnn", "digits", 4)
    assert found.metric == "accuracy"
    assert 0.8 < found.test.low < found.test.value < found.test.high
    entry = workspace.get("models", "m")
    assert entry.parameters["channels"] == [4, 8]
    assert shelf.load_model(workspace, entry).parameters == found.parameters
    assert not list((workspace.root / "runs").iterdir())


def test_a_cancelled_training_goes_on_when_it_is_typed_again(
    workspace: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(workspace, digits, "data add", {})

    def cancel_in_the_third_epoch(event: Event) -> None:
        if event.done == 2:
            job.cancel()

    job, events = Job(cancel_in_the_third_epoch), list[Event]()
    with pytest.raises(Cancelled):
        journeys.train(workspace, "digits", "small_cnn", WORDS, "m", job)
    assert workspace.names("models") == []

    journeys.train(workspace, "digits", "small_cnn", WORDS, "m", Job(events.append))

    assert events[0].done == 2


@pytest.mark.parametrize(
    ("data", "network", "words", "name", "said"),
    [
        ("digits", "small_cnn", (), "../m", "is not a name"),
        ("digit", "small_cnn", (), "m", "no dataset named 'digit'"),
        ("digits", "smal_cnn", (), "m", "no network named 'smal_cnn'"),
        ("digits", "small_cnn", ("chanels=3",), "m", "no field 'chanels'"),
        ("digits", "small_cnn", ("epochs=0",), "m", "epochs"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_done(
    line: Workspace, data: str, network: str, words: tuple[str, ...], name: str, said: str
) -> None:
    events: list[Event] = []

    with pytest.raises(EdgeError, match=said) as caught:
        journeys.train(line, data, network, words, name, Job(events.append))

    assert caught.value.hint
    assert events == []


def test_an_image_network_on_a_table_is_refused_with_the_one_to_use(
    workspace: Workspace, table: WriteTable
) -> None:
    rows = [["x", "kind"], *[[i, "ab"[i % 2]] for i in range(20)]]
    data = Csv().dataset("rows", str(table(rows)), "kind", QUIET)
    shelf.save_dataset(workspace, data, "data add", {})

    with pytest.raises(UnsupportedError) as caught:
        journeys.train(workspace, "rows", "small_cnn", (), "m", QUIET)

    assert "--network mlp" in caught.value.hint


def test_compressing_tells_what_each_pass_brought(line: Workspace) -> None:
    recipe = Recipe.of_names("prune_channels,quantize_int8")

    found = journeys.compress(line, "m", recipe, None, "small", QUIET)

    assert [step.name for step in found.steps] == ["prune_channels", "quantize_int8"]
    assert [step.changed for step in found.steps] == [True, True]
    assert found.steps[0].size_before == found.size_before
    assert found.steps[0].size_after == found.steps[1].size_before
    assert found.steps[1].size_after == found.size_after < found.size_before
    assert "parameters became" in found.steps[0].summary
    assert found.before.value > 0.8
    assert line.get("models", "small").parameters["recipe"] == recipe.to_toml()


def test_compressing_with_data_of_another_shape_is_refused(
    line: Workspace, table: WriteTable
) -> None:
    add_table(line, table, "other", "ab")

    with pytest.raises(DataError, match="holds"):
        journeys.compress(line, "m", Recipe.of_names("quantize_int8"), "other", "x", QUIET)


def test_a_built_file_is_proven_on_all_data(line: Workspace) -> None:
    found = journeys.build(line, "m", ("onnx", "tflite"), None, QUIET)

    assert found.ok
    assert [artifact.name for artifact in found.artifacts] == ["m.onnx", "m.tflite"]
    for artifact in found.artifacts:
        entry = line.get("artifacts", artifact.name)
        parity = entry.facts["parity"]
        assert (artifact.samples, artifact.label_agreement) == (1797, 1)
        assert artifact.max_difference <= parity["tolerance"] == 1e-4
        assert line.file(entry, f"model{Path(artifact.name).suffix}").name == artifact.sha256
        assert not entry.facts["quantized"]


def test_an_int8_file_keeps_the_labels_of_its_model(line: Workspace) -> None:
    for name in ("m-int8.onnx", "m-int8.tflite"):
        facts = line.get("artifacts", name).facts
        assert facts["quantized"]
        assert facts["parity"]["passed"]
        assert facts["parity"]["label_agreement"] >= 0.995


def test_an_unknown_format_fails_before_any_work(line: Workspace) -> None:
    with pytest.raises(UnknownNameError) as caught:
        journeys.build(line, "m", ("onnx", "tflit"), None, QUIET)

    assert caught.value.hint == "Did you mean 'tflite'?"


@pytest.mark.parametrize("name", ["m", "m-int8", "m-int8.tflite"])
def test_measuring_tells_quality_equality_size_and_speed(line: Workspace, name: str) -> None:
    found = journeys.measure(line, name, "digits", 1, QUIET)

    rows = {row.name: row for row in found.rows}
    assert found.ok
    assert rows["accuracy"].value > 0.8  # type: ignore[operator]
    assert rows["test items"].value == 359
    assert rows["latency p50"].value <= rows["latency p99"].value  # type: ignore[operator]
    assert ("largest difference" in rows) == name.endswith("tflite")


def add_table(shelves: Workspace, table: WriteTable, name: str, kinds: str) -> None:
    rows = [["colour", "kind"], *[[c, k] for c, k in zip("rgb" * 20, kinds * 30, strict=False)]]
    data = Csv().dataset(name, str(table(rows, f"{name}.csv")), "kind", QUIET)
    shelf.save_dataset(shelves, data, "data add", {})


def test_measuring_with_data_of_another_kind_is_refused_with_the_difference(
    workspace: Workspace, digits: Dataset, table: WriteTable
) -> None:
    add_table(workspace, table, "rows", "ab")
    journeys.train(workspace, "rows", "mlp", ("epochs=1",), "m", QUIET)
    shelf.save_dataset(workspace, digits, "data add", {})
    add_table(workspace, table, "three", "abc")
    add_table(workspace, table, "renamed", "ac")
    blue = Csv().dataset(
        "blue", str(table("colour,kind\n" + "b,a\nb,b\nx,a\nx,b\n" * 9)), "kind", QUIET
    )
    shelf.save_dataset(workspace, blue, "data add", {})
    said = {}
    for name in ("digits", "three", "renamed", "blue"):
        with pytest.raises(DataError) as caught:
            journeys.measure(workspace, "m", name, 1, QUIET)
        said[name] = str(caught.value)
        assert caught.value.hint

    assert "[-1, 1]; digits holds [-1, 1, 8, 8]" in said["digits"]
    assert "three has 3 classes" in said["three"]
    assert "a, b; renamed has a, c" in said["renamed"]
    assert "in column 'colour' b, x and not b, g, r" in said["blue"]


@pytest.mark.parametrize("threads", [0, -1])
def test_no_thread_at_all_is_refused(line: Workspace, threads: int) -> None:
    with pytest.raises(UnsupportedError):
        journeys.measure(line, "m", "digits", threads, QUIET)


def test_retraining_is_better_on_what_is_new_and_not_worse_on_what_was(line: Workspace) -> None:
    found = journeys.retrain(line, "m-int8", "turned", ("epochs=12",), "m2", QUIET)

    today, before = found.comparisons
    assert (today.data, before.data) == ("turned", "digits")
    assert today.passed
    assert today.low > 0
    assert today.new.value - today.old.value == pytest.approx(today.difference)
    assert found.source == "m-int8"
    entry = line.get("models", "m2")
    assert [e.name for e in shelf.data_of(line, entry)] == ["turned", "digits"]
    assert entry.parameters["seed"] == 1
    assert entry.parameters["epochs"] == 12


def test_retraining_with_what_was_learned_already_is_refused(
    line: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(line, replace(digits, name="digits-again"), "data add", {})

    for name in ("digits", "digits-again"):
        with pytest.raises(DataError, match=f"learned from {name} already") as caught:
            journeys.retrain(line, "m", name, (), "m3", QUIET)
        assert caught.value.hint
    assert "m3" not in line.names("models")


def test_an_imported_model_travels_the_line_once_its_data_is_named(
    line: Workspace, tmp_path: Path
) -> None:
    entry = line.get("artifacts", "m-int8.onnx")
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(entry, "model.onnx"))

    alone = journeys.import_file(line, file, "alone", None, QUIET)
    known = journeys.import_file(line, file, "known", "digits", QUIET)

    assert alone.inputs[0].unit == ""
    assert known.inputs[0].unit == "0-16"
    assert known.operators["QuantizeLinear"] > 0
    assert journeys.measure(line, "alone", "digits", 1, QUIET).rows[0].value > 0.8  # type: ignore[operator]
    assert journeys.build(line, "known", ("onnx",), None, QUIET).ok
    with pytest.raises(UnsupportedError, match="needs data"):
        journeys.build(line, "alone", ("onnx",), None, QUIET)
    with pytest.raises(UnsupportedError, match="no network to train"):
        journeys.retrain(line, "known", "turned", (), "m4", QUIET)


def test_a_model_is_not_imported_with_data_of_another_shape(
    line: Workspace, table: WriteTable, tmp_path: Path
) -> None:
    add_table(line, table, "rows", "ab")
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(line.get("artifacts", "m-int8.onnx"), "model.onnx"))

    with pytest.raises(DataError, match="rows holds"):
        journeys.import_file(line, file, "theirs", "rows", QUIET)

    assert "theirs" not in line.names("models")


def planted(line: Workspace, name: str, **parity: object) -> Entry:
    """An artifact that looks like the real one, but for its parity."""
    real = line.get("artifacts", "m-int8.onnx")
    facts = {**real.facts, "parity": {**real.facts["parity"], **parity}}
    files = {"model.onnx": line.read(real, "model.onnx")}
    parents = tuple(line.entry(digest) for digest in real.parents)
    return line.put("artifacts", name, files, facts, "build", {}, parents)


def test_a_file_that_answers_otherwise_is_kept_out_of_packages(
    line: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(line, "wrong.onnx", passed=False, max_difference=0.9, label_agreement=0.4)

    with pytest.raises(IntegrityError, match="does not answer like its model") as caught:
        shipping.package(line, "wrong.onnx", "simulator", None, None, QUIET)

    assert caught.value.hint
    assert "wrong.onnx-simulator" not in line.names("packages")


def test_a_model_that_gives_no_numbers_fails_its_proof_and_is_not_packed(
    line: Workspace, digits: Dataset
) -> None:
    model = shelf.load_model(line, line.get("models", "m"))
    broken = model.with_weights({k: v * np.float32("nan") for k, v in model.weights.items()})
    source = (line.get("datasets", "digits"),)
    shelf.save_model(line, "broken", broken, "train", {}, source, source)

    found = journeys.build(line, "broken", ("onnx",), None, QUIET)

    assert not found.ok
    assert json.loads(json.dumps(plain(found)))["artifacts"][0]["max_difference"] is None
    with pytest.raises(IntegrityError, match="does not answer"):
        shipping.package(line, "broken.onnx", "simulator", None, None, QUIET)


def test_a_package_holds_what_a_device_needs_and_answers_its_golden_inputs(
    line: Workspace, tmp_path: Path
) -> None:
    found = shipping.package(line, "m-int8.tflite", "simulator", None, "digits", QUIET)

    key = shipping.signing_key_of(line)
    manifest = verify(Path(found.path), [public_key(key)])
    entry = line.get("packages", found.name)
    data = shelf.dataset(line, "digits")
    profile = shipping.reference_of(line, entry)
    assert (manifest.name, manifest.format, manifest.target) == ("digits", "tflite", "simulator")
    assert manifest.version == line.get("artifacts", "m-int8.tflite").files["model.tflite"][:12]
    assert manifest.signature.labels == data.labels
    assert isinstance(profile, Profile)
    assert profile.samples == data.count("validation")


def test_packing_again_gives_the_same_model_and_golden_answers(line: Workspace) -> None:
    found = [
        shipping.package(line, "m-int8.onnx", "simulator", f"p{i}", "digits", QUIET)
        for i in range(2)
    ]

    files = [Path(one.path).read_bytes() for one in found]
    assert files[0] == files[1]


def test_a_table_with_gaps_is_packed(workspace: Workspace, table: WriteTable) -> None:
    rows = [["x", "colour", "kind"]]
    rows += [["" if i % 2 else str(i), "rgb"[i % 3], "ab"[i % 2]] for i in range(60)]
    data = Csv().dataset("rows", str(table(rows)), "kind", QUIET)
    shelf.save_dataset(workspace, data, "data add", {})
    journeys.train(workspace, "rows", "mlp", ("epochs=2",), "m", QUIET)
    journeys.build(workspace, "m", ("tflite",), None, QUIET)

    found = shipping.package(workspace, "m.tflite", "simulator", None, None, QUIET)

    assert Path(found.path).stat().st_size == found.size_bytes


def test_a_regression_travels_the_line(workspace: Workspace, table: WriteTable) -> None:
    rng = np.random.default_rng(0)
    areas = rng.uniform(30, 200, 300)
    prices = 3000 * areas + rng.normal(0, 9000, 300)
    rows = [
        ["area", "price"],
        *[[f"{a:.1f}", f"{p:.2f}"] for a, p in zip(areas, prices, strict=True)],
    ]
    data = Csv().dataset("flats", str(table(rows)), "price", QUIET)
    shelf.save_dataset(workspace, data, "data add", {})

    trained = journeys.train(workspace, "flats", "mlp", (), "m", QUIET)
    small = journeys.compress(workspace, "m", Recipe.of_names("quantize_int8"), None, "s", QUIET)
    built = [journeys.build(workspace, name, ("onnx", "tflite"), None, QUIET) for name in "ms"]
    packed = shipping.package(workspace, "s.tflite", "simulator", None, None, QUIET)

    assert trained.metric == "R²"
    assert trained.test.value > 0.95
    assert small.after.value > 0.9
    assert all(one.ok for one in built)
    assert packed.size_bytes > 0
    assert journeys.measure(workspace, "s.tflite", "flats", 1, QUIET).ok
    shelf.save_dataset(workspace, replace(data, name="moved", inputs=data.inputs + 1), "add", {})
    with pytest.raises(UnsupportedError, match="predicts a number"):
        journeys.retrain(workspace, "m", "moved", (), "m2", QUIET)


def test_lineage_goes_from_the_package_back_to_the_data(line: Workspace) -> None:
    shipping.package(line, "m-int8.onnx", "simulator", "packed", None, QUIET)

    found = shown(line, "packed")

    assert [(made.depth, made.kind, made.name) for made in found.lineage] == [
        (0, "packages", "packed"),
        (1, "artifacts", "m-int8.onnx"),
        (2, "models", "m-int8"),
        (3, "models", "m"),
        (4, "datasets", "digits"),
    ]
    json.dumps(plain(found))


def test_everything_can_be_listed_and_told_as_json(line: Workspace) -> None:
    for kind in (None, "models", "datasets", "artifacts", "packages", "devices"):
        found = listing(kind, line.root)
        assert all(item.summary for item in found.items)
        json.dumps(plain(found))
    for kind in ("sources", "networks", "importers", "passes", "formats", "targets", "drift_tests"):
        assert all(item.summary for item in listing(kind, None).items)
    with pytest.raises(UnknownNameError) as caught:
        listing("model", line.root)
    assert caught.value.hint == "Did you mean 'models'?"


def test_a_dataset_is_described_column_by_column(table: WriteTable, digits: Dataset) -> None:
    rows = [["x", "colour", "kind"]]
    rows += [["" if i == 5 else str(i), "rg"[i % 2], "ab"[i % 2]] for i in range(20)]

    found = dataset_info(Csv().dataset("rows", str(table(rows)), "kind", QUIET))
    images = dataset_info(digits)

    assert [(c.name, c.type, c.missing, c.low, c.high) for c in found.columns] == [
        ("x", "number", 1, 0, 19),
        ("colour", "category", 0, None, None),
    ]
    assert sum(found.split.values()) == found.rows == 20
    assert [(c.name, c.low, c.high) for c in images.columns] == [("image", 0, 16)]


def test_a_damaged_weight_file_is_said_when_the_model_is_used(
    workspace: Workspace, trained: Model, digits: Dataset
) -> None:
    source = (shelf.save_dataset(workspace, digits, "data add", {}),)
    entry = shelf.save_model(workspace, "m", trained, "train", {}, source, source)
    file = workspace.file(entry, "weights.safetensors")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(IntegrityError, match="is damaged"):
        journeys.build(workspace, "m", ("onnx",), None, QUIET)


def test_names_are_checked_first_everywhere(line: Workspace, tmp_path: Path) -> None:
    recipe = Recipe.of_names("quantize_int8")
    calls: list[Callable[[], object]] = [
        lambda: journeys.train(line, "digits", "small_cnn", (), "M", QUIET),
        lambda: journeys.compress(line, "m", recipe, None, "M", QUIET),
        lambda: journeys.import_file(line, tmp_path / "none", "M", None, QUIET),
        lambda: journeys.retrain(line, "m", "turned", (), "M", QUIET),
    ]

    for call in calls:
        with pytest.raises(RecipeError, match="'M' is not a name"):
            call()


def test_golden_inputs_are_one_unseen_item_of_each_class(line: Workspace) -> None:
    found = shipping.package(line, "m-int8.onnx", "simulator", "golden", None, QUIET)

    with zipfile.ZipFile(found.path) as file:
        golden = Golden.parse(file.read("golden.json"))
    inputs, targets = shelf.dataset(line, "digits").part("test")
    packed = np.array(golden.inputs["image"].data, np.float32).reshape(golden.inputs["image"].shape)
    found_at = [int((inputs == item).all(axis=(1, 2, 3)).argmax()) for item in packed]
    assert np.array_equal(inputs[found_at], packed)
    assert targets[found_at].tolist() == list(range(10))
