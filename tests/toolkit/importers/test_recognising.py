"""Whose file it is, when it is nobody's that we read; and what weighs."""

import os
import zipfile
from pathlib import Path

import pytest

from edge_targets.runtime.errors import DataError, IntegrityError, UnsupportedError
from toolkit.importers import Source, importers, recognised


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"GGUF\3\0\0\0", "GGUF"), (b"\x18\0\0\0ORTM", ".ort"), (b"7767517\n75 83\n", "ncnn")],
)
def test_a_file_of_a_kind_that_is_not_read_is_called_by_it(
    head: bytes, kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "model"
    file.write_bytes(head + bytes(100))

    with pytest.raises(UnsupportedError) as caught:
        recognised(Source.of(file))

    assert f"{kind}" in str(caught.value)
    assert "which is not imported" in str(caught.value)
    assert "SavedModel" not in caught.value.hint
    assert "ONNX" in caught.value.hint


def test_a_core_ml_package_is_called_so(tmp_path: Path) -> None:
    file = tmp_path / "model.mlpackage.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("Manifest.json", "{}")

    with pytest.raises(UnsupportedError, match="Core ML"):
        recognised(Source.of(file))


def test_weights_beside_an_onnx_file_weigh_with_it(tmp_path: Path) -> None:
    for name, size in (("net.onnx", 10), ("net.onnx.data", 500), ("w.data", 30), ("cat.png", 9)):
        (tmp_path / name).write_bytes(bytes(size))

    assert importers["onnx"].weight_bytes(Source.of(tmp_path / "net.onnx")) == 540
    assert importers["tflite"].weight_bytes(Source.of(tmp_path / "net.onnx")) == 10


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()

    with pytest.raises(IntegrityError, match="is empty"):
        recognised(Source.of(tmp_path / "model.onnx"))


def test_an_archive_that_is_cut_short_is_called_so(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/version", "6" * 1000)
    file.write_bytes(file.read_bytes()[:500])

    with pytest.raises(IntegrityError, match="cut short"):
        recognised(Source.of(file))


def test_a_pipe_is_no_model_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DataError, match="is not a regular file"):
        Source.of(tmp_path / "pipe")
