"""What the README and the docs promise a stranger is typed and holds."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 60  # seconds


@dataclass(frozen=True)
class Command:
    """A line `$ sanderling …` (or `$ cd …`) of a ```console block; `# exits 3` is its promise."""

    program: str
    words: tuple[str, ...]
    exits: int = 0


def commands(text: str) -> list[Command]:
    """Those of all console blocks, in order; a line that ends with `\\` goes on in the next.

    Output, and commands for the shell (git, pip, make), are passed over. What runs until it is
    stopped (serve, collect, gui) belongs into a block of another kind, such as ```sh.
    """
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if not re.match(r"\$ (sanderling|cd) ", line):
                continue
            program, *words = shlex.split(line.removeprefix("$ "), comments=True)
            promise = re.search(r"# *exits (\d+)\s*$", line)
            found.append(Command(program, tuple(words), int(promise[1]) if promise else 0))
    return found


def sanderling(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toolkit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * MINUTES,
        check=False,
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; whatever devices are started below it are stopped in the end."""
    yield tmp_path

    for workspace in tmp_path.rglob("sanderling.toml"):
        listed = sanderling("device", "list", "--json", folder=workspace.parent)
        for device in json.loads(listed.stdout).get("devices", []):
            sanderling("device", "stop", device["name"], folder=workspace.parent)


def test_commands_are_read_from_console_blocks_alone() -> None:
    text = (
        "```console\n$ git clone x\n$ cd x\n"
        "$ sanderling data add 'a b.csv' \\\n    --name d  # adds\n"
        "added d\n$ sanderling watch m  # exits 3\n```\n\n```sh\n$ sanderling no\n```\n"
    )

    assert commands(text) == [
        Command("cd", ("x",)),
        Command("sanderling", ("data", "add", "a b.csv", "--name", "d")),
        Command("sanderling", ("watch", "m"), exits=3),
    ]


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/browser.md", "docs/compress.md", "docs/import.md", "docs/updates.md"],
)
def test_every_command_that_is_shown_does_what_it_promises(name: str, desk: Path) -> None:
    promised = commands((ROOT / name).read_text())
    assert any(command.program == "sanderling" for command in promised), (
        f"{name} has no ```console block with a line `$ sanderling …` to test."
    )

    # The blocks are one session: each command finds what those before it made.
    folder = desk
    for command in promised:
        if command.program == "cd":
            folder /= command.words[0]
            folder.mkdir(exist_ok=True)  # a clone's name: no clone is made here
            shown_files(ROOT / name, folder)
            continue
        ran = sanderling(*command.words, folder=folder)
        typed = shlex.join(("sanderling", *command.words))
        assert ran.returncode == command.exits, f"$ {typed}\n{ran.stdout}\n{ran.stderr}"


def shown_files(page: Path, folder: Path) -> None:
    """Write the files that the page shows: blocks whose first line is `# NAME.toml`."""
    for file, content in re.findall(
        r"^```toml\n# (\S+\.toml)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    ):
        (folder / file).write_text(content)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_a_stranger_finds_the_papers(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_changelog_tells_of_this_version() -> None:
    from importlib.metadata import version

    assert f"## {version('sanderling')}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_test_and_benchmark_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:test|bench)_\w+\.py)`", page.read_text()))

    known = {file.name for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*")}
    assert named <= known
