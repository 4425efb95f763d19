"""Wheels of the user's own in a bundle: which are taken, and that Pyodide loads them."""

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_targets.bundling import Options, bundle, wheels
from edge_targets.bundling.contents import MAX_MEMBERS
from edge_targets.bundling.wheels import Python, read_wheels
from edge_targets.package import SigningKey
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    EdgeError,
    IntegrityError,
    UnsupportedError,
    UsageError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from tests.web.built import FILES, LOCK, built
from toolkit import browser_wheels

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEY = SigningKey.from_seed(bytes(range(32)))  # as in conftest.py
PYTHON = Python(LOCK)
COMPILED = "cp314-cp314-pyemscripten_2026_0_wasm32"
CODE = {"tool/__init__.py": b"def fix(answer):\n    return answer\n"}
REPO = Path(__file__).resolve().parents[2]


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def wheel(
    folder: Path,
    name: str = "tool",
    version: str = "1.0",
    tag: str = "py3-none-any",
    code: Mapping[str, bytes] = CODE,
    told: str = "",
    metadata: str = "",
    wheel_tag: str = "",
    unrecorded: Mapping[str, bytes] = {},
) -> Path:
    """A wheel as a build backend writes it; the last four are for those that lie.

    Args:
        told: the package's own words, more lines of METADATA.
        metadata: in place of all of METADATA.
        wheel_tag: in WHEEL, in place of the one in the file's name.
        unrecorded: files that RECORD does not name.
    """
    info = f"{name}-{version}.dist-info"
    about = metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}"
    members = {
        **code,
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {wheel_tag or tag}\n".encode(),
        f"{info}/licenses/LICENSE": b"Do what you like.\n",
    }
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for member, data in members.items():
        writer.writerow([member, f"sha256={coded(data)}", len(data)])
    writer.writerow([f"{info}/RECORD", "", ""])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, **unrecorded}.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/RECORD", rows.getvalue())
    return path


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


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Gives `project(backend)`: the folder of a Python package with a build backend of its own."""

    def write(text: str, requires: str = "[]", backend: str = "backend") -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "mine"\nversion = "0.1"\n[build-system]\n'
            f'requires = {requires}\nbuild-backend = "{backend}"\nbackend-path = ["."]\n'
        )
        (folder / "backend.py").write_text(text)
        return folder

    return write


# a whole build backend of the standard library (PEP 517), so that no network is needed
BACKEND = """
import base64, hashlib, zipfile

