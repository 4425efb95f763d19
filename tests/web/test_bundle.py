"""A bundle on disk: what is in it, and what happens when it cannot be made."""

import base64
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_targets.bundling import Options, bundle
from edge_targets.catalog import targets
from edge_targets.package import KEY_FILE, pack, signature_of, signing_key, unpack
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.errors import DeviceError, UnsupportedError, UsageError
from edge_targets.runtime.events import QUIET, Job
from tests.web.built import INDEX_HTML, built, digest_of, index_of, write
from tests.web.conftest import KEY, SIGNATURE, packed
from tests.web.wheel_files import wheel
from toolkit.formats.tflite import TFLite


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return built(tmp_path / "built")


def test_the_index_names_every_file(package: Path, page: Path, tmp_path: Path) -> None:
    made = bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    index, found = index_of(made.directory), digest_of(made.directory)
    sizes = [path.stat().st_size for path in made.directory.rglob("*") if path.is_file()]
    assert (made.files, made.size_bytes) == (len(sizes), sum(sizes))
    named = {name: fact["sha256"] for name, fact in index["files"].items()}
    assert named.items() <= found.items()
    assert set(found) - set(named) == {"bundle.json", "bundle.sig", *index["beside"]}
    assert {"index.html", "worker.js", "engines/ort/ort.wasm", "package/model.onnx"} <= set(named)
    assert {"README.txt", "headers/nginx.conf", "page.js.br", "bundle.json.gz"} <= set(
        index["beside"]
    )


def test_the_index_says_what_the_page_needs_to_know(
    package: Path, page: Path, tmp_path: Path
) -> None:
    told = Options(collector="https://fleet.example/in/", token="t0k-en", notice="May we count?")

    bundle(package, tmp_path / "out", KEY, [KEY.public], told, web=page)

    index = index_of(tmp_path / "out")
    del index["files"], index["beside"]
    assert index == {
        "schema": 1,
        "model": "digits",
        "version": "0123456789ab",
        "sanderling": "0.5.0",
        "versions": {"sanderling": "0.5.0", "pyodide": "314.0.7", "python": "3.14.2"},
        "engine": "ort",
        "accelerate": False,
        "python": {"version": "3.14.2", "after": "", "packages": []},
        "telemetry": {
            "url": "https://fleet.example/in/v1/records",
            "token": "t0k-en",
            "notice": "May we count?",
        },
        "key": KEY.public,
        "licences": "licences.json",
    }


