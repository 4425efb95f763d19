"""What people install: the wheel is whole, holds nothing private, and works where it lands."""

import json
import subprocess
import sys
import sysconfig
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*words: str | Path, cwd: Path) -> str:
    answer = subprocess.run(
        list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    web = ROOT / "edge_targets" / "_web" / "index.html"
    assert web.is_file(), "The wheel carries the browser side: run `make web` first."
    folder = tmp_path_factory.mktemp("wheel")
    # The backend itself, not pip: no isolated environment, so nothing is fetched.
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def members(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the folder of its commands.

    The dependencies are lent by this environment through a path file, because fetching and
    unpacking gigabytes proves nothing about our wheel. Path files of a lent folder are not
    read, so the clone (installed by one) stays out of sight.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    words = ("install", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, *words, wheel, cwd=folder)
    site = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    Path(site, "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_the_browser_side(members: list[str]) -> None:
    built = ROOT / "edge_targets" / "_web"
    expected = {str(path.relative_to(ROOT)) for path in built.rglob("*") if path.is_file()}

    assert expected <= set(members)


def test_the_wheel_holds_every_module_and_nothing_else(members: list[str]) -> None:
    tops = {name.split("/")[0] for name in members}
    info = f"sanderling-{PROJECT['version']}.dist-info"
    modules = {
        str(path.relative_to(ROOT))
        for package in ("toolkit", "edge_targets", "gui")
        for path in (ROOT / package).rglob("*.py")
    }

    assert tops == {"toolkit", "edge_targets", "gui", info}
    assert modules <= set(members)
    assert f"{info}/licenses/LICENSE" in members


def test_the_wheel_holds_no_keys_and_no_leftovers(wheel: Path, members: list[str]) -> None:
    endings = (".pem", ".key", ".sndl", ".pyc", ".toml", ".parquet", ".sqlite", ".db")

    with ZipFile(wheel) as archive:
        private = [name for name in members if b"PRIVATE KEY-----\n" in archive.read(name)]

    assert private == []
    assert [name for name in members if name.endswith(endings) or "/." in name] == []


def test_the_wheel_names_every_extra(wheel: Path, members: list[str]) -> None:
    [name] = [name for name in members if name.endswith(".dist-info/METADATA")]
    with ZipFile(wheel) as archive:
        facts = Parser().parsestr(archive.read(name).decode())

    assert set(facts.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert facts["Version"] == PROJECT["version"]
    assert facts["Description-Content-Type"] == "text/markdown"


def test_the_installed_wheel_and_not_the_clone_is_what_runs(
    environment: Path, tmp_path: Path
) -> None:
    code = "import edge_targets, gui, toolkit; print(toolkit.__file__, gui.__file__)"

    files = run(environment / "python", "-c", code, cwd=tmp_path).split()

    assert all(Path(file).is_relative_to(environment.parent) for file in files)


def test_the_installed_program_says_its_version(environment: Path, tmp_path: Path) -> None:
    said = run(environment / "sanderling", "--version", cwd=tmp_path)

    assert PROJECT["version"] in said


def test_the_installed_doctor_finds_all_that_is_required_and_the_browser_side(
    environment: Path, tmp_path: Path
) -> None:
    result = json.loads(run(environment / "sanderling", "doctor", "--json", cwd=tmp_path))

    assert result["ok"]
    [web] = [check for check in result["checks"] if check["name"] == "Browser files"]
    assert web["passed"]
