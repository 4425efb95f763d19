"""What a TFLite file says of itself becomes labels and meanings."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_targets.runtime.events import QUIET
from tests.toolkit.importers.test_tflite_quantized import float_file
from tests.toolkit.importers.tflite_files import Maker, found_in, random
from toolkit.flatbuffer.metadata import Metadata
from toolkit.formats import formats

SAID = Metadata(
    "Hands", "Three hand signs.", ("open", "closed", "pointing"), (127.5,), (127.5,),
    ("key points",), ("sign",),
)  # fmt: skip


def signs(m: Maker, x: int) -> int:
    return m.emit("FULLY_CONNECTED", [x, m.constant(random(3, 12))], (1, 3))


def say(monkeypatch: pytest.MonkeyPatch, said: Metadata) -> None:
    monkeypatch.setattr("toolkit.tflite_graph.model.read_metadata", lambda _: said)


def test_labels_and_meanings_are_those_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say(monkeypatch, SAID)

    found = found_in(float_file(signs), tmp_path)

    signature = found.model.signature
    assert signature.labels == ("open", "closed", "pointing")
    assert signature.inputs[0].meaning == "key points"
    assert signature.inputs[0].unit == "(value - 127.5) / 127.5"
    assert signature.outputs[0].meaning == "sign"
    assert found.metadata["description"] == "Three hand signs."


def test_labels_for_another_number_of_classes_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    say(monkeypatch, replace(SAID, labels=("one", "two")))

    found = found_in(float_file(signs), tmp_path)

    assert found.model.signature.labels == ("0", "1", "2")


def test_labels_survive_the_way_there_and_back(tmp_path: Path) -> None:
    model = found_in(float_file(signs), tmp_path).model
    told = replace(model.signature, labels=SAID.labels)
    data = formats["tflite"]().build(model.graph, told, QUIET).data

    again = found_in(data, tmp_path).model.signature

    assert again.labels == SAID.labels
    assert again.inputs[0].unit == ""
