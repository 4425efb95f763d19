"""The architecture is kept, and each rule that guards it is seen to fail on a planted fault."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gui", "toolkit", "edge_targets")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {
    contract["name"]: contract for contract in SETTINGS["tool"]["importlinter"]["contracts"]
}
HEAVY = SETTINGS["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]
FOLDERS = [
    pattern.removesuffix(".*")
    for contract in CONTRACTS.values()
    if contract["type"] == "independence"
    for pattern in contract["modules"]
]

# Contract: the file the fault goes into, and the fault.
FAULTS = {
    "Arrows point down: gui -> toolkit -> edge_targets": ("toolkit/planted.py", "import gui"),
    "Inside edge_targets the runtime is the floor": (
        "edge_targets/runtime/planted.py",
        "import edge_targets.package",
    ),
    "The runtime needs nothing but the standard library": (
        "edge_targets/runtime/planted.py",
        "import pydantic",
    ),
    "Only gui knows Qt": ("toolkit/planted.py", "import PySide6"),
    "gui draws and asks: no numpy, torch, onnx of its own": ("gui/planted.py", "import numpy"),
    "Members of one folder are strangers to each other": (
        "toolkit/passes/planted.py",
        "import toolkit.passes.planted_neighbour",
    ),
    "Places of verification, which join engines and targets, are strangers to each other": (
        "toolkit/verification/places/planted.py",
        "import toolkit.verification.places.litert",
    ),
}


WIDE = {"COLUMNS": "1000"}  # or import-linter breaks the lines that are looked for


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=os.environ | WIDE,
        capture_output=True,
        text=True,
        check=False,
    )


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command as main; main()"
    options = ("--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml")
    return run(sys.executable, "-c", code, *options, cwd=folder)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the three packages, to plant faults in."""
    for package in PACKAGES:
        ignored = ignore_patterns("__pycache__", "_web*")
        copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def test_every_contract_is_kept() -> None:
    linted = lint_imports(ROOT)

    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in linted.stdout


def test_every_contract_has_a_fault_to_fail_on() -> None:
    assert FAULTS.keys() == CONTRACTS.keys()


@pytest.mark.parametrize("contract", FAULTS)
def test_a_planted_fault_breaks_the_contract_and_is_named(house: Path, contract: str) -> None:
    file, fault = FAULTS[contract]
    (house / file).write_text(fault + "\n")
    (house / "toolkit/passes/planted_neighbour.py").touch()

    linted = lint_imports(house)

    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert f"{contract} BROKEN" in linted.stdout
    planted, imported = file.removesuffix(".py").replace("/", "."), fault.removeprefix("import ")
    assert f"{planted} -> {imported}" in linted.stdout


def test_members_are_strangers_in_every_folder_of_members(house: Path) -> None:
    for folder in FOLDERS:
        path = house / folder.replace(".", "/")
        assert (path / "__init__.py").is_file(), f"{folder} is no package: its rule guards nothing"
        (path / "planted.py").write_text(f"import {folder}.planted_neighbour\n")
        (path / "planted_neighbour.py").touch()

    linted = lint_imports(house)

    unseen = [f for f in FOLDERS if f"{f}.planted -> {f}.planted_neighbour" not in linted.stdout]
    assert unseen == []


# Imports everything in edge_targets.runtime, and refuses what is neither that nor standard.
RUNTIME_ALONE = """
import importlib, importlib.abc, pkgutil, sys

class StandardLibraryOnly(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        ours = name == "edge_targets" or (name + ".").startswith("edge_targets.runtime.")
        if not ours and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} is not in the standard library")

sys.meta_path.insert(0, StandardLibraryOnly())
sys.path.insert(0, sys.argv[1])
import edge_targets.runtime as runtime
for module in pkgutil.walk_packages(runtime.__path__, "edge_targets.runtime."):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_the_runtime_imports_with_the_standard_library_alone(tmp_path: Path) -> None:
    imported = run(sys.executable, "-I", "-S", "-c", RUNTIME_ALONE, ROOT, cwd=tmp_path)

    assert imported.returncode == 0, imported.stderr
    assert {"edge_targets.runtime.sketch", "edge_targets.runtime.engines.onnx"} <= set(
        imported.stdout.split()
    )


def test_a_runtime_that_imports_more_is_refused(house: Path) -> None:
    (house / "edge_targets/runtime/planted.py").write_text("import numpy\n")

    imported = run(sys.executable, "-I", "-S", "-c", RUNTIME_ALONE, house, cwd=house)

    assert imported.returncode == 1
    assert "numpy is not in the standard library" in imported.stderr


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['sanderling', '--help']\n"
        "try: runpy.run_module('toolkit', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print('LOADED', *sys.modules)\n"
    )

    answer = run(sys.executable, "-c", code, cwd=tmp_path)

    assert answer.returncode == 0, answer.stderr
    text, _, loaded = answer.stdout.rpartition("LOADED")
    assert "demo" in text
    assert {*HEAVY, "PySide6", "scipy"}.isdisjoint(loaded.split())


def test_heavy_imports_at_the_top_of_a_module_are_refused(tmp_path: Path) -> None:
    planted = tmp_path / "toolkit" / "planted.py"
    planted.parent.mkdir()
    inside = "\n\n\ndef later():\n    import torch\n"
    planted.write_text("\n".join(f"import {module}" for module in HEAVY) + inside)

    words = (
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "TID253",
        "--output-format",
        "concise",
    )
    linted = run(sys.executable, *words, "--config", ROOT / "pyproject.toml", planted, cwd=tmp_path)

    assert linted.returncode == 1
    refused = [line for line in linted.stdout.splitlines() if "TID253" in line]
    assert [module for module in HEAVY if not any(f"`{module}`" in line for line in refused)] == []
    assert len(refused) == len(HEAVY)  # and none for the import inside the function
