"""A payload goes to a board over SSH and is installed there; what the installer says comes back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.enrolment.plan import AGENT_WHEEL, PLAN, Plan
from edge_targets.runtime.errors import (
    DataError,
    DeviceError,
    EdgeError,
    IntegrityError,
    StorageError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Job
from edge_targets.transport.ssh import Done, Ssh

FOLDER = ".cache/sanderling/payload"  # in the home of the user who logs in
SILENCE_S = 900.0  # the trial on the slowest board says nothing for some minutes
KINDS: dict[str, type[EdgeError]] = {
    error("", "").kind: error
    for error in (DataError, DeviceError, IntegrityError, StorageError, UnsupportedError)
}


@dataclass(frozen=True)
class Root:
    """Root's rights on a board."""

    ssh: Ssh
    prefix: tuple[str, ...] = ()
    said: bytes = b""  # to sudo, before anything else

    def run(self, words: Sequence[str], data: bytes = b"", job: Job = QUIET, **more: Any) -> Done:
        return self.ssh.run([*self.prefix, *words], self.said + data, job, **more)


def as_root(ssh: Ssh, password: str) -> Root:
    """Root's rights, by login or by sudo; the password is used when sudo asks for one.

    Raises:
        DeviceError: there is no way.
    """
    if ssh.address.user == "root" or ssh.run(["sudo", "-n", "true"]).code == 0:
        return Root(ssh, () if ssh.address.user == "root" else ("sudo", "-n"))
    # -k: it asks each time, so that what we say first is never taken for data
    asking = Root(ssh, ("sudo", "-k", "-S", "-p", ""), f"{password}\n".encode())
    if password and asking.run(["true"]).code == 0:
        return asking
    raise DeviceError(
        f"{ssh.address.user} may not become root on {ssh.address.host}.",
        "Set SANDERLING_PASSWORD to that of a user who may use sudo, or log in as root.",
    )


def carry(ssh: Ssh, payload: Path, plan: Plan, has_environment: bool, job: Job) -> None:
    """Bring a payload over; what is there already, whole or in part, is not sent again."""
    names = [
        name
        for name in plan.files
        # a board that has the environment needs no wheels, but the installer that is in ours
        if not (has_environment and name.endswith(".whl")) or name.startswith(AGENT_WHEEL)
    ]
    done = ssh.run(["sha256sum", "--", *(f"{FOLDER}/{name}" for name in names)], job=job)
    there = {line.split(maxsplit=1)[1]: line.split()[0] for line in done.out.splitlines()}
    todo = [name for name in names if there.get(f"{FOLDER}/{name}") != plan.files[name].sha256]
    for number, name in enumerate(todo):
        what = f"send {number + 1} of {len(todo)}"
        ssh.put(payload / name, f"{FOLDER}/{name}", job, what)
    ssh.put(payload / PLAN, f"{FOLDER}/{PLAN}", job, "send plan")


def install(root: Root, python: str, words: Sequence[str], job: Job) -> dict[str, Any]:
    """Run the installer of the payload that was brought; what it answers.

    Raises:
        EdgeError: what it said, or that the connection was lost meanwhile.
    """
    command = [python, "-I", f"{FOLDER}/install.py", "--json", *words]
    answer = told(root, command, b"", job)
    root.ssh.run(["rm", "-rf", "--", FOLDER])
    return answer


def upkeep(
    root: Root, python: str, software: str, words: Sequence[str], data: bytes, job: Job
) -> dict[str, Any]:
    """Run the installer that an installed board has."""
    site = f"PYTHONPATH={software}/current/site"
    module = ["-s", "-P", "-m", "edge_targets.enrolment.installer"]
    return told(root, ["env", site, python, *module, "--json", *words], data, job)


def told(root: Root, command: Sequence[str], data: bytes, job: Job) -> dict[str, Any]:
    last: dict[str, Any] = {}

    def hear(line: str) -> None:
        nonlocal last
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict):
            last = said
            if "step" in said:
                note = f": {said['note']}" if said.get("note") else ""
                job.step(f"{said['step']}{note}", said.get("done", 0), said.get("total", 0))

    try:
        done = root.run(command, data, job, heard=hear, silence_s=SILENCE_S)
    except DeviceError as error:
        if root.ssh.alive:
            raise
        raise DeviceError(
            f"{error} It was installing, and goes on by itself.",
            "Wait a minute, then do the same again: what is done is not done twice.",
        ) from error
    if "error" in last:
        kind = KINDS.get(str(last.get("kind")), DeviceError)
        raise kind(f"{root.ssh.address}: {last['error']}", str(last.get("hint", "")))
    if done.code or "result" not in last:
        raise DeviceError(
            f"{root.ssh.address}: the installer failed: {done.said}", "See what it says."
        )
    result = last["result"]
    return result if isinstance(result, dict) else {}
