"""A delta leads from one version to the next, is small, and when damaged does nothing."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_targets.package import pack
from edge_targets.package.archive import archive
from edge_targets.runtime.errors import EdgeError, IntegrityError
from edge_targets.runtime.events import QUIET
from edge_targets.updates import delta, patch
from edge_targets.updates.delta import Made
from edge_targets.updates.tensors import tensors
from tests.edge_targets.tiny import KEY, manifest, members, onnx_model
from tests.toolkit.importers.tflite_files import Maker

Go = Callable[[bytes, bytes], Made]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Makes a delta between two contents and applies it."""

    def run(before: bytes, after: bytes) -> Made:
        made = there(tmp_path, before, after)
        assert back(tmp_path, before, after) == after
        return made

    return run


def there(folder: Path, before: bytes, after: bytes) -> Made:
    (folder / "old").write_bytes(before)
    (folder / "new").write_bytes(after)
    return delta.make(folder / "old", folder / "new", folder / "delta", QUIET)


def back(folder: Path, before: bytes, after: bytes) -> bytes:
    (folder / "old").write_bytes(before)
    expected = hashlib.sha256(after).hexdigest()
    with (folder / "old").open("rb") as file:
        base = patch.FileBase(file)
        patch.apply(folder / "delta", base, folder / "out", len(after), expected)
    return (folder / "out").read_bytes()


def network(weights: dict[str, np.ndarray], **facts: str) -> bytes:
    """An ONNX file of these initializers."""
    from onnx import helper, numpy_helper

    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([], facts.get("graph", "g"), [], [], initializers)
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "first": random.standard_normal((64, 64)).astype(np.float32),
        "second": random.standard_normal((64, 64)).astype(np.float32),
        "small": random.integers(-90, 90, (64, 256)).astype(np.int8),
        "head": random.standard_normal((10, 8)).astype(np.float32),
    }


def test_a_changed_head_takes_little_more_than_the_head(
    go: Go, weights: dict[str, np.ndarray]
) -> None:
    after = {**weights, "head": weights["head"] * np.float32(1.5) + np.float32(0.3)}

    made = go(network(weights), network(after))

    assert made.ways["unchanged"] > 48_000
    assert made.size < weights["head"].nbytes + 200


def test_numbers_that_moved_a_little_take_a_part_of_their_bytes(
    go: Go, weights: dict[str, np.ndarray]
) -> None:
    random = np.random.default_rng(1)
    for name, most in (("first", 0.7), ("small", 0.25)):
        near = weights[name] + (random.random(weights[name].shape) < 0.05).astype(np.int8)
        if name == "first":
            step = 1e-3 * random.standard_normal(weights[name].shape)
            near = (weights[name] * (1 + step)).astype(np.float32)

        made = go(network(weights), network({**weights, name: near}))

        assert made.ways["xor"] + made.ways["subtract"] == weights[name].nbytes
        assert made.size < most * weights[name].nbytes


def test_rows_that_were_added_are_all_that_travels(go: Go, weights: dict[str, np.ndarray]) -> None:
    more = np.concatenate([weights["first"], np.ones((2, 64), np.float32)])

    made = go(network(weights), network({**weights, "first": more}))

    assert made.ways["shifted"] >= more.nbytes
    assert made.size < 800


def test_a_tensor_that_is_new_travels_whole(go: Go, weights: dict[str, np.ndarray]) -> None:
    fresh = np.random.default_rng(5).standard_normal(1000).astype(np.float32)

    made = go(network(weights), network({**weights, "fresh": fresh}))

    assert 3500 < made.size < 4600


def test_what_resembles_nothing_costs_no_more_than_itself(go: Go) -> None:
    made = go(os.urandom(50_000), os.urandom(50_000))

    assert made.size < 50_200


@pytest.mark.parametrize("before", [b"", b"a", bytes(1000)])
@pytest.mark.parametrize("after", [b"", b"b", bytes(1001)])
def test_the_smallest_files_have_deltas_too(go: Go, before: bytes, after: bytes) -> None:
    go(before, after)


