"""`python -m edge_targets.agent --root FOLDER`: listen until told to stop."""

import argparse
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from edge_targets.agent import journal
from edge_targets.agent.access import Listening
from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home, Running
from edge_targets.agent.notify import READY, STOPPING, Pulse, notify, watchdog_s
from edge_targets.agent.selfcheck import SelfCheck
from edge_targets.agent.server import Server
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DataError, EdgeError, StorageError

log = logging.getLogger("edge_targets.agent")

LOOK_S = 1.0  # how often we see whether our folder is still there


def main(words: list[str] | None = None) -> int:
    options = parser().parse_args(words)
    home = Home(options.root.resolve())
    try:
        with storing(home.root):
            home.root.mkdir(parents=True, exist_ok=True)
        with home.alone():
            with suppress(OSError):
                (home.root / Running.file).unlink()  # of an agent that was killed
            journal.begin(home.log)
            serve(home, listening(options))
    except EdgeError as error:
        if log.hasHandlers():  # else the log was not begun
            log.error("%s %s", error, error.hint)
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m edge_targets.agent", description=__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder of this device")
    made.add_argument("--host", default="127.0.0.1", help="address to listen at")
    made.add_argument("--port", type=int, default=0, help="0: any free one")
    made.add_argument("--socket", default="", metavar="PATH", help="a Unix socket as well")
    made.add_argument(
        "--tls", nargs=2, default=("", ""), metavar=("CERT", "KEY"), help="PEM files for https"
    )
    made.add_argument("--token-file", type=Path, metavar="FILE", help="what who asks must know")
    made.add_argument(
        "--insecure", action="store_true", help="beyond this device without TLS and token"
    )
    return made


def listening(options: argparse.Namespace) -> Listening:
    token = ""
    if options.token_file:
        try:
            token = options.token_file.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise DataError(
                f"{options.token_file} cannot be read: {error}.", "Give a file with one line."
            ) from error
        if not token:
            raise DataError(f"{options.token_file} is empty.", "Make one: openssl rand -hex 32.")
    certificate, key = options.tls
    return Listening(
        options.host, options.port, options.socket, certificate, key, token, options.insecure
    )


def serve(home: Home, where: Listening) -> None:
    """Answer until a signal, a request to stop, or the end of the folder."""
    where.check()
    agent = Agent(home)
    server = Server(agent, where)
    for number in (signal.SIGTERM, signal.SIGINT):
        # in a thread: the handler may interrupt `wait` below while it holds the event's lock
        signal.signal(number, lambda *_: threading.Thread(target=server.stopped.set).start())
    server.start()
    log.info("listening at %s", server.url)
    if not where.is_local and where.insecure:
        log.warning("--insecure: anybody who reaches %s can use this device", where.host)
    agent.start()
    notify(READY, f"STATUS=listening at {server.url}")
    if period := watchdog_s():
        Pulse(SelfCheck(agent, server), period).start()
    try:  # last: whoever reads it finds us watched over
        Running(pid=os.getpid(), url=server.url).save(home.root)
    except StorageError as error:  # who knows the port reaches us all the same
        log.error("%s %s", error, error.hint)
    folder = os.stat(home.root)  # noqa: PTH116 - compared with samestat
    while not server.stopped.wait(LOOK_S):
        if not same(home.root, folder):
            log.warning("%s is gone", home.root)
            break
    notify(STOPPING)
    server.close()
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


if __name__ == "__main__":
    sys.exit(main())
