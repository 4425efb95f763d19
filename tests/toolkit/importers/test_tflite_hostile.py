"""Damaged and hostile TFLite files: each is read, or refused in two clear lines."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.importers.test_tflite_quantized import file_of, network
from tests.toolkit.importers.test_tflite_reads import SERIES, computed_shape, lstm, packed, resized
from tests.toolkit.importers.tflite_files import Maker, found_in, random
from toolkit.tflite_graph.model import read_model

Random = np.random.Generator
WORDS = [0, 1, 2, 255, 1000, 65_535, 2**20, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]
MEMORY = 300 << 20  # bytes of arrays, for files of some kilobytes


def series() -> bytes:
    m = Maker()
    x = m.tensor(SERIES, name="x")
    return m.file([x], [*lstm(time_first=True)(m, x), *computed_shape(m, x)])


def images() -> bytes:
    m = Maker()
    x = m.tensor((1, 8, 6, 4), name="x")
    return m.file([x], [*packed(m, x), *resized("RESIZE_BILINEAR")(m, x)])


FILES: dict[str, Callable[[], bytes]] = {
    "codes": lambda: file_of(network),
    "images": images,
    "series": series,
}


def flipped(data: bytes, random: Random) -> bytes:
    """Some bytes are others."""
    made = bytearray(data)
    for place in random.integers(4, len(made), random.integers(1, 6)):
        made[place] = random.integers(256)
    return bytes(made)


def reworded(data: bytes, random: Random) -> bytes:
    """Lengths, offsets and sizes are others."""
    made = bytearray(data)
    for _ in range(random.integers(1, 4)):
        place = 4 * random.integers(2, len(made) // 4)
        made[place : place + 4] = int(random.choice(WORDS)).to_bytes(4, "little")
    return bytes(made)


def cut(data: bytes, random: Random) -> bytes:
    return data[: random.integers(8, len(data))]


def copied(data: bytes, random: Random) -> bytes:
    """A piece lies where another was."""
    made, size = bytearray(data), int(random.integers(4, 64))
    source, target = random.integers(0, len(made) - size, 2)
    made[target : target + size] = made[source : source + size]
    return bytes(made)


def rewired(data: bytes, random: Random) -> bytes:
    """A sound file of another graph: operators read and make what they should not."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    for _ in range(random.integers(1, 3)):
        operator = graph.operators[random.integers(len(graph.operators))]
        tensor = graph.tensors[random.integers(len(graph.tensors))]
        tensors = len(graph.tensors)
        change = random.integers(7)
        if change == 0:
            operator.inputs = [int(i) for i in random.integers(-1, tensors, len(operator.inputs))]
        elif change == 1 and len(operator.outputs):
            operator.inputs = [int(operator.outputs[0]), *list(operator.inputs)[1:]]
        elif change == 2:
            operator.outputs = [int(i) for i in random.integers(-1, tensors, random.integers(3))]
        elif change == 3:
            axes = random.integers(0, 7)
            tensor.shape = [int(n) for n in random.choice([0, 1, 3, 1 << 13, 1 << 30], axes)]
        elif change == 4:
            tensor.type = int(random.integers(20))
        elif change == 5:
            tensor.buffer = int(random.integers(len(model.buffers) + 2))
        else:
            operator.opcodeIndex = int(random.integers(len(model.operatorCodes)))
            graph.operators = list(random.permutation(graph.operators))
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


MUTATIONS = (flipped, reworded, cut, copied, rewired)


def mutated(data: bytes, seed: int) -> bytes:
    """One of all ways to break a file; the same for the same seed."""
    random = np.random.default_rng(seed)
    return MUTATIONS[seed % len(MUTATIONS)](data, random)


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_read_or_refused(name: str) -> None:
    data = FILES[name]()
    assert read_model(data, name, QUIET).signature.inputs

    hints = []
    for seed in range(120):
        try:
            read_model(mutated(data, seed), name, QUIET)
        except EdgeError as error:
            hints.append(error.hint)

    assert len(hints) > 60
    assert all(hints)


