"""From proven files to packages, and what can be told about all that was made."""

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
    IntegrityError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET
from toolkit import compression, journeys, shelf, shipping
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.digits import Digits
from toolkit.describe import dataset_info, listing, shown
from toolkit.recipe import Recipe
from toolkit.report import plain
from toolkit.workspace import Entry, Workspace

WriteTable = Callable[..., Path]


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
    small = compression.compress(workspace, "m", Recipe.of_names("quantize_int8"), None, "s", QUIET)
    built = [journeys.build(workspace, name, ("onnx", "tflite"), None, QUIET) for name in "ms"]
    packed = shipping.package(workspace, "s.tflite", "simulator", None, None, QUIET)

    assert trained.metric == "R²"
    assert trained.test.value > 0.95
    assert small.after.value > 0.9
    assert all(one.ok for one in built)
    assert packed.size_bytes > 0
    measured = journeys.measure(workspace, "s.tflite", "flats", 1, QUIET)
    assert measured.ok
    assert {row.name: row.bound for row in measured.rows}["variance explained"] == "at least 0.99"
    shelf.save_dataset(workspace, replace(data, name="moved", inputs=data.inputs + 1), "add", {})
    with pytest.raises(UnsupportedError, match="predicts a number"):
        journeys.retrain(workspace, "m", "moved", (), "m2", QUIET)


def test_lineage_goes_from_the_package_back_to_the_data(line: Workspace) -> None:
    shipping.package(line, "m-int8.onnx", "simulator", "packed", None, QUIET)

    found = shown("packed", line.root)

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


def test_golden_inputs_are_one_unseen_item_of_each_class(line: Workspace) -> None:
    found = shipping.package(line, "m-int8.onnx", "simulator", "golden", None, QUIET)

    with zipfile.ZipFile(found.path) as file:
        golden = Golden.parse(file.read("golden.json"))
    inputs, targets = shelf.dataset(line, "digits").part("test")
    packed = np.array(golden.inputs["image"].data, np.float32).reshape(golden.inputs["image"].shape)
    found_at = [int((inputs == item).all(axis=(1, 2, 3)).argmax()) for item in packed]
    assert np.array_equal(inputs[found_at], packed)
    assert targets[found_at].tolist() == list(range(10))


def test_the_reference_can_be_another_world(line: Workspace) -> None:
    field = Digits(rotation_deg=40).dataset("field", "digits", None, QUIET)
    shelf.save_dataset(line, field, "data add", {})

    own = shipping.package(line, "m-int8.onnx", "simulator", "own", None, QUIET)
    other = shipping.package(line, "m-int8.onnx", "simulator", "other", None, QUIET, "field")

    profiles = [shipping.reference_of(line, line.get("packages", p.name)) for p in (own, other)]
    assert profiles[0].sketches["image.mean"].total != profiles[1].sketches["image.mean"].total