@pytest.mark.parametrize(
    ("form", "lite", "names"),
    [
        ("onnx", False, {"sanderling", "onnxruntime-web", "pyodide", "python"}),
        ("tflite", True, {"sanderling", "litert"}),
    ],
)
def test_the_index_tells_the_versions_of_what_is_there_as_they_were_built(
    form: str,
    lite: bool,
    names: set[str],
    web: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    package = request.getfixturevalue({"onnx": "package", "tflite": "tflite"}[form])

    bundle(package, tmp_path / "out", KEY, [KEY.public], Options(lite=lite))

    told = index_of(tmp_path / "out")["versions"]
    licences = json.loads((tmp_path / "out" / "licences.json").read_text())["parts"]
    assert set(told) == names
    assert all(told.values())
    # the licences come from the libraries' own words by another way
    assert set(told.values()) <= {part["version"] for part in licences}


def test_the_index_is_signed_and_its_text_is_canonical(
    package: Path, page: Path, tmp_path: Path
) -> None:
    bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    text = (tmp_path / "out" / "bundle.json").read_bytes()
    assert (tmp_path / "out" / "bundle.sig").read_bytes() == signature_of(KEY, text)
    assert text.decode() == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    ("form", "options", "engines", "python"),
    [
        ("onnx", Options(), {"ort"}, True),
        ("onnx", Options(lite=True), {"ort"}, False),
        ("onnx", Options(accelerate=True), {"ort", "ort-gpu"}, True),
        ("tflite", Options(), {"litert", "litert-compat"}, True),
        (
            "tflite",
            Options(lite=True, accelerate=True),
            {"litert", "litert-compat", "litert-threads"},
            False,
        ),
    ],
)
def test_a_bundle_holds_the_engine_of_its_format_and_what_was_asked_for(
    form: str,
    options: Options,
    engines: set[str],
    python: bool,
    page: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    package = request.getfixturevalue({"onnx": "package", "tflite": "tflite"}[form])

    made = bundle(package, tmp_path / "out", KEY, [KEY.public], options, web=page)

    index, out = index_of(tmp_path / "out"), tmp_path / "out"
    assert {path.name for path in (out / "engines").iterdir() if path.is_dir()} == engines
    assert (out / "python").is_dir() == python == (index["python"] is not None)
    assert not (out / "proving").exists()
    assert not (out / "python" / "library.zip").exists()
    assert f"package/model.{form}" in index["files"]
    assert ("Python" in made.sent, "other engines" in made.sent) == (python, len(engines) > 1)


def test_a_file_for_any_number_of_items_is_refused(digits: Any, page: Path, tmp_path: Path) -> None:
    free = TFLite(free_batch=True).build(digits.model, SIGNATURE, QUIET).data
    package = packed(digits, "tflite", free, tmp_path / "free.sndl")

    with pytest.raises(UnsupportedError, match="any number of items") as caught:
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    assert "--free-batch" in caught.value.hint
    assert set(tmp_path.iterdir()) == {page, package}


def test_only_the_licences_of_what_is_there_are_told(
    tflite: Path, page: Path, tmp_path: Path
) -> None:
    bundle(tflite, tmp_path / "out", KEY, [KEY.public], Options(lite=True), web=page)

    parts = json.loads((tmp_path / "out" / "licences.json").read_text())["parts"]
    texts = {path.name for path in (tmp_path / "out" / "licences").glob("*.txt")}
    assert [part["name"] for part in parts] == ["Sanderling", "LiteRT.js"]
    assert texts == {"Apache-2.0.txt"}


def sri(file: Path) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()


def test_the_page_says_which_bytes_it_takes_of_all_that_it_can_import(
    package: Path, page: Path, tmp_path: Path
) -> None:
    bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    out = tmp_path / "out"
    text = (out / "index.html").read_text()
    found = dict(re.findall(r'(?:src|href)="([^"]+)" integrity="([^"]+)"', text))
    assert found == {
        name: sri(out / name)
        for name in ("page.js", "page.css", "chunks/a.js", "chunks/b.js", "chunks/later.js")
    }
    assert text.count('rel="modulepreload"') == 3
    [later] = [line for line in text.splitlines() if "chunks/later.js" in line]
    assert 'fetchpriority="low"' in later
    assert text.count("fetchpriority") == 1


def test_the_page_may_send_to_its_collector_and_to_nobody_else(
    package: Path, page: Path, tmp_path: Path
) -> None:
    told = Options(collector="https://fleet.example:8443/in")

    bundle(package, tmp_path / "out", KEY, [KEY.public], told, web=page)

    allowed = "connect-src 'self' https://fleet.example:8443"
    out = tmp_path / "out"
    for name in ("index.html", *(f"headers/{path.name}" for path in (out / "headers").iterdir())):
        assert allowed in (out / name).read_text(), name


def test_what_is_worth_it_lies_there_compressed(package: Path, page: Path, tmp_path: Path) -> None:
    import brotli

    bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    out = tmp_path / "out"
    for name in ("index.html", "bundle.json", "package/manifest.json"):
        assert brotli.decompress((out / f"{name}.br").read_bytes()) == (out / name).read_bytes()
    for name in ("page.js", "python/pyodide.asm.wasm", "bundle.json"):
        assert gzip.decompress((out / f"{name}.gz").read_bytes()) == (out / name).read_bytes()
    assert (out / "python/pyodide.asm.wasm.br").read_bytes() == b"as brotli has it"
    for name in index_of(out)["beside"]:
        if name.endswith((".br", ".gz")):
            assert (out / name).stat().st_size < (out / name[:-3]).stat().st_size
    assert not list(out.rglob("*.br.*")) + list(out.rglob("*.gz.*"))
    assert not (out / "worker.js.br").exists()  # a packet holds it as it is


def test_a_ready_copy_of_other_bytes_is_not_taken(
    package: Path, page: Path, tmp_path: Path
) -> None:
    import brotli

    write(page, "index.html.br", b"of what was built, which is not what the bundle has")

    bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    out = tmp_path / "out"
    packed = (out / "index.html.br").read_bytes()
    assert brotli.decompress(packed) == (out / "index.html").read_bytes()


def test_the_bytes_on_the_wire_are_told_by_part(tflite: Path, page: Path, tmp_path: Path) -> None:
    made = bundle(tflite, tmp_path / "out", KEY, [KEY.public], Options(accelerate=True), web=page)

    out = tmp_path / "out"

    def sent(*names: str) -> int:
        """As a host that compresses sends them."""
        both = [(out / f"{name}.br", out / name) for name in names]
        return sum(min(p.stat().st_size for p in pair if p.exists()) for pair in both)

    assert made.sent["engine"] == sent("engines/litert.js", "engines/litert/lite.wasm")
    assert made.sent["Python"] == sent(
        "python/python.js", "python/pyodide.asm.wasm", "python/stdlib.zip"
    )
    others = ("engines/litert-compat/lite.wasm", "engines/litert-threads/lite.wasm")
    assert made.sent["other engines"] == sent(*others)
    assert set(made.sent) == {"engine", "Python", "other engines", "model", "page"}
    named = index_of(out)["files"]
    fetched = [name for name in named if not name.startswith(("licences", "sanderling.d.ts"))]
    assert sum(made.sent.values()) == sent("bundle.json", "bundle.sig", *fetched)
    assert made.sent_bytes == sum(made.sent.values()) - made.sent["other engines"]


ELSEWHERE = """
import os, sys
from pathlib import Path
from edge_targets.bundling import Options, bundle
from edge_targets.package import SigningKey
os.umask(0o077)
package, out, page, *wheels = map(Path, sys.argv[1:])
key = SigningKey.from_seed(bytes(range(32)))
bundle(package, out, key, [key.public], Options(wheels=tuple(wheels), after="tool:fix"), web=page)
"""


def test_the_same_package_makes_the_same_bytes_in_another_process_and_place(
    package: Path, page: Path, tmp_path: Path
) -> None:
    code = {"helper.py": b"", **{f"more{number}.py": b"" for number in range(9)}}
    wheels = [wheel(tmp_path, told="Requires-Dist: helper\n"), wheel(tmp_path, "helper", code=code)]
    options = Options(wheels=tuple(wheels), after="tool:fix")

    bundle(package, tmp_path / "here", KEY, [KEY.public], options, web=page)

    for path in (*tmp_path.glob("*.whl"), *page.rglob("*")):
        os.utime(path, (1e9, 1e9))
    for zone, seed in (("Asia/Tokyo", "1"), ("America/Lima", "2")):
        there = tmp_path / f"there-{seed}"
        words = [sys.executable, "-c", ELSEWHERE, *map(str, (package, there, page, *wheels[::-1]))]
        told = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed}
        said = subprocess.run(words, env=told, check=False, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr[-500:]
        assert digest_of(there) == digest_of(tmp_path / "here")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"lite": True, "after": "mine:fix"}, "Without Python"),
        ({"lite": True, "wheels": (Path("a.whl"),)}, "Without Python"),
        *(({"after": word}, "names no function") for word in ("mine", "mine:", "a b:c", "os:a()")),
        *(
            ({"collector": address}, "collector")
            for address in (
                "fleet.example", "ftp://fleet.example", "https://", "https://a@b.example",
                "https://fleet.example/?a", "https://fleet.example/;script-src *",
                "https://fleet.example 'unsafe-inline'", "https://*.example", "https://[::1]",
            )
        ),
        ({"collector": "https://fleet.example:99999"}, "not an address"),
        ({"token": "a b"}, "token"),
        ({"notice": "two\nlines"}, "notice"),
        ({"notice": "x" * 501}, "notice"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(told: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Options(**told)

    assert caught.value.hint


def test_browser_files_of_other_sources_are_refused_where_they_would_run(
    package: Path, page: Path, tmp_path: Path
) -> None:
    index = json.loads((page / "parts.json").read_text())
    write(page, "parts.json", json.dumps({**index, "runtime": "0" * 64}))

    with pytest.raises(UnsupportedError, match="older than the runtime") as caught:
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    assert "make web" in caught.value.hint
    bundle(package, tmp_path / "out", KEY, [KEY.public], Options(lite=True), web=page)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "engines/gone.wasm", 7])
