"""Start the agent from the environment that was switched to, or from the one before it.

An environment that was switched to and has not become healthy in three starts is given up. This
is copied to the board as it is and needs nothing but the standard library: whatever happens to an
environment, it still runs. The installer takes the note away once the agent is healthy.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

TRIES = 3
NOTE = "switched.json"  # {"environment": name, "starts": number}


def main() -> None:
    here = Path(__file__).resolve().parent
    options = json.loads((here / "start.json").read_bytes())
    home = Path(options["home"])
    chosen = choose(here, home)
    names = [name for name in os.environ if name.startswith("PYTHON")]
    kept = {name: value for name, value in os.environ.items() if name not in names}
    kept.update(PYTHONPATH=str(chosen / "site"), PYTHONDONTWRITEBYTECODE="1")
    words = [sys.executable, "-s", "-P", "-m", "edge_targets.agent", *options["words"]]
    os.execve(sys.executable, words, kept)  # noqa: S606 - the agent takes our place


def choose(here: Path, home: Path) -> Path:
    current, before = ((here / name).resolve() for name in ("current", "previous"))
    try:
        note = json.loads((home / NOTE).read_bytes())
        starts = int(note["starts"]) if note["environment"] == current.name else None
    except (OSError, ValueError, KeyError, TypeError):
        return current
    if starts is None:
        return current
    # counted before it is tried: a power cut counts as well
    write(home / NOTE, {"environment": current.name, "starts": starts + 1})
    if starts < TRIES or not (before / ".complete").exists():
        return current
    sys.stderr.write(f"{current.name} never became healthy: {before.name} runs instead\n")
    return before


def write(path: Path, value: object) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - mkstemp gives a string
    except OSError as error:  # a full disk must not keep the device from serving
        sys.stderr.write(f"{path}: {error}\n")


if __name__ == "__main__":
    main()
