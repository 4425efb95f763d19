"""Updates from a USB stick: `python -m edge_targets.agent.stick --root FOLDER [STICK]`.

On the stick lies a copy of the repository, or the part of it that leads to one package. It passes
the very same checks as a download: a stick is no more to be believed than a web server, and one
whose timestamp has run out is refused.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from edge_targets.agent.home import Home
from edge_targets.agent.pulling import Found, look
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.transport import put_package

PLACES = (Path("/media"), Path("/run/media"), Path("/mnt"))  # where desktops and boards mount
DEPTH = 3  # folders below: /run/media/USER/LABEL/repository


def sticks(places: Iterable[Path] = PLACES) -> list[Path]:
    """Folders below `places` that hold a repository."""
    found = set()
    for place in places:
        for depth in range(DEPTH + 1):
            found |= {
                file.parent.parent for file in place.glob("*/" * depth + "metadata/timestamp.json")
            }
    return sorted(found)


def update(home: Home, stick: Path) -> tuple[Found, ...]:
    """Install whatever newer the stick holds, through the agent that runs; what was installed.

    Raises:
        DeviceError: no agent runs here, or nothing newer can be taken.
        IntegrityError: the agent refused it; what was served stays.
    """
    running = home.running()
    if running is None:
        raise DeviceError(f"No agent runs in {home.root}.", "Start it, then try again.")
    done: list[Found] = []
    while True:
        found = look(home, stick, ())
        if found.state == "failed":
            raise DeviceError(found.error, found.hint)
        if found.state == "current" or found in done:
            return tuple(done)
        file = Path(found.file)
        try:
            put_package(f"{running.url}/v1/package", file)
        finally:
            file.unlink(missing_ok=True)
        done.append(found)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent.stick")
    parser.add_argument("--root", type=Path, required=True, help="folder of this device")
    parser.add_argument("stick", type=Path, nargs="?", help="folder of the repository's copy")
    options = parser.parse_args(words)
    places = [options.stick] if options.stick else sticks()
    try:
        if not places:
            raise DeviceError("There is no stick with a repository.", "Is it mounted?")
        for place in places:
            done = update(Home(options.root.resolve()), place)
            for found in done:
                sys.stdout.write(f"{found.model} {found.version} is installed.\n")
            if not done:
                sys.stdout.write(f"{place} holds nothing newer.\n")
    except EdgeError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
