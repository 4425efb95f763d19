"""Make this board a device: `sudo python3 install.py`, from the folder this file lies in.

The installer itself is in the agent's wheel beside it, and runs from there: with what the board's
own Python has, and nothing else.
"""

import hashlib
import json
import sys
from pathlib import Path


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - the board's own
        sys.stderr.write("Python 3.11 or newer is needed: Raspberry Pi OS Bookworm has it.\n")
        return 1
    here = Path(__file__).resolve().parent
    try:
        files = json.loads((here / "plan.json").read_bytes())["files"]
        [name] = [name for name in files if name.startswith("wheels/sanderling_agent-")]
        wheel = here / name
        good = hashlib.sha256(wheel.read_bytes()).hexdigest() == files[name]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{here} is no payload: {error}. Make it again, or copy it again.\n")
        return 1
    if not good:
        sys.stderr.write(f"{name} is not as it was packed. Copy the payload again.\n")
        return 1
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(wheel))
    from edge_targets.enrolment.installer import run

    code: int = run(here, sys.argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