def test_the_same_file_is_one_step(go: Go, weights: dict[str, np.ndarray]) -> None:
    file = network(weights)

    made = go(file, file)

    assert made.ways["unchanged"] == len(file)
    assert made.size < 200


def test_a_delta_covers_all_members_of_a_package(go: Go, tmp_path: Path) -> None:
    files = []
    for version, scale in (("v1", 1.0), ("v2", 1.25)):
        pack(manifest(version), members(scale), KEY, tmp_path / version)
        files.append((tmp_path / version).read_bytes())

    made = go(*files)

    assert sum(made.ways.values()) == len(files[1])
    assert made.size < len(files[1]) / 3


def test_two_makers_give_the_same_bytes(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    after = network({**weights, "head": weights["head"] * 2})

    there(tmp_path, network(weights), after)
    first = (tmp_path / "delta").read_bytes()
    there(tmp_path, network(weights), after)

    assert (tmp_path / "delta").read_bytes() == first


@settings(max_examples=60)
@given(st.binary(max_size=400), st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_any_file_leads_to_any_other(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, piece: bytes, at: int, skip: int
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    after = before[:at] + piece + before[at + skip :]

    there(folder, before, after)

    assert back(folder, before, after) == after


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True, max_size=5)


@settings(max_examples=60)
@given(NAMES, NAMES, st.lists(st.sampled_from([b"", b"xy" * 99, b"xyz" * 66, b"q"]), min_size=10))
def test_members_may_come_go_and_change_places(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], data: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    before = archive({name: data[number] for number, name in enumerate(old)})
    after = archive({name: data[number + 5] for number, name in enumerate(new)})

    there(folder, before, after)

    assert back(folder, before, after) == after


@settings(max_examples=30)
@given(
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([patch.XOR, patch.SUBTRACT]),
    st.binary(max_size=64),
)
def test_planes_are_undone_exactly(width: int, kind: int, noise: bytes) -> None:
    count = len(noise) // 2 // width * width
    before, after = noise[:count], noise[len(noise) - count :]

    assert patch.joined(before, patch.parted(before, after, kind, width), kind, width) == after


# --- damage


def test_no_damage_to_a_delta_is_taken_for_the_new_version(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    small = {"first": weights["first"][:8], "head": weights["head"]}
    before = network(small)
    after = network({"first": small["first"] * np.float32(1.01), "head": small["head"][:5]})
    there(tmp_path, before, after)
    good = (tmp_path / "delta").read_bytes()
    random = np.random.default_rng(3)
    damaged = [good[:size] for size in range(0, len(good), 37)] + [good + b"x", b""]
    for at in range(0, len(good), 5):
        flipped = bytearray(good)
        flipped[at] ^= 1 << int(random.integers(8))
        damaged.append(bytes(flipped))

    for data in damaged:
        (tmp_path / "delta").write_bytes(data)
        try:
            assert back(tmp_path, before, after) == after  # the flip met a bit nobody reads
        except EdgeError:
            assert not (tmp_path / "out").exists()


def test_a_delta_for_another_base_is_refused(
    tmp_path: Path, weights: dict[str, np.ndarray]
) -> None:
    before, after = network(weights), network({**weights, "head": weights["head"] * 2})
    there(tmp_path, before, after)

    with pytest.raises(IntegrityError, match="the base is not the file"):
        back(tmp_path, before.replace(b"first", b"fisrt"), after)
    with pytest.raises(IntegrityError, match="it is between other files"):
        back(tmp_path, before + b"x", after)


def header(size: int, steps: bytes, streams: int = 5, unpacked: int | None = None) -> bytes:
    head = patch.HEAD.pack(patch.MAGIC, 100, size, hashlib.sha256(b"").digest())
    length = len(steps) if unpacked is None else unpacked
    row = patch.STREAM.pack(patch.STORED, length, len(steps))
    none = patch.STREAM.pack(patch.STORED, 0, 0) * (streams - 1)
    return head + row + none + steps


@pytest.mark.parametrize(
    "step",
    [
        (patch.COPY, 0, 0, 0, 1 << 60, 0, 0),
        (patch.COPY, 0, 0, 0, 50, -10, 0),
        (patch.COPY, 0, 0, 0, 50, 90, 0),
        (patch.XOR, 3, 0, 0, 50, 0, 0),
        (patch.XOR, 4, 0, 0, 50, 0, 0),
        (patch.XOR, 0, 0, 0, 50, 0, 0),
        (patch.SHIFT, 0, 0, 1 << 31, 50, 0, 100),
        (patch.SHIFT, 0, 0, 0, 50, 0, 100),
        (patch.WHOLE, 0, 0, 0, 50, 0, 0),
        (9, 0, 0, 0, 50, 0, 0),
    ],
)
def test_a_step_that_leads_elsewhere_is_refused(tmp_path: Path, step: tuple[int, ...]) -> None:
    (tmp_path / "delta").write_bytes(header(50, patch.STEP.pack(*step)))
    (tmp_path / "old").write_bytes(bytes(100))

    expected = hashlib.sha256(b"").hexdigest()
    with (tmp_path / "old").open("rb") as file, pytest.raises(IntegrityError):
        patch.apply(tmp_path / "delta", patch.FileBase(file), tmp_path / "out", 50, expected)


LARGE = """
import hashlib, sys
from pathlib import Path
from edge_targets.updates import patch
import numpy, zstandard
def most():  # not getrusage: that counts what the parent had before the exec
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
folder, size = Path(sys.argv[1]), int(sys.argv[2])
digest = hashlib.file_digest((folder / "new").open("rb"), "sha256").hexdigest()
began = most()
with (folder / "old").open("rb") as file:
    patch.apply(folder / "delta", patch.FileBase(file), folder / "out", size, digest)
print(most() - began)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    before = random.standard_normal(8 << 20).astype(np.float32)  # 32 MiB
    after = before.copy()
    after[::1000] += 1
    there(tmp_path, before.tobytes(), after.tobytes())
    words = [sys.executable, "-c", LARGE, str(tmp_path), str(after.nbytes)]

    done = subprocess.run(words, capture_output=True, cwd=Path(__file__).parents[2], check=True)

    assert int(done.stdout) < 12 << 10  # KiB
    assert (tmp_path / "out").read_bytes() == after.tobytes()


# --- the readers


def test_the_tensors_of_an_onnx_file_are_found(weights: dict[str, np.ndarray]) -> None:
    data = network(weights)

    found = {one.name: one for one in tensors("model.onnx", memoryview(data))}

    assert set(found) == set(weights)
    for name, value in weights.items():
        one = found[name]
        assert data[one.start : one.end] == value.tobytes()
        assert one.width == value.itemsize


def test_the_tensors_of_a_tflite_file_are_found() -> None:
    maker = Maker()
    entry = maker.tensor((1, 8))
    arrays: list[np.ndarray] = [
        np.arange(32, dtype=np.float32).reshape(4, 8),
        np.arange(4, dtype=np.float32),
    ]
    places = [maker.constant(array) for array in arrays]
    bytewise = np.arange(100, dtype=np.int8)
    maker.constant(bytewise)
    data = maker.file([entry], [maker.emit("FULLY_CONNECTED", [entry, *places], (1, 4))])

    found = {one.name: one for one in tensors("model.tflite", memoryview(data))}

    arrays.append(bytewise)
    for place, array in zip((*places, places[-1] + 1), arrays, strict=True):
        one = found[f"0/tensor_{place}"]
        assert data[one.start : one.end] == array.tobytes()
        assert one.width == array.itemsize


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_model_has_fewer_tensors_and_ends_no_reader(data: st.DataObject) -> None:
    good = onnx_model()
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(st.binary(max_size=9)) + good[at + 1 :]
    for name, content in (("m.onnx", damaged), ("m.tflite", b"\x1c\0\0\0TFL3" + damaged)):
        end = 0
        for one in tensors(name, memoryview(content)):
            assert end <= one.start < one.end <= len(content)
            end = one.end


def test_a_manifest_with_other_facts_does_not_matter(go: Go, tmp_path: Path) -> None:
    pack(manifest("v1"), members(), KEY, tmp_path / "a")
    pack(
        replace(manifest("v2"), name="other"), {**members(), "more.txt": b"x"}, KEY, tmp_path / "b"
    )

    go((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes())
