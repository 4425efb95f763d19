"""What a visitor says of an answer is counted in the window, as labels and as nothing else."""

import json
from array import array
from pathlib import Path

import pytest

from edge_targets.runtime.bridge import Bridge
from edge_targets.runtime.contract import Manifest, Profile, Record, Signature, TensorSpec
from edge_targets.runtime.errors import UnknownNameError
from edge_targets.runtime.profiler import Profiler

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def bridge() -> Bridge:
    manifest, profile = (GOLDEN / name for name in ("manifest.json", "profile.json"))
    return Bridge(manifest.read_text(), profile.read_text(), "browser-1")


def test_a_window_in_which_something_was_only_said_has_a_record(bridge: Bridge) -> None:
    bridge.feedback("zero", "one")
    bridge.feedback("zero", "one")
    bridge.feedback("one", "one")

    record = Record.parse(bridge.close())

    assert record.confusions == {"zero": {"one": 2}, "one": {"one": 1}}
    assert record.samples == 0
    assert bridge.close() == ""  # the next window is empty


def test_what_was_said_before_a_new_start_is_forgotten(bridge: Bridge) -> None:
    bridge.feedback("zero", "one")

    bridge.restart("browser-2")

    assert bridge.close() == ""


@pytest.mark.parametrize(
    "said", [("zero", "call me"), ("call me", "zero"), ("", ""), ("Zero", "one")]
)
def test_nothing_but_labels_can_be_said(bridge: Bridge, said: tuple[str, str]) -> None:
    with pytest.raises(UnknownNameError, match="no label named") as failed:
        bridge.feedback(*said)

    assert failed.value.hint
    assert bridge.close() == ""


def test_of_a_model_without_labels_nothing_can_be_said() -> None:
    signature = Signature((TensorSpec("row", (-1, 2)),), (TensorSpec("price", (-1, 1)),))
    manifest = Manifest("price", "1", "browser", "onnx", "model.onnx", signature, 1e-5, {})
    profiler = Profiler(manifest, Profile(0, {}), "browser-1")

    with pytest.raises(UnknownNameError):
        profiler.feedback("dear", "cheap")


def test_a_browser_s_window_of_one_input_does_not_tell_it(bridge: Bridge) -> None:
    golden = json.loads((GOLDEN / "golden.json").read_text())
    value = 7.3125
    for tensors in (golden["inputs"], golden["outputs"]):
        for tensor in tensors.values():
            tensor["data"] = memoryview(array("d", tensor["data"]))
    image = golden["inputs"]["image"]
    image["data"] = memoryview(array("d", [value] * len(image["data"])))

    bridge.observe(golden["inputs"], golden["outputs"], 0.7)
    exact = bridge.profiler.sketches["image"]
    text = bridge.close()

    assert exact.maximum == value  # as a device's record says it
    told = Record.parse(text)
    assert str(value) not in text
    assert told.sketches["image"].counts == exact.counts
    assert told.latency_ms.maximum == 0.7  # no input: as it was measured
