"""`python -m edge_targets.agent --root FOLDER`: listen until told to stop."""

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home, Running
from edge_targets.agent.server import Server
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError, EdgeError, StorageError

log = logging.getLogger("edge_targets.agent")

LOG_BYTES, LOG_FILES = 1 << 20, 2  # of agent.log, and how many older ones stay
LOOK_S = 1.0  # how often we see whether our folder is still there


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.agent", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of this device")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    options = parser.parse_args(words)
    home = Home(options.root.resolve())
    try:
        with storing(home.root):
            home.root.mkdir(parents=True, exist_ok=True)
        with home.alone():
            (home.root / Running.file).unlink(missing_ok=True)  # of an agent that was killed
            begin_log(home)
            serve(home, options.host, options.port)
    except EdgeError as error:
        log.error("%s %s", error, error.hint)
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


def begin_log(home: Home) -> None:
    with storing(home.log):
        handler = RotatingFileHandler(home.log, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk must not fill standard error as well
    threading.excepthook = lambda failed: log.error(
        "thread %s", failed.thread, exc_info=failed.exc_value
    )


def serve(home: Home, host: str, port: int) -> None:
    """Answer until a signal, a request to stop, or the end of the folder."""
    shutil.rmtree(home.incoming, ignore_errors=True)  # uploads that a kill interrupted
    agent = Agent(home)
    with listening(agent, host, port) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # in a thread: the handler may interrupt `wait` below while it holds the event's lock
            signal.signal(number, lambda *_: threading.Thread(target=server.stopped.set).start())
        agent.start()
        folder = os.stat(home.root)  # noqa: PTH116 - compared with samestat
        while not server.stopped.wait(LOOK_S):
            if not same(home.root, folder):
                log.warning("%s is gone", home.root)
                break
    try:
        agent.close()
    except StorageError as error:
        log.warning("%s %s", error, error.hint)
    with suppress(OSError):
        (home.root / Running.file).unlink()
    log.info("stopped")


def same(path: Path, was: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), was)
    except OSError:
        return False


@contextmanager
def listening(agent: Agent, host: str, port: int) -> Iterator[Server]:
    if not host:  # the system would take it for every network
        raise DeviceError("There is no address to listen at.", "Say --host 0.0.0.0 for all.")
    try:
        server = Server(agent, host, port)
    # a host that is no name is a ValueError or TypeError, a port out of range an OverflowError
    except (OSError, OverflowError, TypeError, ValueError) as error:
        raise DeviceError(
            f"Cannot listen at {host}:{port}: {error}.", "Choose another port, or 0 for a free one."
        ) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
        thread.start()
        Running(pid=os.getpid(), url=server.url).save(agent.home.root)
        log.info("listening at %s", server.url)
        try:
            yield server
        finally:
            server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
