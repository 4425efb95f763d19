"""What can be done to an installed board beside installing: settings, stop, start, and away."""

import base64
import binascii
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from edge_targets.agent.home import Settings
from edge_targets.enrolment import board
from edge_targets.enrolment.plan import PORT, ROOT, START
from edge_targets.enrolment.service import Layout, Service
from edge_targets.enrolment.unit import ACCOUNT
from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, UnknownNameError

MAX_ROOT = 1 << 20  # bytes of a repository's root.json


def known_service(layout: Layout) -> str:
    """What keeps the agent running, as it was installed; empty when nothing is."""
    return str(known(layout).get("service", ""))


def known(layout: Layout) -> dict[str, Any]:
    try:
        return board.as_json(layout.software / START)
    except (OSError, ValueError):
        return {}


def port_of(layout: Layout) -> int:
    port = known(layout).get("port")
    return port if isinstance(port, int) else PORT


def configure(
    layout: Layout, service: Service | None, account: str, text: str, say: Callable[..., object]
) -> dict[str, Any]:
    """Change settings and start the agent again; an agent that then fails gets the old ones back.

    `text` is `{"settings": {name: value}, "root": base64 of a repository's root.json}`.
    """
    try:
        asked = json.loads(text)
        changes, root = dict(asked["settings"]), base64.b64decode(asked.get("root", ""))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise DataError(f"The settings cannot be read: {error}.", "Send a JSON object.") from error
    if len(root) > MAX_ROOT:
        raise DataError("The root.json is too long.", "Give that of the repository.")
    if not (layout.home / Settings.file).exists():
        raise DeviceError("This board is no device yet.", "Enrol it: sanderling device add.")
    say("settings")
    before = Settings.load(layout.home)
    wanted = changed(before, changes)
    if root:
        replace_file(layout.home / ROOT, root)
        board.own(layout.home / ROOT, account)
    if wanted != before or root:
        keep(layout, wanted, account)
        try:
            turn(layout, service, True, say)
        except EdgeError:
            keep(layout, before, account)
            with suppress(EdgeError):
                turn(layout, service, True, say)
            raise
    return {"settings": wanted.to_json()}


def changed(before: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with some of them changed.

    Raises:
        UnknownNameError, DataError: there is none of that name, or it cannot be that.
    """
    names = [field.name for field in fields(Settings) if field.name != "extra"]
    for name in changes:
        if name not in names:
            raise UnknownNameError("setting", str(name), names)
    return replace(before, **changes)


def keep(layout: Layout, settings: Settings, account: str) -> None:
    settings.save(layout.home)
    board.own(layout.home / Settings.file, account)


def turn(
    layout: Layout, service: Service | None, on: bool, say: Callable[..., object]
) -> dict[str, Any]:
    """Start the agent, again when it runs, or end it."""
    if service is None or not known(layout):
        raise DeviceError("No agent is installed here.", "Enrol the board: sanderling device add.")
    say("stop")
    service.stop()
    if not on:
        return {"running": False}
    board.forget_running(layout)
    service.restart()
    return board.healthy(layout, port_of(layout), say)


def uninstall(
    layout: Layout, service: Service | None, account: str, say: Callable[..., object]
) -> dict[str, Any]:
    """Take everything of ours off the board."""
    say("stop")
    if service:
        with suppress(DeviceError):  # it may be half installed
            service.stop()
        service.remove()
    for folder in (layout.home, layout.software):
        say("remove", str(folder))
        # the links first: whatever interrupts us, nothing half is started
        for link in ("current", "previous"):
            (folder / link).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() and any(folder.iterdir()):
            raise DeviceError(f"{folder} could not be removed.", "Is the disk writable?")
    if account:
        board.command("userdel", ACCOUNT)
    return {"removed": True}
