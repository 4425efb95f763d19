"""`make` explains itself, and its targets hold together."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TARGETS = [
    "demo",
    "test",
    "test-powercut",
    "gui",
    "check",
    "bench",
    "web",
    "lock",
    "setup",
    "clean",
]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    # Its own make flags are what a `make test` around us would hand down.
    command = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target() -> None:
    listed = make().stdout

    assert re.findall(r"^make ([\w-]+) +\S", listed, re.MULTILINE)
    assert [target for target in TARGETS if f"make {target} " not in listed] == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_could_run(target: str) -> None:
    planned = make("-n", target)

    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.strip()


@pytest.mark.parametrize("script", [".ci/setup", ".ci/run"])
def test_the_scripts_parse(script: str) -> None:
    shell = (ROOT / script).read_text().splitlines()[0].removeprefix("#!")

    parsed = subprocess.run(
        [shell, "-n", ROOT / script], capture_output=True, text=True, check=False
    )

    assert parsed.returncode == 0, parsed.stderr
    assert (ROOT / script).stat().st_mode & 0o111


def test_the_lock_names_versions_and_no_places() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()

    packages = [line for line in lines if not line.startswith("#")]
    assert [line for line in packages if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert "torch==2.13.0" in packages  # no local version: each machine takes its own build


LEFT_OUT = {
    "all",
    "litert",
}  # the latter brings 900 MB for one format: whoever wants it installs it


def test_the_lock_has_all_that_pyproject_asks_for() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = settings["project"]["optional-dependencies"]
    wanted = [
        *settings["project"]["dependencies"],
        *settings["dependency-groups"]["dev"],
        # 900 MB for one format; a tool with an environment of its own
        *(
            line
            for name, lines in extras.items()
            if name not in {"all", "litert", "wasm"}
            for line in lines
        ),
    ]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if "==" in line]
    locked = {canonicalize_name(name): version for name, version in pins}

    def holds(requirement: Requirement) -> bool:
        version = locked.get(canonicalize_name(requirement.name))
        return version is not None and version in requirement.specifier

    assert [line for line in wanted if not holds(Requirement(line))] == [], "run `make lock`"
