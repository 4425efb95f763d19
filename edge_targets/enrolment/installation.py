"""One payload on its way into one board: checked, unpacked, tried, switched to, or taken back."""

import json
import os
import pkgutil
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_targets.agent.home import Home, Settings, TrustedKeys
from edge_targets.enrolment import board, start
from edge_targets.enrolment.environment import Environments, attempt
from edge_targets.enrolment.plan import PACKAGE, ROOT, START, check_file, read_plan
from edge_targets.enrolment.service import Layout, Service
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError, EdgeError
from edge_targets.transport import put_package


@dataclass(frozen=True)
class Say:
    """Tells each step on standard output; nobody listening any more is no reason to stop."""

    as_json: bool

    def __call__(self, step: str, note: str = "", done: int = 0, total: int = 0) -> None:
        share = f" {done}/{total}" if total else ""
        facts = {"step": step, "done": done, "total": total, **({"note": note} if note else {})}
        self.line(facts, f"{step}{share}{': ' + note if note else ''}")

    def line(self, facts: dict[str, Any], text: str) -> None:
        try:
            sys.stdout.write((json.dumps(facts) if self.as_json else text) + "\n")
            sys.stdout.flush()
        except OSError:  # the connection was lost: we go on, whoever asked can ask again
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - until the process ends


