"""The doctor finds what is missing, says how to mend it, and needs none of it itself."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from toolkit import doctor
from toolkit.report import plain

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnx", "onnxruntime", "PySide6", "duckdb", "starlette", "sklearn", "numpy")

EXAMINE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from toolkit import doctor
from toolkit.report import plain
print(json.dumps({"result": plain(doctor.examine()), "loaded": sorted(sys.modules)}))
"""


def base_dependencies(name: str = "sanderling") -> set[str]:
    """Names of what `pip install sanderling`, without extras, would bring."""
    found = {name}
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
            found |= base_dependencies(requirement.name)
    return found


def environment(folder: Path, names: set[str]) -> Path:
    """A real, smaller environment: links to the installed files of `names` and nothing else."""
    folder.mkdir()
    for package in ("toolkit", "edge_targets", "gui"):
        (folder / package).symlink_to(ROOT / package)
    for name in names:
        distribution = metadata.distribution(name)
        for top in {Path(file).parts[0] for file in distribution.files or []} - {
            "..",
            "__pycache__",
        }:
            link = folder / top
            source = Path(str(distribution.locate_file(top)))
            if not link.exists() and source.exists():
                link.symlink_to(source)
    return folder


def examine_in(site: Path) -> dict[str, Any]:
    """What a Python sees that has only `site` beyond the standard library."""
    command = [sys.executable, "-I", "-S", "-c", EXAMINE, str(site)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=site)
    parsed: dict[str, Any] = json.loads(answer.stdout)
    return parsed


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in result["checks"]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return environment(tmp_path / "site", base_dependencies())


def test_everything_required_is_found_here(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path)

    assert found.ok
    assert all(check.passed or check.mend or check.name == "Memory" for check in found.checks)
    assert {"Python", "torch", "onnxruntime", "ai-edge-litert", "Writing", "Disk"} <= set(
        by_name(plain(found))
    )


def test_every_finding_has_the_fields_other_programs_read(tmp_path: Path) -> None:
    result = plain(doctor.examine(tmp_path))

    assert result["next"]
    for check in result["checks"]:
        assert {"name", "found", "needed_for", "passed", "mend"} <= check.keys()


def test_without_the_extras_each_is_named_with_the_command_that_brings_it(base: Path) -> None:
    result = examine_in(base)["result"]

    checks = by_name(result)
    assert checks["torch"]["found"] == "not installed (wanted ==2.13.0)"
    assert checks["torch"]["mend"] == "pip install 'sanderling[train]'"
    assert checks["ai-edge-litert"]["mend"] == "pip install 'sanderling[compile]'"
    assert checks["duckdb"]["mend"] == "pip install 'sanderling[collect]'"
    assert checks["pyside6-essentials"]["mend"] == "pip install 'sanderling[gui]'"
    assert checks["playwright"]["mend"] == "pip install 'sanderling[browser]'"
    assert result["ok"], "an extra is a choice, not a fault"
    assert "pip install 'sanderling[train]'" in result["next"]


def test_without_something_required_it_is_not_ok(tmp_path: Path) -> None:
    site = environment(tmp_path / "site", base_dependencies() - {"tomli-w"})

    result = examine_in(site)["result"]

    assert not by_name(result)["tomli-w"]["passed"]
    assert not result["ok"]


def test_without_its_own_metadata_it_says_how_to_install(tmp_path: Path) -> None:
    site = environment(tmp_path / "site", set())

    result = examine_in(site)["result"]

    assert not result["ok"]
    assert by_name(result)["sanderling"]["mend"] == "pip install -e '.[all]'"


def test_the_command_line_itself_works_without_the_extras(base: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from toolkit.cli import main; sys.exit(main(['doctor', '--json']))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(base)]

    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=base)

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["ok"]


def test_nothing_heavy_is_imported(base: Path) -> None:
    loaded = examine_in(base)["loaded"]

    assert set(HEAVY).isdisjoint(loaded)


@pytest.mark.parametrize(
    ("version", "wanted", "good"),
    [
        ("2.13.0+cpu", "==2.13.0", True),  # a CPU build of torch is that torch
        ("2.13.1", "==2.13.0", False),
        ("2.9", ">=2.10", False),  # numbers, not letters
        ("5", ">=5.0.0", True),
        ("26.0.1", ">=18", True),
        ("6.12.0", "<6.12,>=6.8", False),
        ("6.11.3", "<6.12,>=6.8", True),
        ("1.0rc1", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, wanted: str, good: bool) -> None:
    assert doctor._satisfies(version, wanted) is good


def test_a_workspace_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path / "later" / "workspace")

    assert by_name(plain(found))["Writing"] == {
        "name": "Writing",
        "found": str(tmp_path),
        "needed_for": "a workspace",
        "passed": True,
        "mend": "",
        "required": True,
    }
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind


def test_a_place_that_takes_no_files_is_found() -> None:
    found = doctor.examine(Path("/proc/self"))  # nobody can make a file there, root neither

    assert not by_name(plain(found))["Writing"]["passed"]
    assert not found.ok


def test_chromium_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "google-chrome"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = doctor.chromium()

    assert found == browser


def test_without_chromium_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    checks = by_name(plain(doctor.examine(tmp_path)))

    assert doctor.chromium() is None
    assert checks["Chromium"]["mend"] == "sudo apt-get install chromium"
