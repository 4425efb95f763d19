"""pip resolves for a board that is not this machine; the second board needs no network."""

import shutil
import zipfile
from pathlib import Path

import pytest

from edge_targets.enrolment.wheels import AGENT, fetch_wheels
from edge_targets.places.facts import Runtime, manylinux
from edge_targets.runtime.errors import Cancelled, DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job

RUNTIME = Runtime({"onnxruntime": "1.31.1"}, ("3.11", "3.13"), "aarch64", manylinux("aarch64", 36))


def put_wheel(
    folder: Path, name: str, version: str, tag: str, needs: str = "", with_module: bool = True
) -> None:
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    need = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{module}-{version}-{tag}.whl", "w") as archive:
        if with_module:
            archive.writestr(f"{module}.py", f"version = {version!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{need}"
        )
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip can reach: a folder with wheels for several machines."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in AGENT:
        put_wheel(folder, name, "1.0", "py3-none-any")
    for python in ("cp311", "cp312", "cp313"):
        for machine in ("aarch64", "x86_64"):
            for version in ("1.31.1", "1.32.0"):
                tag = f"{python}-{python}-manylinux_2_28_{machine}"
                put_wheel(folder, "onnxruntime", version, tag, "flatbuffers")
    put_wheel(folder, "flatbuffers", "2.0", "py3-none-any")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_wheels_are_for_the_board_and_pinned_and_kept(index: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    cache = tmp_path / "cache"

    found = fetch_wheels(RUNTIME, "3.13", ("onnx",), cache, Job(events.append))
    shutil.rmtree(index)  # the network is gone
    again = fetch_wheels(RUNTIME, "3.13", ("onnx",), cache, QUIET)

    names = {path.name for path in found}
    assert "onnxruntime-1.31.1-cp313-cp313-manylinux_2_28_aarch64.whl" in names
    assert "flatbuffers-2.0-py3-none-any.whl" in names  # what it needs comes along
    assert len(names) == len(AGENT) + 2
    assert again == found
    assert {event.message for event in events} == {"fetch wheels"}
    with pytest.raises(DeviceError, match="could not be fetched"):
        fetch_wheels(RUNTIME, "3.11", ("onnx",), cache, QUIET)


def test_what_cannot_be_had_leaves_nothing_in_the_cache(index: Path, tmp_path: Path) -> None:
    (index / "flatbuffers-2.0-py3-none-any.whl").unlink()

    with pytest.raises(DeviceError, match="flatbuffers") as caught:
        fetch_wheels(RUNTIME, "3.11", ("onnx",), tmp_path / "cache", QUIET)

    assert "itself needs none" in caught.value.hint
    assert not list((tmp_path / "cache").iterdir())


def test_another_python_and_another_format_are_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"Python 3\.12") as caught:
        fetch_wheels(RUNTIME, "3.12", ("onnx",), tmp_path, QUIET)
    assert "Bookworm" in caught.value.hint
    with pytest.raises(UnsupportedError, match="'tflite'"):
        fetch_wheels(RUNTIME, "3.11", ("tflite",), tmp_path, QUIET)


def test_a_cancelled_job_ends_pip(index: Path, tmp_path: Path) -> None:
    job = Job(lambda event: job.cancel())

    with pytest.raises(Cancelled):
        fetch_wheels(RUNTIME, "3.11", ("onnx",), tmp_path / "cache", job)

    assert not list((tmp_path / "cache").glob("*"))