class Installation:
    """One payload on its way into one board."""

    def __init__(
        self, payload: Path, layout: Layout, service: Service | None, account: str, say: Say
    ) -> None:
        self.payload = payload
        self.layout = layout
        self.service = service
        self.account = account
        self.say = say
        self.plan = read_plan(payload)
        self.environments = Environments(layout.software)
        self.said: dict[str, bytes | None] = {}  # in the agent's folder, before us

    def run(self) -> dict[str, Any]:
        plan, environments = self.plan, self.environments
        board.check_board(plan, self.say, time.time())
        whole = environments.complete(plan.environment)
        for done, (name, fact) in enumerate(sorted(plan.files.items())):
            self.say("check payload", done=done, total=len(plan.files))
            if not (whole and name.endswith(".whl")):
                check_file(self.payload, name, fact)
        before = environments.linked("current")
        serving = board.served(self.layout, plan.port)
        try:
            made = environments.unpack(plan, self.payload, self.say)
            found = self.attempt(made)
            environments.seal(plan.environment)
            self.said = self.stored()
            try:
                changed = self.settle()
                same = before == plan.environment and not changed
                status = self.answering() if same else None
                if status is None:
                    status = self.switch(before, serving)
            except EdgeError:
                self.unsettle()
                raise
        finally:
            environments.clean()
        installed = self.serve_package(status, found.get("package"))
        return {
            "environment": plan.environment,
            "changed": before != plan.environment,
            "models": {**board.versions(status), **installed},
            "tried": found.get("models", {}),
            "service": self.service.name if self.service else "none",
        }

    def attempt(self, made: Path) -> dict[str, Any]:
        """Import everything and answer all golden inputs, in a child."""
        self.say("try the environment")
        words = [word for module in self.plan.imports for word in ("--import", module)]
        if (self.layout.home / "models").exists():
            words += ["--home", str(self.layout.home)]
        shown = self.layout.software / "trying"  # the payload may lie where only root may read
        try:
            if PACKAGE in self.plan.files:
                with storing(shown):
                    shutil.rmtree(shown, ignore_errors=True)
                    shown.mkdir()
                    shown.chmod(0o755)
                    for name in (PACKAGE, TrustedKeys.file):
                        shutil.copyfile(self.payload / name, shown / name)
                        (shown / name).chmod(0o644)
                words += ["--package", str(shown / PACKAGE), "--trusted", str(shown)]
            return attempt(made, words, self.account, self.say)
        finally:
            shutil.rmtree(shown, ignore_errors=True)

    def settle(self) -> bool:
        """Say in the agent's folder who it is and whom it trusts; whether that is new to it.

        Settings that somebody changed on the board stay.
        """
        self.say("settings")
        home = self.layout.home
        with storing(home):
            home.mkdir(parents=True, exist_ok=True)
            home.chmod(0o750)
            board.own(home, self.account)
        given, trusted = Settings.load(self.payload), TrustedKeys.load(self.payload)
        first = not (home / Settings.file).exists()
        known = given if first else Settings.load(home)
        wanted = replace(
            known,
            device=given.device,
            target=given.target,
            collector=given.collector or known.collector,
        )
        changed = first or wanted != known
        if changed:
            wanted.save(home)
        if trusted.keys != TrustedKeys.load(home).keys:
            trusted.save(home)
        for name in (Settings.file, TrustedKeys.file):
            if (home / name).exists():
                board.own(home / name, self.account)
        if ROOT in self.plan.files and not (home / ROOT).exists():
            # a root that the repository has rotated since is newer than ours
            replace_file(home / ROOT, (self.payload / ROOT).read_bytes())
            board.own(home / ROOT, self.account)
        return changed

    def stored(self) -> dict[str, bytes | None]:
        """The files that `settle` writes, as they are; None for what is not there."""
        paths = [self.layout.home / name for name in (Settings.file, TrustedKeys.file, ROOT)]
        return {path.name: path.read_bytes() if path.exists() else None for path in paths}

    def unsettle(self) -> None:
        """Have the agent's folder say again what it said before us, as far as the disk lets us."""
        for name, data in self.said.items():
            path = self.layout.home / name
            with suppress(EdgeError, OSError):
                if data is None:
                    path.unlink(missing_ok=True)
                elif path.read_bytes() != data:
                    replace_file(path, data)
                    board.own(path, self.account)

    def answering(self) -> dict[str, Any] | None:
        """The status of the agent when it has been healthy and still is; None otherwise."""
        noted = (self.layout.home / start.NOTE).exists()
        if self.service is None or noted or not Home(self.layout.home).running():
            return None
        with suppress(EdgeError):
            return board.healthy(self.layout, self.plan.port, self.say)
        return None

    def switch(self, before: str, serving: dict[str, str]) -> dict[str, Any]:
        """Flip to the environment, start its agent, and flip back when that does not answer."""
        plan, environments, layout = self.plan, self.environments, self.layout
        self.say("switch")
        write_start(layout, plan.port, self.service)
        if before and before != plan.environment:
            environments.flip("previous", before)
        if self.service is None:
            environments.flip("current", plan.environment)
            return {}
        note = layout.home / start.NOTE
        replace_file(note, json.dumps({"environment": plan.environment, "starts": 0}).encode())
        board.own(note, self.account)
        try:
            environments.flip("current", plan.environment)
            self.service.install(self.payload)
            self.service.stop()
            board.forget_running(layout)
            self.service.restart()
            status = board.healthy(layout, plan.port, self.say)
            lacking = {n: v for n, v in serving.items() if n not in board.versions(status)}
            if lacking:
                raise DeviceError(
                    f"The new agent does not serve {', '.join(lacking)}.", "See its log."
                )
        except EdgeError as error:
            raise self.back(before, error) from error
        with storing(note):
            note.unlink(missing_ok=True)
        return status

    def back(self, before: str, error: EdgeError) -> DeviceError:
        """Serve as before; the error that tells so."""
        self.say("switch back")
        self.unsettle()
        (self.layout.home / start.NOTE).unlink(missing_ok=True)
        self.environments.flip("current", before)
        assert self.service
        with suppress(EdgeError):
            self.service.stop()
            if not before:
                self.service.remove()
        if not before:
            return DeviceError(f"{error} Nothing runs on the board.", error.hint)
        try:
            self.service.restart()
            board.healthy(self.layout, self.plan.port, self.say)
        except EdgeError as worse:
            return DeviceError(f"{error} And the one before: {worse}", worse.hint)
        return DeviceError(f"{error} The one before serves again.", error.hint)

    def serve_package(self, status: dict[str, Any], package: Any) -> dict[str, str]:
        """Have the agent serve the payload's package, unless it does."""
        if not isinstance(package, dict) or self.service is None:
            return {}
        name, version = package["name"], package["version"]
        if board.versions(status).get(name) == version:
            return {}
        self.say("serve the package")
        put_package(f"http://127.0.0.1:{self.plan.port}/v1/package", self.payload / PACKAGE)
        return {name: version}


def write_start(layout: Layout, port: int, service: Service | None) -> None:
    """What starts the agent: a file that no environment can break, and its words."""
    source = pkgutil.get_data("edge_targets.enrolment", "start.py")  # it may lie in a wheel
    assert source
    replace_file(layout.software / "start.py", source)
    known = {"home": str(layout.home), "words": agent_words(layout, port), "port": port}
    kind = service.name if service else "none"
    replace_file(layout.software / START, json.dumps({**known, "service": kind}).encode())


def agent_words(layout: Layout, port: int) -> list[str]:
    """Where the agent keeps its things and listens; the socket is for whoever is in its group."""
    socket = ["--socket", str(layout.run / "agent.sock")] if layout.is_system else []
    return ["--root", str(layout.home), "--port", str(port), *socket]
