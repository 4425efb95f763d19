"""Runs on a board, from the agent's wheel and with the standard library alone.

`install.py` of a payload calls `run`; an installed board has it as
`python3 -m edge_targets.enrolment.installer`. Each step says so in a line (`--json`: one object a
line) and can be done again: what is done already is left as it is. What serves goes on until the
new environment has been tried; when the agent then does not answer, the old one comes back.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_targets.enrolment import board, upkeep
from edge_targets.enrolment.installation import Installation, Say
from edge_targets.enrolment.service import SERVICES, Layout, best_service
from edge_targets.runtime.errors import DeviceError, EdgeError

VERBS = {
    "uninstall": "remove the agent, its models and its data",
    "configure": "change settings: a JSON object on standard input",
    "stop": "end the agent until the board starts again",
    "start": "start the agent, or start it again",
}


def run(payload: Path | None, words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="another folder, for a trial")
    parser.add_argument("--service", choices=(*SERVICES, "none"), help="told by itself")
    parser.add_argument("--json", action="store_true")
    verbs = parser.add_mutually_exclusive_group()
    for verb, text in VERBS.items():
        verbs.add_argument(f"--{verb}", action="store_true", help=text)
    options = parser.parse_args(words)
    os.umask(0o022)  # the agent's user must be able to read what root unpacks
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # whoever asked may be gone: we go on
    say, layout = Say(options.json), Layout(options.root.resolve())
    try:
        with board.alone(layout):
            kind = options.service or upkeep.known_service(layout) or best_service()
            account = board.make_account(layout)
            service = SERVICES[kind](layout, account) if kind != "none" else None
            if options.uninstall:
                answer = upkeep.uninstall(layout, service, account, say)
            elif options.configure:
                answer = upkeep.configure(layout, service, account, sys.stdin.read(), say)
            elif options.stop or options.start:
                answer = upkeep.turn(layout, service, options.start, say)
            elif payload:
                answer = Installation(payload, layout, service, account, say).run()
            else:
                raise DeviceError("There is no payload.", "Run the install.py of one.")
    except EdgeError as error:
        facts = {"error": str(error), "hint": error.hint, "kind": error.kind}
        say.line(facts, f"{error}\n{error.hint}")
        return 1
    except OSError as error:
        told = f"{error.filename or 'The board'}: {error.strerror or error}."
        hint = "Is the disk full, read-only or failing? See `df -h` and `dmesg` on the board."
        say.line({"error": told, "hint": hint, "kind": "storage"}, f"{told}\n{hint}")
        return 1
    say.line({"result": answer}, "done")
    return 0


if __name__ == "__main__":
    sys.exit(run(None, sys.argv[1:]))
