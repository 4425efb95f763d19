"""What happened: to the system's journal under systemd, to agent.log otherwise."""

import logging
import os
import sys
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES, LOG_FILES = 1 << 20, 2  # of agent.log, and how many older ones stay
MOST_LINES = 2000  # that are kept in memory, and told at once
FORM = "%(levelname)s %(name)s: %(message)s"
# sd-daemon(3): a line that begins so has that level in the journal
LEVELS = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}

log = logging.getLogger("edge_targets.agent")
recent: deque[str] = deque(maxlen=MOST_LINES)


class Recent(logging.Handler):
    """Keeps the last lines, for who may not read the journal."""

    def emit(self, record: logging.LogRecord) -> None:
        recent.extend(self.format(record).splitlines())


class Levels(logging.Formatter):
    """Each line with its level, as the journal reads it from standard error."""

    def format(self, record: logging.LogRecord) -> str:
        level = LEVELS.get(record.levelno, 2)
        return "\n".join(f"<{level}>{line}" for line in super().format(record).splitlines())


def begin(path: Path) -> None:
    """Log from now on; a disk that takes no file leaves standard error."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Levels(FORM))
    refused: OSError | None = None
    if "JOURNAL_STREAM" not in os.environ:  # systemd.exec(5)
        try:
            handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
            handler.setFormatter(logging.Formatter(f"%(asctime)s {FORM}"))
        except OSError as error:
            refused = error
    kept = Recent()
    kept.setFormatter(logging.Formatter(f"%(asctime)s {FORM}"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk must not fill standard error as well
    if refused:
        log.error("%s cannot be written: %s", path, refused)
    threading.excepthook = lambda failed: log.error(
        "thread %s", failed.thread, exc_info=failed.exc_value
    )


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, the latest last: of earlier runs too where there is a file."""
    lines = max(0, min(lines, MOST_LINES))
    try:
        with path.open(errors="replace") as file:
            found = deque(file, maxlen=lines)
    except OSError:
        found = deque(recent, maxlen=lines)
    return [line.rstrip("\n") for line in found]
