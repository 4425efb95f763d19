"""Wheels of the user's own in a bundle: which are taken, and that Pyodide loads them."""

import hashlib
import json
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_targets.bundling import Options, bundle, wheels
from edge_targets.bundling.contents import MAX_MEMBERS
from edge_targets.bundling.wheels import Python, read_wheels
from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError, UsageError
from edge_targets.runtime.events import Event, Job
from tests.web.built import FILES, LOCK, built
from tests.web.conftest import KEY
from tests.web.wheel_files import CODE, COMPILED, wheel

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PYTHON = Python(LOCK)
REPO = Path(__file__).resolve().parents[2]


def test_a_pure_wheel_is_taken_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    told = (
        "License-Expression: MIT\nRequires-Python: >=3.8\nRequires-Dist: extra-tool; extra == 'x'\n"
    )
    file = wheel(tmp_path, told=told, code={**CODE, "single.py": b"", "data.txt": b""})

    [found] = read_wheels([file], PYTHON)

    assert (found.name, found.version, found.licence) == ("tool", "1.0", "MIT")
    assert found.imports == ("single", "tool")
    assert found.needs == ()
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.texts == {"LICENSE": b"Do what you like.\n"}


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any", "py2.py3-none-any", "py314-none-any", "cp314-none-any", COMPILED,
        "cp311-abi3-pyemscripten_2026_0_wasm32", "cp314-cp314-pyodide_2026_0_wasm32",
        "py3-none-pyemscripten_2026_0_wasm32",
    ],
)  # fmt: skip
def test_a_wheel_for_the_browsers_python_is_taken(tag: str, tmp_path: Path) -> None:
    assert read_wheels([wheel(tmp_path, tag=tag)], PYTHON)


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-manylinux_2_17_x86_64", "cp314-cp314-win_amd64", "cp313-none-any",
        "cp313-cp313-pyemscripten_2026_0_wasm32", "cp314-cp314-pyemscripten_2025_0_wasm32",
        "py315-none-any", "cp314-cp314t-pyemscripten_2026_0_wasm32",
    ],
)  # fmt: skip
def test_a_wheel_for_another_place_is_refused(tag: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="does not run in a browser") as caught:
        read_wheels([wheel(tmp_path, tag=tag)], PYTHON)

    assert "pyemscripten_2026_0_wasm32" in caught.value.hint


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"metadata": "Name: other\nVersion: 1.0\n"}, "not what its name says"),
        ({"metadata": "Name: tool\nVersion: 1.1\n"}, "not what its name says"),
        ({"metadata": "no headers"}, "not what its name says"),
        ({"metadata": "Name: tool\nVersion: newest\n"}, "METADATA cannot be read"),
        ({"told": "Requires-Dist: ===\n"}, "METADATA cannot be read"),
        ({"told": "Requires-Python: new\n"}, "METADATA cannot be read"),
        ({"wheel_tag": "cp314-cp314-win_amd64"}, "not what its name says"),
        ({"wheel_tag": "nonsense"}, "WHEEL cannot be read"),
        ({"unrecorded": {"tool/more.py": b"import os"}}, r"tool/more\.py is not the file"),
        ({"code": {"tool/fast.so": b"\0asm"}}, "says that it is pure"),
        ({"code": {"../../evil.py": b""}}, "outside its folder"),
        ({"code": {"/etc/cron.d/evil": b""}}, "outside its folder"),
        ({"code": {"tool\\..\\evil.py": b""}}, "outside its folder"),
        ({"code": {"c:evil.py": b""}}, "outside its folder"),
        ({"code": {"tool/./evil.py": b""}}, "outside its folder"),
        ({"code": {"tool//evil.py": b""}}, "outside its folder"),
        ({"code": {"tool/\n.py": b""}}, "outside its folder"),
        ({"code": {"x" * 300: b""}}, "outside its folder"),
        ({"code": {"other-1.0.dist-info/METADATA": b"Name: other\n"}}, "no .dist-info of its own"),
    ],
)
def test_a_wheel_that_lies_about_itself_is_refused(
    lie: dict[str, object], words: str, tmp_path: Path
) -> None:
    file = wheel(tmp_path, **lie)  # type: ignore[arg-type]

    with pytest.raises(IntegrityError, match=words) as caught:
        read_wheels([file], PYTHON)

    assert str(caught.value).startswith(file.name)