TAG = "{tag}"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = f"mine-0.1-{{TAG}}.whl"
    files = {{
        "mine.py": b"def fix(answer): return answer",
        "mine-0.1.dist-info/METADATA": b"Metadata-Version: 2.1\\nName: mine\\nVersion: 0.1\\n",
        "mine-0.1.dist-info/WHEEL": f"Wheel-Version: 1.0\\nTag: {{TAG}}\\n".encode(),
    }}
    record = ""
    with zipfile.ZipFile(f"{{wheel_directory}}/{{name}}", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{{path}},sha256={{digest}},{{len(data)}}\\n"
        archive.writestr("mine-0.1.dist-info/RECORD", record + "mine-0.1.dist-info/RECORD,,\\n")
    return name
"""
NATIVE = "cp311-cp311-linux_x86_64"


def test_a_folder_of_plain_python_becomes_a_wheel(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project(BACKEND.format(tag="py3-none-any"))
    before = sorted(folder.iterdir())
    (tmp_path / "out").mkdir()

    file = browser_wheels.build_wheel(folder, tmp_path / "out", "3.14.2", QUIET)

    [found] = read_wheels([file], PYTHON, "mine:fix")
    assert (found.name, found.version) == ("mine", "0.1")
    assert sorted(folder.iterdir()) == before
    assert list((tmp_path / "out").iterdir()) == [file]


# one that knows nothing of SOURCE_DATE_EPOCH: what is in its wheel has the times of the files
BY_THE_CLOCK = BACKEND.replace(
    "archive.writestr(path, data)",
    """
            import os, pathlib, time
            there = pathlib.Path(path)
            there.parent.mkdir(exist_ok=True)
            there.write_bytes(data)
            then = os.stat("pyproject.toml").st_mtime
            os.utime(there, (then, then))
            archive.write(there)
""",
)
TOLD = """
def told():
    import os, time
    return [os.environ["SOURCE_DATE_EPOCH"], time.strftime("%Z"), os.environ["PYTHONHASHSEED"],
            oct(os.umask(0))]
"""


def digests(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


def test_a_backend_that_writes_the_time_makes_the_same_wheel(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder, made = project(BY_THE_CLOCK.format(tag="py3-none-any")), []
    for then in (1.0e9, 1.5e9):
        os.utime(folder / "pyproject.toml", (then, then))
        before = digests(folder)

        made.append(browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET).read_bytes())

        assert digests(folder) == before
    assert made[0] == made[1]


def test_a_build_is_told_the_same_time_order_and_modes_wherever_it_runs(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BACKEND.replace('b"def fix(answer): return answer"', "repr(told()).encode()")
    folder, made = project(TOLD + text.format(tag="py3-none-any")), []
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for zone, seed, mask in (("Asia/Tokyo", "1", 0o077), ("America/Lima", "2", 0o002)):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        usual = os.umask(mask)
        try:
            file = browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)
        finally:
            os.umask(usual)
        made.append(file.read_bytes())

    assert made[0] == made[1]
    with zipfile.ZipFile(file) as archive:
        assert archive.read("mine.py") == b"['315532800', 'UTC', '0', '0o22']"


@pytest.fixture
def with_setuptools(tmp_path: Path) -> Path:
    """A package of two modules, as most people write one."""
    folder = tmp_path / "usual"
    (folder / "src" / "mine").mkdir(parents=True)
    (folder / "src" / "mine" / "__init__.py").write_text("def fix(answers): return answers\n")
    (folder / "src" / "mine" / "words.py").write_text("WORDS = {'a', 'b'}\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0.1"\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    return folder


def built_with_setuptools(folder: Path, out: Path) -> Path:
    try:
        return browser_wheels.build_wheel(folder, out, "3.14.2", QUIET)
    except DataError as error:
        if "in reach of pip" in error.hint:
            pytest.skip("pip cannot reach setuptools here")
        raise


def test_setuptools_makes_the_same_bytes_of_the_same_folder_and_leaves_it_alone(
    with_setuptools: Path, tmp_path: Path
) -> None:
    made = []
    for then in (1.0e9, 1.5e9):
        for path in with_setuptools.rglob("*"):
            os.utime(path, (then, then))
        before = digests(with_setuptools)

        made.append(built_with_setuptools(with_setuptools, tmp_path).read_bytes())

        assert digests(with_setuptools) == before
    assert made[0] == made[1]


def test_a_module_that_was_deleted_is_not_in_the_next_wheel(
    with_setuptools: Path, tmp_path: Path
) -> None:
    # as setuptools leaves its folders where somebody builds in place
    shutil.copytree(with_setuptools / "src", with_setuptools / "build" / "lib")
    (with_setuptools / "src" / "mine.egg-info").mkdir()
    (with_setuptools / "src" / "mine.egg-info" / "SOURCES.txt").write_text("src/mine/words.py\n")
    (with_setuptools / "src" / "mine" / "words.py").unlink()

    file = built_with_setuptools(with_setuptools, tmp_path)

    with zipfile.ZipFile(file) as archive:
        code = [name for name in archive.namelist() if name.endswith(".py")]
    assert code == ["mine/__init__.py"]


def test_a_compiled_wheel_too_is_built_from_a_copy_and_has_no_times(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that writes the wheel stands for the compiler, which most machines lack."""
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    kept = browser_wheels.kept("3.14")
    program(
        kept,
        "bin/pyodide",
        'test "$SOURCE_DATE_EPOCH" = 315532800 || exit 1',
        'cd "$2" && mkdir build && touch build/left',
        f"sed -i s/{NATIVE}/{COMPILED}/ backend.py",
        f'exec {sys.executable} -c "import backend, sys; backend.build_wheel(sys.argv[1])" "$4"',
    )
    (kept / "whole").touch()
    before = digests(folder)

    file = browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert digests(folder) == before
    assert file.name == f"mine-0.1-{COMPILED}.whl"
    with zipfile.ZipFile(file) as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_build_that_fails_names_the_folder_and_not_its_copy(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project("import pathlib; raise SystemError(f'no {pathlib.Path.cwd()}/words.txt')")

    with pytest.raises(DataError) as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert f"no {folder}/words.txt" in str(caught.value)


def test_a_package_with_compiled_parts_says_what_it_needs(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if browser_wheels.python_like("3.14"):
        pytest.skip("there is a Python here that the tool runs in")

    with pytest.raises(UnsupportedError, match=r"in Python 3\.14.* none here") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "--with" in caught.value.hint


def program(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.mark.parametrize("said", ["3.11", "no", "", "3.14.5", "3.14 or so"])
def test_a_program_that_is_not_the_python_it_is_called_is_not_used(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "python3.14", f"echo {said}")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser_wheels.python_like("3.14") is None


def test_a_tool_that_cannot_be_had_leaves_nothing_that_counts_as_one(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    says = 'if [ "$1" = -I ]; then echo 3.14; else echo "error: no space left"; exit 1; fi'
    program(tmp_path / "bin", "python3.14", says)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    for _ in range(2):
        with pytest.raises(UnsupportedError, match="could not be fetched: error: no space left"):
            browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)


def test_a_cross_compiler_that_cannot_be_had_is_told_with_what_to_do(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(BACKEND.format(tag=NATIVE))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = browser_wheels.kept("3.14")
    program(kept, "bin/pyodide", "echo 'Error: could not download the xbuildenv'; exit 1")
    (kept / "whole").touch()

    with pytest.raises(UnsupportedError, match="could not download the xbuildenv") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "Emscripten" in caught.value.hint
    assert "--with" in caught.value.hint


@pytest.mark.parametrize(
    ("backend", "text", "words"),
    [
        ("backend", "raise SystemError('broken on purpose')", "broken on purpose"),
        ("backend", "def build_wheel(*words): raise ValueError('no compiler')", "no compiler"),
        ("gone", "", "gone"),
    ],
)
def test_a_package_that_does_not_build_is_told_with_its_last_words(
    backend: str, text: str, words: str, project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project(text, backend=backend)

    with pytest.raises(DataError, match=words) as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "pip wheel" in caught.value.hint


def test_a_build_that_needs_what_pip_cannot_reach_says_so(
    project: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project("", '["a-backend-of-nobody-xyz"]')
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(DataError, match="could not be built") as caught:
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", QUIET)

    assert "in reach of pip" in caught.value.hint


def test_a_folder_without_a_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no Python package"):
        browser_wheels.build_wheel(tmp_path, tmp_path, "3.14.2", QUIET)


def test_a_build_that_is_cancelled_ends_with_all_its_children(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    mark = tmp_path / "child.pid"
    text = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    folder = project(text)
    job = Job()

    def stop(event: Event) -> None:
        if mark.exists() and mark.read_text():
            job.cancel()

    job.listen = stop
    with pytest.raises(Cancelled):
        browser_wheels.build_wheel(folder, tmp_path, "3.14.2", job)

    child = int(mark.read_text())
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.05)  # the system takes it away a moment after
    assert not Path(f"/proc/{child}").exists()


def test_the_tool_is_named_among_the_extras() -> None:
    import tomllib

    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    named = extras["optional-dependencies"]["wasm"]

    assert [one.partition(";")[0].strip() for one in named] == [browser_wheels.TOOL]


def test_the_folder_of_wheels_is_where_pyodide_looks() -> None:
    assert Path(wheels.WHEELS).parent == Path(wheels.LOCK).parent
