"""What the README promises a stranger is typed and holds."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 60  # seconds


@dataclass(frozen=True)
class Command:
    """One line `$ sanderling …` of a ```console block; `# exits 3` at its end is its promise."""

    words: tuple[str, ...]
    exits: int


def commands(text: str) -> list[Command]:
    """Lines of all console blocks in order; a line that ends with `\\` goes on in the next."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith("$ sanderling"):
                continue  # output, or a command for the shell (git clone, pip install, make)
            promise = re.search(r"#\s*exits (\d+)\s*$", line)
            words = shlex.split(line.removeprefix("$ sanderling"), comments=True)
            found.append(Command(tuple(words), int(promise[1]) if promise else 0))
    return found


def test_commands_are_read_from_console_blocks_alone() -> None:
    text = (
        "```console\n$ git clone x\n$ sanderling data add 'a b.csv' \\\n    --name d  # adds\n"
        "added d\n$ sanderling watch m  # exits 3\n```\n\n```sh\n$ sanderling no\n```\n"
    )

    assert commands(text) == [
        Command(("data", "add", "a b.csv", "--name", "d"), 0),
        Command(("watch", "m"), 3),
    ]


def test_every_command_of_the_readme_does_what_it_promises(tmp_path: Path) -> None:
    promised = commands((ROOT / "README.md").read_text())
    assert promised, "README.md has no ```console block with a line `$ sanderling …` to test."

    # The blocks are one session: each command finds what those before it made.
    for command in promised:
        ran = subprocess.run(
            [sys.executable, "-m", "toolkit", *command.words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10 * MINUTES,
            check=False,
        )
        typed = shlex.join(("sanderling", *command.words))
        assert ran.returncode == command.exits, f"$ {typed}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_a_stranger_finds_the_papers(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_changelog_tells_of_this_version() -> None:
    from importlib.metadata import version

    assert f"## {version('sanderling')}" in (ROOT / "CHANGELOG.md").read_text()
