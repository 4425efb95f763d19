"""What the page about the Raspberry Pi shows is typed, to an arm64 board of ours."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.contracts.test_readme import MINUTES, ROOT, commands
from tests.pi.fixtures import StartPi

SHOWN = "pi@kitchen.local"  # the board of the page


def test_every_command_of_the_page_does_what_it_promises(start_pi: StartPi, tmp_path: Path) -> None:
    pi = start_pi("cortex-a72", "bookworm")
    promised = commands((ROOT / "docs" / "raspberry-pi.md").read_text())
    assert any(SHOWN in command.words for command in promised)

    folder = tmp_path
    for command in promised:
        if command.program == "cd":
            folder /= command.words[0]
            continue
        words = [pi.address if word == SHOWN else word for word in command.words]
        ran = subprocess.run(
            [sys.executable, "-m", "toolkit", *words],
            cwd=folder,
            env={**os.environ, "SANDERLING_PASSWORD": pi.password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=15 * MINUTES,
            check=False,
        )
        typed = shlex.join(("sanderling", *words))
        assert ran.returncode == command.exits, f"$ {typed}\n{ran.stdout}\n{ran.stderr}\n{pi.log}"
    assert "device remove kitchen --uninstall" in typed
