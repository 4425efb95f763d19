"""From a model of the workspace to a page for browsers, by the verbs that people type."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_targets.bundling import WEB
from edge_targets.package import signing_key
from edge_targets.runtime.errors import Cancelled, UnknownNameError, UnsupportedError, UsageError
from edge_targets.runtime.events import QUIET, Event, Job
from tests.web.wheel_files import BACKEND
from toolkit import api, journeys, shelf, shipping
from toolkit.telemetry import tokens
from toolkit.workspace import Entry, Workspace


def twin(line: Workspace, name: str, *formats: str) -> Entry:
    """A model like the line's own, with its artifacts in these formats."""
    model = line.get("models", "m")
    copy = shelf.load_model(line, model)
    entry = shelf.save_model(
        line, name, copy, "train", {"copy": name}, (), shelf.data_of(line, model)
    )
    if formats:
        journeys.build(line, name, formats, None, QUIET)
    return entry


def failing(line: Workspace, name: str) -> None:
    """The artifact of that name did not pass its proof."""
    entry = line.get("artifacts", name)
    facts = {**entry.facts, "parity": {**entry.facts["parity"], "passed": False}}
    files = {file: line.read(entry, file) for file in entry.files}
    parents = tuple(line.entry(digest) for digest in entry.parents)
    line.put("artifacts", name, files, facts, "build", {}, parents)


def test_of_a_model_the_file_is_packed_that_a_browser_runs_best(line: Workspace) -> None:
    twin(line, "both", "onnx", "tflite")
    twin(line, "one", "onnx")
    twin(line, "unproven", "onnx", "tflite")
    failing(line, "unproven.tflite")

    packed = {
        name: shipping.package(line, name, "browser", None, name, QUIET)
        for name in ("both", "one", "unproven", "both.onnx")
    }

    assert {name: made.name for name, made in packed.items()} == {
        "both": "both.tflite-browser",
        "one": "one.onnx-browser",
        "unproven": "unproven.onnx-browser",
        "both.onnx": "both.onnx-browser",
    }


def test_a_model_without_a_file_for_the_target_is_told_what_to_do(line: Workspace) -> None:
    twin(line, "bare")

    with pytest.raises(UnsupportedError, match="Nothing that Browser runs was built") as caught:
        shipping.package(line, "bare", "browser", None, None, QUIET)
    assert caught.value.hint == "sanderling build bare --target browser"
    with pytest.raises(UnknownNameError):
        shipping.package(line, "nothing", "browser", None, None, QUIET)


def test_an_older_model_of_the_same_name_lends_it_no_file(line: Workspace) -> None:
    twin(line, "anew", "onnx")
    model = line.get("models", "anew")
    changed = shelf.load_model(line, model)
    shelf.save_model(line, "anew", changed, "train", {"again": 1}, (), shelf.data_of(line, model))

    with pytest.raises(UnsupportedError, match="Nothing that Browser runs"):
        shipping.package(line, "anew", "browser", None, None, QUIET)


@pytest.fixture
def packed(line: Workspace) -> str:
    if not (WEB / "parts.json").is_file():
        pytest.skip("the browser files are not built: make web")
    if "page" not in line.names("packages"):
        shipping.package(line, "m-int8", "browser", "page", "digits", QUIET)
    return "page"


