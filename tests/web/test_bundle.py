"""A bundle on disk: what is in it, and what happens when it cannot be made."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edge_targets.catalog import targets
from edge_targets.catalog.browser import ROOT, bundle, runtime_archive
from edge_targets.package import SigningKey, pack, unpack
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import Cancelled, IntegrityError, StorageError, UnsupportedError
from edge_targets.runtime.events import Event, Job

KEY = SigningKey.from_seed(bytes(range(32)))  # as in conftest.py


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Stands for the built files where only their copying is looked at."""
    made = tmp_path / "built"
    (made / "ort").mkdir(parents=True)
    (made / "index.html").write_text("<!doctype html>")
    (made / "ort" / "engine.wasm").write_bytes(b"\0asm")
    return made


def digest_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_index_names_every_file(package: Path, page: Path, tmp_path: Path) -> None:
    made = bundle(package, tmp_path / "out", [KEY.public], web=page)

    index = json.loads((made.directory / "bundle.json").read_text())
    found = digest_of(made.directory)
    del found["bundle.json"]
    assert {name: fact["sha256"] for name, fact in index["files"].items()} == found
    assert {"index.html", "ort/engine.wasm", "runtime.zip", "package/model.onnx"} <= set(found)
    sizes = [path.stat().st_size for path in made.directory.rglob("*") if path.is_file()]
    assert (made.files, made.size_bytes) == (len(sizes), sum(sizes))


def test_the_same_package_makes_the_same_bytes(package: Path, page: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bundle(package, tmp_path / name, [KEY.public], web=page)

    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")


def test_the_runtime_archive_holds_the_sources_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(runtime_archive())) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}

    assert found == {
        path.relative_to(ROOT.parent).as_posix(): path.read_bytes()
        for path in [ROOT / "__init__.py", *(ROOT / "runtime").rglob("*.py")]
    }


def test_python_imports_the_runtime_from_its_archive(tmp_path: Path) -> None:
    file = tmp_path / "runtime.zip"
    file.write_bytes(runtime_archive())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from edge_targets.runtime import bridge, engines; "
        "print(bridge.__file__, engines.engines.names())"
    )

    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(file)], capture_output=True, check=True
    ).stdout.decode()

    assert said.startswith(str(file))
    assert "onnx" in said


def test_an_older_bundle_is_replaced(package: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (page / "stale.txt").write_text("of an older page")
    bundle(package, out, [KEY.public], web=page)
    (page / "stale.txt").unlink()

    bundle(package, out, [KEY.public], web=page)

    assert not (out / "stale.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_folder_with_other_things_is_left_alone(
    package: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")

    with pytest.raises(StorageError, match="left alone"):
        bundle(package, out, [KEY.public], web=page)

    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "index",
    [
        "{}",
        "[]",
        "not JSON",
        "[" * 100_000,
        '{"schema": 1, "model": "m", "version": "1", "files": []}',
        '{"schema": 1, "model": "m", "version": "1", "files": {"index.html": {}}}',
        '{"schema": 2, "model": "m", "version": "1", "files": {"src/code.js": {}}}',
    ],
)
def test_a_file_called_like_our_index_makes_no_folder_ours(
    package: Path, page: Path, tmp_path: Path, index: str
) -> None:
    out = tmp_path / "project"
    (out / "src").mkdir(parents=True)
    (out / "bundle.json").write_text(index)
    (out / "src" / "code.js").write_text("precious")

    with pytest.raises(StorageError, match="left alone"):
        bundle(package, out, [KEY.public], web=page)

    assert (out / "src" / "code.js").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "project"]


@pytest.mark.parametrize("link", [False, True])
def test_a_bundle_with_something_added_to_it_is_left_alone(
    package: Path, page: Path, tmp_path: Path, link: bool
) -> None:
    out, notes = tmp_path / "out", tmp_path / "notes"
    bundle(package, out, [KEY.public], web=page)
    notes.mkdir()
    if link:
        (out / "ort" / "notes").symlink_to(notes)
    else:
        (out / "ort" / "notes").write_text("mine")

    with pytest.raises(StorageError, match="holds ort/notes"):
        bundle(package, out, [KEY.public], web=page)

    assert (out / "ort" / "notes").exists()


