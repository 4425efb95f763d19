"""What a TFLite file says of itself becomes labels and meanings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import QUIET
from tests.toolkit.importers.test_tflite_quantized import float_file
from tests.toolkit.importers.tflite_files import Maker, both, found_in, random
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


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    """The file, packed anew after a change."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_first_of_several_graphs_is_read_and_a_note_says_so(tmp_path: Path) -> None:
    data = changed(float_file(signs), lambda model: model.subgraphs.append(model.subgraphs[0]))

    found = found_in(data, tmp_path)

    assert any("2 graphs" in note for note in found.notes)


def test_weights_behind_the_graph_are_read(tmp_path: Path) -> None:
    """As they lie in large files, and in all that some converters write."""
    data, held = float_file(signs), random(3, 12).tobytes()

    def outside(place: int, size: int) -> bytes:
        def change(model: Any) -> None:
            [buffer] = [one for one in model.buffers if one.data is not None and len(one.data)]
            buffer.data, buffer.offset, buffer.size = None, place, size

        return changed(data, change)

    end = len(outside(1 << 20, len(held)))
    moved = outside(end, len(held)) + held

    [(ours, theirs)] = both(moved, [random(4, 12)], tmp_path)

    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    with pytest.raises(IntegrityError, match="claims to hold more"):
        found_in(outside(end, 1 << 20) + held, tmp_path)