def test_parts_that_are_not_there_are_refused(
    name: object, package: Path, page: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("not for visitors")
    index = json.loads((page / "parts.json").read_text())
    index["parts"]["ort"].append(name)
    write(page, "parts.json", json.dumps(index))

    with pytest.raises(UnsupportedError, match="missing"):
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)


@pytest.mark.parametrize("without", ["<!-- head -->", 'src="page.js"', "connect-src 'self'"])
def test_a_page_that_cannot_be_completed_is_refused(
    without: str, package: Path, page: Path, tmp_path: Path
) -> None:
    write(page, "index.html", INDEX_HTML.replace(without, ""))

    with pytest.raises(UnsupportedError, match=r"index\.html"):
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=page)

    assert not (tmp_path / "out").exists()


def test_a_package_for_boards_alone_is_refused(package: Path, page: Path, tmp_path: Path) -> None:
    manifest = unpack(package, tmp_path / "unpacked", [KEY.public])
    other = tmp_path / "other.sndl"
    pack(
        replace(manifest, format="ncnn", model="model.ncnn"),
        {"model.ncnn": b"7767517", "golden.json": b"{}", "profile.json": b"{}"},
        KEY,
        other,
    )

    with pytest.raises(UnsupportedError, match="ncnn"):
        bundle(other, tmp_path / "out", KEY, [KEY.public], web=page)