def test_machine_code_of_another_processor_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path, tag=COMPILED, code={**CODE, "tool/fast.so": b"\x7fELF"})

    with pytest.raises(UnsupportedError, match=r"fast\.so is not WebAssembly"):
        read_wheels([file], PYTHON)


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path)
    link = zipfile.ZipInfo("tool/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(IntegrityError, match="outside its folder"):
        read_wheels([file], PYTHON)


def test_a_file_twice_in_a_wheel_is_refused(tmp_path: Path) -> None:
    file = wheel(tmp_path)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("tool/__init__.py", "import os")

    with pytest.raises(IntegrityError, match="twice"):
        read_wheels([file], PYTHON)


def test_a_wheel_that_would_fill_the_memory_is_refused_unread(
    tmp_path: Path,
) -> None:
    many, large = tmp_path / "many", tmp_path / "large"
    many.mkdir()
    large.mkdir()
    with zipfile.ZipFile(many / "tool-1.0-py3-none-any.whl", "w") as archive:
        for number in range(MAX_MEMBERS + 1):
            archive.writestr(f"tool/{number}.py", "")
    name = large / "tool-1.0-py3-none-any.whl"
    packed = zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("tool/zeros.bin", "w") as member:
        for _ in range(520):
            member.write(bytes(1 << 20))

    for folder in (many, large):
        with pytest.raises(IntegrityError, match="more than a page can take"):
            read_wheels([folder / "tool-1.0-py3-none-any.whl"], PYTHON)


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.5])
def test_a_damaged_wheel_is_refused(at: float, tmp_path: Path) -> None:
    file = wheel(tmp_path)
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 0x40
    file.write_bytes(data)

    with pytest.raises(EdgeError) as caught:
        read_wheels([file], PYTHON)

    assert isinstance(caught.value, IntegrityError | UnsupportedError)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 99])
def test_what_is_no_wheel_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "tool-1.0-py3-none-any.whl"
    file.write_bytes(content)

    with pytest.raises(IntegrityError, match="damaged"):
        read_wheels([file], PYTHON)
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_wheels([tmp_path / "gone-1.0-py3-none-any.whl"], PYTHON)
    with pytest.raises(UsageError, match="not the name of a wheel"):
        read_wheels([tmp_path / "tool.zip"], PYTHON)


def test_a_wheel_for_an_older_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"needs Python <3\.14; the browser's is 3\.14\.2"):
        read_wheels([wheel(tmp_path, told="Requires-Python: <3.14\n")], PYTHON)


def test_what_a_wheel_needs_must_be_there_too(tmp_path: Path) -> None:
    needs = (
        "Requires-Dist: Help_Er>=2\n"
        "Requires-Dist: for-windows; sys_platform == 'win32'\n"
        "Requires-Dist: for-old; python_version < '3.11'\n"
    )
    tool = wheel(tmp_path, told=needs)

    with pytest.raises(UnsupportedError, match="tool needs Help_Er>=2, which is not") as caught:
        read_wheels([tool], PYTHON)
    assert "--with" in caught.value.hint
    with pytest.raises(UnsupportedError, match=r"needs Help_Er>=2; help_er-1\.0"):
        read_wheels([tool, wheel(tmp_path, "help_er", "1.0", code={})], PYTHON)

    found = read_wheels([tool, wheel(tmp_path, "help_er", "2.1", code={})], PYTHON)

    assert [one.name for one in found] == ["help-er", "tool"]
    assert found[1].needs == ("Help_Er>=2",)


def test_two_wheels_of_one_package_are_refused(tmp_path: Path) -> None:
    two = [wheel(tmp_path, version=version) for version in ("1.0", "1.1")]

    with pytest.raises(UsageError, match="are one package"):
        read_wheels(two, PYTHON)


def test_the_function_that_has_the_last_word_must_be_in_a_wheel(tmp_path: Path) -> None:
    file = wheel(tmp_path)

    assert read_wheels([file], PYTHON, "tool.answers:fix")
    with pytest.raises(UsageError, match="module 'mine'") as caught:
        read_wheels([file], PYTHON, "mine:fix")
    assert "tool" in caught.value.hint
    with pytest.raises(UsageError, match="module 'os'"):
        read_wheels([], PYTHON, "os:getcwd")


def made(package: Path, web: Path, out: Path, *files: Path, after: str = "") -> Path:
    return bundle(
        package, out, KEY, [KEY.public], Options(wheels=files, after=after), web=web
    ).directory