def test_a_bundle_tells_where_its_bytes_go(line: Workspace, packed: str, tmp_path: Path) -> None:
    made = api.bundle(packed, tmp_path / "site", lite=True, workspace=line.root)

    parts = {part.name: part for part in made.parts}
    sizes = [path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert (made.files, made.size_bytes) == (len(sizes), sum(sizes))
    assert {"engine", "model", "page"} <= set(parts)
    fetched = [part.sent_bytes for name, part in parts.items() if name != "other engines"]
    assert made.sent_bytes == sum(fetched)
    assert all(0 < part.sent_bytes <= part.size_bytes for part in made.parts)
    assert made.next == (f"sanderling serve {tmp_path / 'site'}",)


def test_a_bundle_is_signed_by_the_workspace(line: Workspace, packed: str, tmp_path: Path) -> None:
    api.bundle(packed, tmp_path / "site", lite=True, workspace=line.root)

    index = json.loads((tmp_path / "site" / "bundle.json").read_text())
    assert index["key"] == signing_key(line.key_file).public
    assert index["telemetry"] == {"url": "v1/records", "token": "", "notice": ""}
    assert index["python"] is None


def test_with_a_collector_a_bundle_brings_its_own_token_the_same_each_time(
    line: Workspace, packed: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        api.bundle(
            packed,
            tmp_path / name,
            lite=True,
            collector="https://fleet.example",
            notice="May we count?",
            workspace=line.root,
        )

    index = json.loads((tmp_path / "one" / "bundle.json").read_text())
    assert index["telemetry"] == {
        "url": "https://fleet.example/v1/records",
        "token": tokens.token_for(line, packed),
        "notice": "May we count?",
    }
    digests = {
        hashlib.sha256((tmp_path / name / "bundle.json").read_bytes()).hexdigest()
        for name in ("one", "two")
    }
    assert len(digests) == 1


def test_a_package_for_another_place_is_no_page(line: Workspace, tmp_path: Path) -> None:
    shipping.package(line, "m-int8.tflite", "simulator", "for-desk", "for-desk", QUIET)

    with pytest.raises(UnsupportedError, match="for simulator") as caught:
        api.bundle("for-desk", tmp_path / "site", workspace=line.root)

    assert "--target browser" in caught.value.hint


def test_code_of_ones_own_needs_a_python_to_run_in(
    line: Workspace, packed: str, tmp_path: Path
) -> None:
    for told in ({"build": (tmp_path,)}, {"wheel": (tmp_path / "a.whl",)}, {"after": "a:b"}):
        with pytest.raises(UsageError, match="Without Python") as caught:
            api.bundle(packed, tmp_path / "site", lite=True, workspace=line.root, **told)
        assert "--lite" in caught.value.hint


def test_a_package_of_ones_own_goes_in_and_gives_the_same_bytes_each_time(
    line: Workspace, packed: str, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "backend.py").write_text(BACKEND.format(tag="py3-none-any"))
    (own / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0.1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    written = sorted(path.name for path in own.iterdir())

    for name in ("one", "two"):
        api.bundle(packed, tmp_path / name, build=(own,), after="mine:fix", workspace=line.root)
        os.utime(own / "backend.py", (1e9, 1e9))

    index = json.loads((tmp_path / "one" / "bundle.json").read_text())
    assert (index["python"]["packages"], index["python"]["after"]) == (["mine"], "mine:fix")
    assert "python/wheels/mine-0.1-py3-none-any.whl" in index["files"]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert sorted(path.name for path in own.iterdir()) == written


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_options_are_those_that_people_type(
    line: Workspace, packed: str, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    words = ("bundle", packed, str(site), "--lite", "--accelerate", "--notice", "May we?")

    done = subprocess.run(
        [sys.executable, "-m", "toolkit", *words, "--workspace", str(line.root)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    index = json.loads((site / "bundle.json").read_text())
    assert (index["accelerate"], index["telemetry"]["notice"]) == (True, "May we?")
    said = subprocess.run(
        [sys.executable, "-m", "toolkit", "bundle", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in ("--lite", "--accelerate", "--with", "--build", "--after", "--collector"):
        assert re.search(rf"(?<!\S){option}\b", said), option


def test_a_stick_without_a_workspace_is_served_without_telemetry(
    line: Workspace, packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.bundle(packed, tmp_path / "stick", lite=True, workspace=line.root)
    monkeypatch.chdir(tmp_path)
    job, heard = Job(), list[str]()

    def stop_when_serving(event: Event) -> None:
        heard.append(event.message)
        if "http" in event.message:
            job.cancel()

    job.listen = stop_when_serving
    with pytest.raises(Cancelled):
        api.serve(tmp_path / "stick", port=0, job=job)

    assert heard[0] == "no workspace here: telemetry is not taken"
    assert heard[1].startswith(f"serving {tmp_path / 'stick'} at http://127.0.0.1:")