def test_missing_browser_files_are_explained(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as failed:
        bundle(package, tmp_path / "out", KEY, [KEY.public], web=tmp_path / "nowhere")

    assert "make web" in failed.value.hint


def test_the_browser_is_a_target_like_any_other(tflite: Path, web: Path, tmp_path: Path) -> None:
    browser = targets["browser"]()
    (tmp_path / "keys").mkdir()
    place = Place("page", str(tmp_path / "site"), trusted=(KEY.public,), keys=tmp_path / "keys")

    before = browser.status(place)
    done = browser.deploy(tflite, place, Job())

    assert before.state == "empty"
    manifest = Manifest.parse((tmp_path / "site" / "package" / "manifest.json").read_text())
    after = browser.status(place)
    assert (after.state, after.model, after.version) == ("ready", "digits", manifest.version)
    assert done.version == manifest.version
    assert browser.flush(place) == 0


def test_what_is_deployed_is_signed_with_the_key_of_the_workspace(
    package: Path, web: Path, tmp_path: Path
) -> None:
    browser = targets["browser"]()
    (tmp_path / "keys").mkdir()
    place = Place("page", str(tmp_path / "site"), trusted=(KEY.public,), keys=tmp_path / "keys")

    browser.deploy(package, place, Job())

    own = signing_key(tmp_path / "keys" / KEY_FILE)
    text = (tmp_path / "site" / "bundle.json").read_bytes()
    assert index_of(tmp_path / "site")["key"] == own.public
    assert (tmp_path / "site" / "bundle.sig").read_bytes() == signature_of(own, text)
    with pytest.raises(DeviceError, match="no key"):
        browser.deploy(package, replace(place, keys=None), Job())