def test_a_bundle_brings_wheels_with_a_lock_and_their_licences(
    package: Path, tmp_path: Path
) -> None:
    helper = wheel(tmp_path, "helper", code={"helper.py": b"WORD = 'helped'\n"})
    tool = wheel(tmp_path, told="License: BSD\nRequires-Dist: helper\n")

    out = made(package, built(tmp_path / "built"), tmp_path / "out", tool, helper, after="tool:fix")

    index = json.loads((out / "bundle.json").read_text())
    lock = json.loads((out / "python" / "pyodide-lock.json").read_text())
    licences = json.loads((out / "licences.json").read_text())["parts"]
    assert index["python"]["packages"] == ["helper", "tool"] == sorted(lock["packages"])
    assert index["python"]["after"] == "tool:fix"
    # any of the library may be imported
    assert (out / "python" / "stdlib.zip").read_text() == FILES["python-whole"][
        "python/library.zip"
    ]
    assert not (out / "python" / "library.zip").exists()
    assert lock["packages"]["tool"]["depends"] == ["helper"]
    for name, file in (("helper", helper), ("tool", tool)):
        place = f"wheels/{file.name}"
        assert lock["packages"][name]["file_name"] == place
        digest = lock["packages"][name]["sha256"]
        assert digest == index["files"][f"python/{place}"]["sha256"]
    [told] = [part for part in licences if part["name"] == "tool"]
    assert (told["licence"], told["files"]) == ("BSD", [f"python/wheels/{tool.name}"])
    assert (out / told["text"]).read_bytes() == b"Do what you like.\n"


NODE = """
import { readFileSync } from "node:fs";
const [, , pyodide, folder] = process.argv;
const { loadPyodide } = await import(pyodide);
const python = await loadPyodide({
  stdLibURL: `${folder}stdlib.zip`,
  lockFileContents: readFileSync(`${folder}pyodide-lock.json`, "utf8"),
  packageBaseUrl: folder,
});
await python.loadPackage(["tool"], { checkIntegrity: true });
console.log(python.runPython("import tool; tool.word()"));
"""


def test_pyodide_installs_what_the_lock_names(package: Path, web: Path, tmp_path: Path) -> None:
    node = shutil.which("node") or shutil.which("node", path=REPO / ".venv" / "bin")
    pyodide = REPO / "web" / "node_modules" / "pyodide" / "pyodide.mjs"
    if not (node and pyodide.is_file()):
        pytest.skip("there is no Node, or no Pyodide for it")
    helper = wheel(tmp_path, "helper", code={"helper.py": b"WORD = 'helped'\n"})
    code = {"tool/__init__.py": b"import helper\n\ndef word():\n    return helper.WORD\n"}
    tool = wheel(tmp_path, told="Requires-Dist: helper\n", code=code)
    out = made(package, web, tmp_path / "out", tool, helper)
    (tmp_path / "run.mjs").write_text(NODE)

    words = [node, str(tmp_path / "run.mjs"), str(pyodide), f"{out}/python/"]
    said = subprocess.run(words, capture_output=True, text=True, check=False)

    assert said.stdout.splitlines()[-1:] == ["helped"], said.stderr[-500:]


LAST_WORD = b"""
import decimal, email.message, helper

def fix(answers, outputs):
    return [{**answer, "word": helper.WORD} for answer in answers]
"""


def test_a_page_lets_a_function_of_a_wheel_have_the_last_word(
    tflite: Path,
    web: Path,
    tmp_path: Path,
    serving: Callable[..., str],
    chromium: "Browser",
    digits: Any,
) -> None:
    """One that imports another wheel, and what no code of ours imports of the library."""
    helper = wheel(tmp_path, "helper", code={"helper.py": b"WORD = 'helped'\n"})
    told = "Requires-Dist: helper\n"
    tool = wheel(tmp_path, told=told, code={"tool/__init__.py": b"", "tool/last.py": LAST_WORD})
    out = made(tflite, web, tmp_path / "out", tool, helper, after="tool.last:fix")
    tab = chromium.new_page()
    tab.goto(serving(out))
    tab.evaluate("window.sanderling.ready")

    values = {"image": {"shape": [1, 1, 8, 8], "data": digits.test[0].reshape(-1).tolist()}}
    found = tab.evaluate("values => window.sanderling.predict(values)", values)

    tab.close()
    [answer] = found["answers"]
    assert (found["by"], answer["extra"]) == ("python", {"word": "helped"})
    assert answer["label"] == str(digits.answers(digits.test[:1]).argmax())


def test_a_wheel_that_changes_while_it_is_read_is_refused(package: Path, tmp_path: Path) -> None:
    file, web = wheel(tmp_path), built(tmp_path / "built")

    def change(event: Event) -> None:
        wheel(tmp_path, code={"tool/__init__.py": b"import os"})

    with pytest.raises(IntegrityError, match="changed while"):
        bundle(
            package, tmp_path / "out", KEY, [KEY.public], Options(wheels=(file,)), Job(change), web
        )

    assert not (tmp_path / "out").exists()


def test_the_folder_of_wheels_is_where_pyodide_looks() -> None:
    assert Path(wheels.WHEELS).parent == Path(wheels.LOCK).parent