def test_a_link_to_a_folder_stays_and_the_folder_is_filled(
    package: Path, page: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "real").mkdir(parents=True)
    (tmp_path / "www").symlink_to(tmp_path / "disk" / "real")

    for _ in range(2):
        bundle(package, tmp_path / "www", [KEY.public], web=page)

    assert (tmp_path / "www").is_symlink()
    assert (tmp_path / "disk" / "real" / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "disk", "www"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real"]


def test_a_link_to_itself_is_refused(package: Path, page: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("out")

    with pytest.raises(StorageError):
        bundle(package, tmp_path / "out", [KEY.public], web=page)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


SWAP = """
import os, pathlib, signal, sys
from edge_targets.catalog.browser import bundle
package, out, page, key, at, how = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
renamed = 0

def stop(event, arguments):
    global renamed
    if event == "os.rename" and "bundling-" in str(arguments):
        renamed += 1
        if renamed == int(at):
            os.kill(os.getpid(), getattr(signal, how))

sys.addaudithook(stop)
bundle(pathlib.Path(package), pathlib.Path(out), [key], web=pathlib.Path(page))
"""


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_stop_in_the_middle_of_the_exchange_costs_no_folder(
    package: Path, page: Path, tmp_path: Path, at: int, how: str
) -> None:
    out = tmp_path / "out"
    bundle(package, out, [KEY.public], web=page)
    before = digest_of(out)
    words = [sys.executable, "-c", SWAP, *map(str, (package, out, page, KEY.public, at, how))]

    stopped = subprocess.run(words, check=False, capture_output=True)

    assert stopped.returncode
    if how == "SIGINT":
        assert digest_of(out) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]
    # whatever a kill has left, the next run brings back, even one that fails itself
    with pytest.raises(IntegrityError):
        bundle(package, out, [SigningKey.from_seed(bytes(32)).public], web=page)
    assert digest_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_package_of_a_stranger_leaves_the_older_bundle(
    package: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundle(package, out, [KEY.public], web=page)
    before = digest_of(out)
    stranger = SigningKey.from_seed(bytes(32))

    with pytest.raises(IntegrityError, match="not trusted"):
        bundle(package, out, [stranger.public], web=page)

    assert digest_of(out) == before


def stopping_after(steps: int) -> Job:
    job = Job()
    left = iter(range(steps))
    job.listen = lambda event: None if next(left, None) is not None else job.cancel()
    return job


def test_a_job_cancelled_anywhere_leaves_nothing_half_made(
    package: Path, page: Path, tmp_path: Path
) -> None:
    steps: list[Event] = []
    bundle(package, tmp_path / "whole", [KEY.public], Job(steps.append), web=page)

    for last in range(len(steps)):
        with contextlib.suppress(Cancelled):  # behind the last step there is none to stop at
            bundle(package, tmp_path / "out", [KEY.public], stopping_after(last), web=page)
            assert last == len(steps) - 1

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"built", "whole", "out"}


def test_a_tflite_package_is_refused(package: Path, page: Path, tmp_path: Path) -> None:
    manifest = unpack(package, tmp_path / "unpacked", [KEY.public])
    other = tmp_path / "other.sndl"
    pack(
        replace(manifest, format="tflite", model="model.tflite"),
        {"model.tflite": b"TFL3", "golden.json": b"{}", "profile.json": b"{}"},
        KEY,
        other,
    )

    with pytest.raises(UnsupportedError, match="tflite"):
        bundle(other, tmp_path / "out", [KEY.public], web=page)


def test_missing_browser_files_are_explained(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as failed:
        bundle(package, tmp_path / "out", [KEY.public], web=tmp_path / "nowhere")

    assert "make web" in failed.value.hint


def test_a_place_that_cannot_be_written_is_named(package: Path, page: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StorageError, match="could not be written"):
        bundle(package, tmp_path / "file" / "out", [KEY.public], web=page)


def test_a_folder_that_nobody_may_write_to_is_named(package: Path, page: Path) -> None:
    # not even root makes a folder there
    with pytest.raises(StorageError, match="/sys/page could not be written") as failed:
        bundle(package, Path("/sys/page"), [KEY.public], web=page)

    assert failed.value.hint


def test_the_browser_is_a_target_like_any_other(package: Path, web: Path, tmp_path: Path) -> None:
    browser = targets["browser"]()
    place = Place("page", str(tmp_path / "site"), trusted=(KEY.public,))

    before = browser.status(place)
    done = browser.deploy(package, place, Job())

    assert before.state == "empty"
    manifest = Manifest.parse((tmp_path / "site" / "package" / "manifest.json").read_text())
    after = browser.status(place)
    assert (after.state, after.model, after.version) == ("ready", "digits", manifest.version)
    assert done.version == manifest.version
    assert browser.flush(place) == 0
