"""What a file says of itself: written for other apps, read from whatever they wrote."""

import io
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer import metadata
from toolkit.flatbuffer.metadata import Metadata, read_metadata, with_metadata
from toolkit.flatbuffer.tables import root
from toolkit.flatbuffer.translate import translate
from toolkit.onnx_graph import parse

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
DIGITS = tuple("0123456789")
SIGNATURE = Signature(
    (TensorSpec("image", (-1, 1, 8, 8), meaning="brightness", unit="0–16"),),
    (TensorSpec("probabilities", (-1, 10), meaning="probability"),),
    DIGITS,
)


@pytest.fixture(scope="module")
def plain(small_cnn: bytes) -> bytes:
    return translate(parse(small_cnn), QUIET)


@pytest.fixture(scope="module")
def described(plain: bytes) -> bytes:
    return with_metadata(plain, SIGNATURE, "digits")


def test_what_is_written_is_read(described: bytes) -> None:
    assert read_metadata(described) == Metadata(
        name="digits",
        description="",
        labels=DIGITS,
        means=(0.0,),
        deviations=(1.0,),
        inputs=("image",),
        outputs=("probabilities",),
    )


def test_a_file_without_metadata_says_nothing(plain: bytes) -> None:
    assert read_metadata(plain) is None
    assert read_metadata(b"no such file") is None


def test_the_model_answers_as_before(
    plain: bytes, described: bytes, digits: tuple[Array, Array], run_tflite: Run
) -> None:
    inputs = {"image": digits[0][:20]}

    [before], [after] = run_tflite(plain, inputs), run_tflite(described, inputs)

    np.testing.assert_array_equal(before, after)


def test_other_programs_find_the_labels_in_the_archive(described: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().split() == list(DIGITS)


def test_the_schema_finds_the_entry_and_every_tensor(plain: bytes, described: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    before, after = (schema.Model.GetRootAs(data) for data in (plain, described))

    assert after.Version() == before.Version()
    assert after.Description() == before.Description()
    assert after.SignatureDefs(0).SignatureKey() == b"serving_default"
    assert after.BuffersLength() == before.BuffersLength() + 1
    entries = [after.Metadata(i) for i in range(after.MetadataLength())]
    assert [entry.Name() for entry in entries] == [b"TFLITE_METADATA"]
    content = after.Buffers(entries[0].Buffer()).DataAsNumpy().tobytes()
    assert content[4:8] == b"M001"


def test_stored_data_stays_aligned(described: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(described)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]

    places = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]

    assert len(places) > 5
    assert all(place % 16 == 0 for place in places)


def test_the_same_words_give_the_same_bytes_and_new_words_replace_old(
    plain: bytes, described: bytes
) -> None:
    assert with_metadata(plain, SIGNATURE, "digits") == described

    again = read_metadata(with_metadata(described, SIGNATURE, "figures"))

    assert again is not None
    assert again.name == "figures"
    assert again.labels == DIGITS


def test_the_range_of_a_unit_is_told(described: bytes) -> None:
    content = metadata.content_of(described)
    assert content is not None
    [graph] = root(content).tables(3)
    [image] = graph.tables(2)

    assert image.text(1) == "brightness (0–16)"
    assert image.table(5).floats(0) == (16.0,)
    assert image.table(5).floats(1) == (0.0,)


def test_labels_of_several_lines_stay_one_label_each(plain: bytes) -> None:
    signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs, ("a\nb", "ä", *DIGITS[2:]))

    found = read_metadata(with_metadata(plain, signature, ""))

    assert found is not None
    assert found.labels[:3] == ("a b", "ä", "2")


def test_a_model_without_labels_has_no_archive(plain: bytes) -> None:
    signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs)

    compiled = with_metadata(plain, signature, "digits")

    assert not zipfile.is_zipfile(io.BytesIO(compiled))
    assert read_metadata(compiled) is not None


def test_an_archive_that_unpacks_to_gigabytes_is_refused(plain: bytes) -> None:
    signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs, ("x",))
    bare = with_metadata(plain, signature, "")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a" * (64 << 20))

    with pytest.raises(IntegrityError, match="metadata"):
        read_metadata(bare[: bare.rindex(b"PK\x03\x04")] + stream.getvalue())


def test_damaged_files_are_refused_or_read_but_never_break(described: bytes) -> None:
    rng = random.Random(0)
    size = len(described)
    start = described.index(b"M001") - 64
    outcomes: set[bool | str] = set()
    for _ in range(3000):
        data = bytearray(described)
        for _ in range(rng.randint(1, 4)):
            place = rng.choice([rng.randrange(200), rng.randrange(start, start + 900), size - 1])
            data[place - rng.randrange(100)] = rng.choice([0, 0xFF, 0x7F, rng.randrange(256)])
        if rng.random() < 0.2:
            data = data[: rng.randrange(size)]
        try:
            outcomes.add(read_metadata(bytes(data)) is not None)
        except IntegrityError:
            outcomes.add("refused")

    assert outcomes == {True, False, "refused"}


def test_a_list_that_claims_billions_of_items_is_refused(described: bytes) -> None:
    content = metadata.content_of(described)
    assert content is not None
    place = described.index(content) + root(content).vector(3)[0] - 4
    data = described[:place] + struct.pack("<I", 0xFFFFFFF0) + described[place + 4 :]

    with pytest.raises(IntegrityError, match="damaged"):
        read_metadata(data)
