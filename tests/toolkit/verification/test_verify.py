"""One model in several places: what agrees is certified, what does not is found and named."""

import json
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from edge_targets.runtime.errors import (
    DeviceError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET
from toolkit import devices, journeys, shelf, shipping
from toolkit.certificates import CERTIFICATE, certificate_of
from toolkit.describe import shown
from toolkit.model import Model
from toolkit.results import Certificate, Witness
from toolkit.verification import verify
from toolkit.verification.subject import File
from toolkit.workspace import Workspace

Plant = Callable[[str, str, Callable[[NDArray[Any]], None]], None]
HERE = ("onnxruntime", "litert")


def verified(shelves: Workspace, name: str, *chosen: str, device: str | None = None) -> Certificate:
    return verify(shelves, name, None, device, chosen or HERE, 60, QUIET)


def row(found: Certificate, place: str) -> Witness:
    [witness] = [witness for witness in found.witnesses if witness.place == place]
    return witness


@pytest.mark.parametrize(("name", "reference"), [("net", "torch"), ("net-int8", "graph")])
def test_a_model_agrees_in_all_places_and_is_certified(
    shelves: Workspace, name: str, reference: str
) -> None:
    found = verified(shelves, name)

    assert found.ok
    assert found.reference == reference
    assert row(found, reference).state == "reference"
    assert found.inputs == "60 of 1797 items of digits"
    for place in HERE:
        witness = row(found, place)
        assert witness.state == "agrees"
        assert witness.samples == 60
        assert witness.relative is not None
        assert witness.relative < 1e-5
        assert witness.agreement == 1
        assert witness.agreement_least == pytest.approx(0.05 ** (1 / 60))
        assert witness.bound == (0.25 if name == "net-int8" else 1e-4)


def test_one_changed_weight_is_found_and_its_layer_named(shelves: Workspace, plant: Plant) -> None:
    def one_more(weights: NDArray[Any]) -> None:
        weights[4] += 1

    plant("net-graph", "1.3", one_more)

    found = verified(shelves, "net-graph")

    assert not found.ok
    spoiled = row(found, "litert")
    assert (spoiled.state, spoiled.note) == ("differs", "net-graph.tflite")
    assert spoiled.parting == "1.3 (Conv)"
    assert row(found, "onnxruntime").passed


def test_a_spoiled_channel_of_an_int8_file_is_found_and_its_layer_named(
    shelves: Workspace, plant: Plant
) -> None:
    def emptied(weights: NDArray[Any]) -> None:
        weights[: len(weights) // 2] = 0

    plant("net-int8", "1.8", emptied)

    found = verified(shelves, "net-int8")

    assert not found.ok
    assert row(found, "litert").parting == "1.8 (Gemm)"


def test_what_cannot_be_asked_is_left_out_with_the_reason(
    shelves: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.verification.proving.chromium", lambda: None)

    found = verified(shelves, "net-int8", "onnxruntime", "ort_web", "torch", "device")

    assert found.ok
    assert {witness.place: witness.note for witness in found.witnesses if not witness.samples} == {
        "ort_web": "There is no Chromium on this machine.",
        "torch": "The model is a finished graph, and no network.",
        "device": "No device of the workspace holds a package of this model.",
    }


def test_where_nothing_can_be_held_against_the_reference_it_says_so(shelves: Workspace) -> None:
    with pytest.raises(UnsupportedError, match="No device of the workspace"):
        verified(shelves, "net-graph", "device")

    assert "certificates" not in [path.name for path in (shelves.root / "names").iterdir()]


def test_unknown_places_and_devices_are_refused(shelves: Workspace) -> None:
    with pytest.raises(UnknownNameError, match="abacus"):
        verified(shelves, "net-graph", "abacus")
    with pytest.raises(UnknownNameError, match="nowhere"):
        verified(shelves, "net-graph", "device", device="nowhere")
    with pytest.raises(RecipeError, match="no place for it"):
        verified(shelves, "net-graph", "litert", device="nowhere")
    with pytest.raises(RecipeError, match="nothing to compare"):
        verify(shelves, "net-graph", None, None, HERE, 0, QUIET)


def test_an_imported_model_without_data_is_verified_on_made_up_inputs(
    shelves: Workspace, exported: Model
) -> None:
    shelf.save_model(shelves, "found", exported.with_data(None), "import", {}, (), ())

    found = verified(shelves, "found")

    assert found.ok
    assert found.inputs == "60 of 64 made-up items"


def test_the_certificate_is_kept_shown_and_packed(shelves: Workspace) -> None:
    journeys.build(shelves, "net-graph", ("onnx",), None, QUIET)
    journeys.build(shelves, "net-int8", ("onnx",), None, QUIET)

    found = verified(shelves, "net-graph")
    package = shipping.package(shelves, "net-graph.onnx", "simulator", None, None, QUIET)
    bare = shipping.package(shelves, "net-int8.onnx", "simulator", None, None, QUIET)

    told = shown("models/net-graph", shelves.root).facts["certificate"]
    assert told["ok"]
    assert "litert: agrees" in told["places"]
    with zipfile.ZipFile(package.path) as archive:
        kept = json.loads(archive.read(CERTIFICATE))
        assert "litert: agrees" in archive.read("card.md").decode()
    assert kept["digest"] == found.digest == shelves.get("models", "net-graph").digest
    assert kept["witnesses"][0]["place"] == "graph"
    assert CERTIFICATE not in zipfile.ZipFile(bare.path).namelist()


def test_a_certificate_is_of_one_model_and_not_of_its_name(
    shelves: Workspace, exported: Model
) -> None:
    verified(shelves, "net-graph")
    known = shelves.get("models", "net-graph")
    assert certificate_of(shelves, known)

    other = shelf.save_model(shelves, "net-graph", exported, "retrain", {}, (known,), ())

    assert certificate_of(shelves, other) is None


def test_a_device_is_asked_and_counts_nothing_of_it(shelves: Workspace, tmp_path: Path) -> None:
    journeys.build(shelves, "net-graph", ("tflite",), None, QUIET)
    shipping.package(shelves, "net-graph.tflite", "simulator", "packed", None, QUIET)
    devices.add(shelves, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    shipping.deploy(shelves, "packed", "desk", QUIET)
    try:
        found = verified(shelves, "net-graph", "device", device="desk")
        counted = devices.status(shelves, "desk").samples
    finally:
        devices.stop(shelves, "desk")

    device = row(found, "device")
    assert (device.state, device.version, device.note) == (
        "agrees",
        "desk",
        "net-graph.tflite on desk",
    )
    assert device.format == "tflite"
    assert device.largest is not None
    assert device.largest < 1e-5
    assert counted == 0
    with pytest.raises(UnsupportedError, match="desk is stopped"):
        verified(shelves, "net-graph", "device")


def test_a_place_that_ends_on_the_way_is_left_out(
    shelves: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise DeviceError("It is gone.", "")

    module = import_module("toolkit.verification.places.litert")
    monkeypatch.setattr(module, "run", gone)

    found = verified(shelves, "net-graph")

    assert (row(found, "litert").state, row(found, "litert").note) == ("left out", "It is gone.")
    assert found.ok


def test_a_file_that_a_place_cannot_run_is_left_out_and_the_others_are_heard(
    shelves: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    journeys.build(shelves, "net-graph", ("onnx", "ort"), None, QUIET)
    module = import_module("toolkit.verification.places.onnxruntime")
    run = module.run

    def picky(file: File, *words: Any) -> Any:
        if file.format == "ort":
            raise UnsupportedError("It reads no such file.", "")
        return run(file, *words)

    monkeypatch.setattr(module, "run", picky)

    found = verified(shelves, "net-graph", "onnxruntime")

    states = {witness.format: witness.state for witness in found.witnesses}
    assert states == {"": "reference", "onnx": "agrees", "ort": "left out"}
    assert "net-graph.ort: It reads no such file" in [row.note for row in found.witnesses]


def test_a_file_that_does_not_load_differs(shelves: Workspace) -> None:
    entry = shelves.get("models", "net-graph")
    facts = {"format": "tflite", "quantized": False}
    shelves.put("artifacts", "bad", {"model.tflite": b"nothing"}, facts, "build", {}, (entry,))

    found = verified(shelves, "net-graph")

    assert not found.ok
    assert "bad: " in row(found, "litert").note
