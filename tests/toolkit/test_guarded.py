"""Files of strangers are read in a process of its own; what they do there ends there."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    EdgeError,
    IntegrityError,
    RecipeError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.guarded import answer, import_model
from toolkit.importers import Given, importers, read_model

MIB = 1 << 20
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def saved(file: Path, *nodes: str, **stored: np.ndarray) -> Path:
    """A graph from `x` (n, 4) to `y`, in ONNX's own text form."""
    text = " ".join(nodes) or "y = MatMul(x, w)"
    head = '<ir_version: 8, opset_import: ["" : 20]> g (float[n,4] x) => (float[n,3] y)'
    model = onnx.parser.parse_model(f"{head} {{ {text} }}")
    for name, array in {"w": WEIGHTS, **stored}.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    helper.set_model_props(model, {"labels": "a,b,c", "author": "Ada"})
    file.write_bytes(model.SerializeToString())
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(tmp_path / "model.onnx")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Would count for days."""
    body = (
        "s = Identity(x) m = ReduceMax <keepdims = 0> (x)"
        " l = Loop <body = b (int64 i, bool c, float a) => (bool d, float e)"
        " { d = Identity(c) f = Abs(a) e = Cos(f) }> (many, yes, m)"
        " p = MatMul(x, w) y = Add(p, l)"
    )
    return saved(tmp_path / "endless.onnx", body, many=np.array(1 << 60), yes=np.array(True))


def test_what_is_found_is_what_this_process_would_find(file: Path) -> None:
    given = Given(shapes={"x": (1, 4)})

    assert import_model(file, given, QUIET) == read_model(file, given, QUIET)


def test_progress_is_passed_on(file: Path) -> None:
    there: list[Event] = []
    here: list[Event] = []

    import_model(file, Given(), Job(there.append))
    read_model(file, Given(), Job(here.append))

    assert there == here
    assert there


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x08\x08\x12\x05abcde", IntegrityError),
        (b"no model", UnsupportedError),
        (None, DataError),
    ],
)
def test_refusals_come_through_as_they_are(
    tmp_path: Path, content: bytes | None, kind: type[EdgeError]
) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(kind) as there:
        import_model(path, Given(), QUIET)
    with pytest.raises(kind) as here:
        read_model(path, Given(), QUIET)

    assert (str(there.value), there.value.hint) == (str(here.value), here.value.hint)


def test_a_file_that_keeps_the_reader_busy_is_given_up(
    endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importers["onnx"], "time_s", 3.0)

    with pytest.raises(IntegrityError) as caught:
        import_model(endless, Given(), QUIET)

    assert caught.value.hint
    assert "endless.onnx" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_a_file_that_takes_too_much_memory_is_given_up(tmp_path: Path) -> None:
    # 4 TB: a shape of a few bytes asks for it
    file = saved(
        tmp_path / "huge.onnx",
        "h = ConstantOfShape(s) m = ReduceMax <keepdims = 0> (h) p = MatMul(x, w) y = Add(p, m)",
        s=np.array([1 << 20, 1 << 20]),
    )

    with pytest.raises(EdgeError) as caught:
        import_model(file, Given(), QUIET)

    assert caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
@pytest.mark.parametrize("limit", [16 * MIB, 80 * MIB])
def test_a_reader_that_breaks_takes_nothing_with_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(importers["onnx"], "memory_bytes", limit)

    with pytest.raises(IntegrityError) as caught:
        import_model(file, Given(), QUIET)

    assert "model.onnx" in str(caught.value)
    assert caught.value.hint


def test_cancelling_stops_the_child(endless: Path) -> None:
    started = threading.Event()
    job = Job(lambda event: started.set())

    def stop() -> None:
        started.wait(60)
        job.cancel()

    threading.Thread(target=stop, daemon=True).start()

    with pytest.raises(Cancelled):
        import_model(endless, Given(), job)

    assert not children()


def children() -> list[str]:
    """Readers that still run, but for those that are just ending."""
    for _ in range(50):
        found = subprocess.run(
            ["ps", "-o", "args=", "--ppid", str(os.getpid())],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        left = [line for line in found.splitlines() if "toolkit.guarded" in line]
        if not left:
            return []
        time.sleep(0.1)
    return left


def test_words_of_the_user_reach_the_reader(tmp_path: Path) -> None:
    import torch

    torch.save({"0.weight": torch.zeros(2, 4), "0.bias": torch.zeros(2)}, tmp_path / "w.pt")

    for words, kind, said in (
        (("hidden=3",), UnsupportedError, "0.weight is [2, 4], not [3, 4]"),
        (("hiden=3",), RecipeError, "no field 'hiden'"),
    ):
        with pytest.raises(kind) as caught:
            import_model(tmp_path / "w.pt", Given(network="mlp", words=words), QUIET)

        assert said in str(caught.value)


def test_a_network_is_not_named_for_a_file_that_brings_its_own(file: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"--network mlp: .* brings its own") as caught:
        import_model(file, Given(network="mlp"), QUIET)

    assert "Leave --network out" in caught.value.hint


def test_a_full_disk_is_called_so_and_the_file_not_damaged(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    words = {"importer": "onnx", "path": str(file), **asdict(Given())}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        answer(words, tmp_path, QUIET)

    said = json.loads((tmp_path / "answer.json").read_text())
    assert said["error"] == "StorageError"
    assert "No space left" in said["message"]
    assert "free some space" in said["hint"]
    assert not (tmp_path / "stored").exists()


def test_a_package_that_is_missing_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise ModuleNotFoundError('none', name='h5py')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "model.h5"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))

    with pytest.raises(ModuleNotFoundError) as caught:
        import_model(file, Given(), QUIET)

    assert caught.value.name == "h5py"