def test_a_broken_file_takes_no_more_memory_than_it_may() -> None:
    data = FILES["images"]()

    tracemalloc.start()
    for seed in range(40):
        try:
            read_model(mutated(data, seed), "images", QUIET)
        except EdgeError:
            continue
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < MEMORY


def test_a_cycle_is_damage(tmp_path: Path) -> None:
    m = Maker()
    x, one, other = (m.tensor((1, 4), name=name) for name in "xab")
    m.operate("ADD", [x, other], [one])
    m.operate("ADD", [x, one], [other])

    with pytest.raises(IntegrityError, match="nothing has made before"):
        found_in(m.file([x], [other]), tmp_path)


def test_an_operator_that_reads_its_own_result_is_damage(tmp_path: Path) -> None:
    m = Maker()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operate("ADD", [x, y], [y])

    with pytest.raises(IntegrityError, match="nothing has made before"):
        found_in(m.file([x], [y]), tmp_path)


def test_a_tensor_that_is_made_twice_is_damage(tmp_path: Path) -> None:
    m = Maker()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operate("ABS", [x], [y])
    m.operate("NEG", [x], [y])

    with pytest.raises(IntegrityError, match="there already"):
        found_in(m.file([x], [y]), tmp_path)


def test_weights_that_are_read_over_and_over_do_not_multiply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.tflite_graph.builder.ROOM", 0)
    m = Maker()
    x = last = m.tensor((1, 64))
    held = m.constant(random(64, 64))
    for _ in range(40):
        last = m.emit("FULLY_CONNECTED", [last, held], (1, 64))

    with pytest.raises(UnsupportedError, match="far more numbers than it holds"):
        found_in(m.file([x], [last]), tmp_path)


@pytest.mark.parametrize("code", ["RANGE", "FILL", "BROADCAST_TO", "ADD"])
def test_what_grows_is_not_computed_ahead(code: str, tmp_path: Path) -> None:
    """A few numbers in the file would be a gigabyte in memory."""
    m = Maker()
    x = m.tensor((1, 4))
    given: dict[str, list[Any]] = {
        "RANGE": [np.float32(0), np.float32(1e12), np.float32(1)],
        "FILL": [np.array([1 << 13, 1 << 13], np.int32), np.float32(1)],
        "BROADCAST_TO": [np.ones((1, 1), np.float32), np.array([1 << 13, 1 << 13], np.int32)],
        "ADD": [np.ones((1 << 13, 1), np.float32), np.ones((1, 1 << 13), np.float32)],
    }
    shape = (4,) if code == "RANGE" else (1 << 13, 1 << 13)
    grown = m.emit(code, [m.constant(one) for one in given[code]], shape, "float32")
    data = m.file([x], [m.emit("ADD", [x, grown], (1, 4))])

    tracemalloc.start()
    with pytest.raises(EdgeError):
        found_in(data, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("FlexErf", "SELECT_TF_OPS"),
        ("TFLite_Detection_PostProcess", "non_max_suppression"),
        ("Frobnicate", "somebody's own operator"),
        ("IF", "branches or loops"),
        ("CALL_ONCE", "branches or loops"),
    ],
)
def test_what_is_no_standard_layer_is_named(code: str, hint: str, tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor((1, 4))
    y = m.emit(code, [x], (1, 4))

    with pytest.raises(UnsupportedError, match=code) as caught:
        found_in(m.file([x], [y]), tmp_path)

    assert hint in caught.value.hint


def test_a_giant_is_taken_untried_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.tflite_graph.trial.TRIAL_S", 0)
    m = Maker()
    x = last = m.tensor((1, 512, 512, 1))
    for _ in range(30):
        last = m.emit("EXP", [last], m.shape(x))

    found = found_in(m.file([x], [last]), tmp_path)

    assert any("not tried" in note for note in found.notes)


def test_rows_that_do_not_fit_their_weights_are_damage(tmp_path: Path) -> None:
    m = Maker()
    x = m.tensor((1 << 20, 1))
    y = m.emit("FULLY_CONNECTED", [x, m.constant(random(16, 1))], (1, 16))

    with pytest.raises(IntegrityError, match="another input"):
        found_in(m.file([x], [y]), tmp_path)
