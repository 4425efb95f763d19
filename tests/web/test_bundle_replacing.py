"""A bundle where something is already: it comes whole or not at all, and nobody loses a file."""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_targets.bundling import Options, bundle
from edge_targets.package import SigningKey
from edge_targets.runtime.errors import Cancelled, IntegrityError, StorageError
from edge_targets.runtime.events import Event, Job
from tests.web.built import built, digest_of, index_of, write
from tests.web.conftest import KEY


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return built(tmp_path / "built")


def test_an_older_bundle_is_replaced(package: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bundle(package, out, KEY, [KEY.public], Options(accelerate=True), web=page)

    bundle(package, out, KEY, [KEY.public], Options(lite=True), web=page)

    assert not (out / "engines" / "ort-gpu").exists()
    assert not (out / "python").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_bundle_of_version_0_4_is_replaced(package: Path, page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("index.html", "pyodide/pyodide.mjs", "runtime.zip", "package/model.onnx"):
        write(out, name, "of then")
    facts = {name: {"sha256": digest, "size": 7} for name, digest in digest_of(out).items()}
    index = {"schema": 1, "model": "digits", "version": "1", "files": facts}
    write(out, "bundle.json", json.dumps(index))

    bundle(package, out, KEY, [KEY.public], web=page)

    assert not (out / "runtime.zip").exists()
    assert (out / "bundle.sig").is_file()


def test_a_folder_with_other_things_is_left_alone(
    package: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")

    with pytest.raises(StorageError, match="left alone"):
        bundle(package, out, KEY, [KEY.public], web=page)

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
        bundle(package, out, KEY, [KEY.public], web=page)

    assert (out / "src" / "code.js").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "project"]


@pytest.mark.parametrize("link", [False, True])
def test_a_bundle_with_something_added_to_it_is_left_alone(
    package: Path, page: Path, tmp_path: Path, link: bool
) -> None:
    out, notes = tmp_path / "out", tmp_path / "notes"
    bundle(package, out, KEY, [KEY.public], web=page)
    notes.mkdir()
    if link:
        (out / "engines" / "notes").symlink_to(notes)
    else:
        (out / "engines" / "notes").write_text("mine")

    with pytest.raises(StorageError, match="holds engines/notes"):
        bundle(package, out, KEY, [KEY.public], web=page)

    assert (out / "engines" / "notes").exists()


def test_a_link_to_a_folder_stays_and_the_folder_is_filled(
    package: Path, page: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk" / "real").mkdir(parents=True)
    (tmp_path / "www").symlink_to(tmp_path / "disk" / "real")

    for _ in range(2):
        bundle(package, tmp_path / "www", KEY, [KEY.public], web=page)

    assert (tmp_path / "www").is_symlink()
    assert (tmp_path / "disk" / "real" / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "disk", "www"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["real"]


def test_a_link_to_itself_is_refused(package: Path, page: Path, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("out")

    with pytest.raises(StorageError):
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


SWAP = """
import os, pathlib, signal, sys
from edge_targets.bundling import bundle
from edge_targets.package import SigningKey
package, out, page, at, how = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
renamed = 0

def stop(event, arguments):
    global renamed
    if event == "os.rename" and "bundling-" in str(arguments):
        renamed += 1
        if renamed == int(at):
            os.kill(os.getpid(), getattr(signal, how))

sys.addaudithook(stop)
key = SigningKey.from_seed(bytes(range(32)))
bundle(pathlib.Path(package), pathlib.Path(out), key, [key.public], web=pathlib.Path(page))
"""


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_stop_in_the_middle_of_the_exchange_costs_no_folder(
    package: Path, page: Path, tmp_path: Path, at: int, how: str
) -> None:
    out = tmp_path / "out"
    bundle(package, out, KEY, [KEY.public], web=page)
    before = digest_of(out)
    words = [sys.executable, "-c", SWAP, *map(str, (package, out, page, at, how))]

    stopped = subprocess.run(words, check=False, capture_output=True)

    assert stopped.returncode
    if how == "SIGINT":
        assert digest_of(out) == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]
    # whatever a kill has left, the next run brings back, even one that fails itself
    with pytest.raises(IntegrityError):
        bundle(package, out, KEY, [SigningKey.from_seed(bytes(32)).public], web=page)
    assert digest_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_package_of_a_stranger_leaves_the_older_bundle(
    package: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundle(package, out, KEY, [KEY.public], web=page)
    before = digest_of(out)
    stranger = SigningKey.from_seed(bytes(32))

    with pytest.raises(IntegrityError, match="not trusted"):
        bundle(package, out, KEY, [stranger.public], web=page)

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
    bundle(package, tmp_path / "whole", KEY, [KEY.public], job=Job(steps.append), web=page)

    for last in range(len(steps)):
        with contextlib.suppress(Cancelled):  # behind the last step there is none to stop at
            bundle(package, tmp_path / "out", KEY, [KEY.public], job=stopping_after(last), web=page)
            assert last == len(steps) - 1

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"built", "whole", "out"}


def test_two_bundles_at_once_leave_one_that_is_whole(
    package: Path, tflite: Path, page: Path, tmp_path: Path
) -> None:
    out, failed = tmp_path / "out", list[BaseException]()
    start = threading.Barrier(4)

    def work(file: Path) -> None:
        start.wait()
        try:
            for _ in range(3):
                bundle(file, out, KEY, [KEY.public], web=page)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    threads = [
        threading.Thread(target=work, args=(file,)) for file in (package, tflite, package, tflite)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    found, index = digest_of(out), index_of(out)
    assert {name: found[name] for name in index["files"]} == {
        name: fact["sha256"] for name, fact in index["files"].items()
    }
    assert set(found) == {"bundle.json", "bundle.sig", *index["files"], *index["beside"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_file_that_was_put_there_in_the_meantime_is_left_alone(
    package: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundle(package, out, KEY, [KEY.public], web=page)

    def at_the_end(event: Event) -> None:
        if event.message == "compress the files":
            (out / "thesis.txt").write_text("years of work")

    with pytest.raises(StorageError, match="left alone"):
        bundle(package, out, KEY, [KEY.public], job=Job(at_the_end), web=page)

    assert (out / "thesis.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


def test_a_full_disk_leaves_the_older_bundle(package: Path, page: Path, tmp_path: Path) -> None:
    """The system's own limit on a file's size stands for the disk's end."""
    out = tmp_path / "out"
    bundle(package, out, KEY, [KEY.public], web=page)
    before = digest_of(out)

    words = [sys.executable, "-c", FULL, *map(str, (package, out, page))]
    said = subprocess.run(words, check=False, capture_output=True, text=True)

    assert said.stdout.startswith("StorageError")
    assert "could not be written" in said.stdout
    assert digest_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "out"]


FULL = """
import pathlib, resource, signal, sys
from edge_targets.bundling import bundle
from edge_targets.package import SigningKey
from edge_targets.runtime.errors import EdgeError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
key, (package, out, page) = SigningKey.from_seed(bytes(range(32))), map(pathlib.Path, sys.argv[1:])
try:
    bundle(package, out, key, [key.public], web=page)
except EdgeError as error:
    print(type(error).__name__, error)
"""


def test_a_place_that_cannot_be_written_is_named(package: Path, page: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StorageError, match="could not be written"):
        bundle(package, tmp_path / "file" / "out", KEY, [KEY.public], web=page)


def test_a_folder_that_nobody_may_write_to_is_named(package: Path, page: Path) -> None:
    # not even root makes a folder there
    with pytest.raises(StorageError, match="/sys/page could not be written") as failed:
        bundle(package, Path("/sys/page"), KEY, [KEY.public], web=page)

    assert failed.value.hint
