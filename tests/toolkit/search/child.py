"""A search in a process of its own: `python child.py WORKSPACE STUDY TRIALS [MESSAGE]`.

Killed without a warning at the first event whose message begins with MESSAGE.
"""

import os
import signal
import sys
from pathlib import Path

from edge_targets.runtime.events import Event, Job
from tests.toolkit.search.conftest import options
from toolkit.search import search
from toolkit.workspace import Workspace


def main(root: str, study: str, trials: str, message: str = "") -> None:
    def listen(event: Event) -> None:
        if message and event.message.startswith(message):
            os.kill(os.getpid(), signal.SIGKILL)

    asked = options(study=study, trials=int(trials))
    search(Workspace(Path(root)), "g", "digits", asked, Job(listen))


if __name__ == "__main__":
    main(*sys.argv[1:])
