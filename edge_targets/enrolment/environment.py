"""Environments on a board: unpacked beside each other, tried in a child, switched by one link.

```
/opt/sanderling/environments/NAME/site/   what Python imports
/opt/sanderling/environments/NAME/.complete
/opt/sanderling/current -> environments/NAME     previous -> the one before
```
A name stands for the very bytes of its wheels. Everything is synced before the link is flipped: a
power cut leaves the old environment or the new one.
"""

import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from edge_targets.enrolment.plan import Plan
from edge_targets.runtime.durable import replace_file, storing, sync_folder
from edge_targets.runtime.errors import IntegrityError, StorageError

COMPLETE = ".complete"
TRIAL_S = 600.0  # a slow board imports all of it without compiled files, and tries its models
SPARE = 128 << 20  # bytes that must stay free beside what is unpacked
TOO_LARGE = 4 << 30  # bytes that no environment has
ROOM = "Free some space on the board (`df -h` tells where), then try again."


@dataclass(frozen=True)
class Environments:
    """The environments below a folder such as /opt/sanderling."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / "environments" / name

    def linked(self, link: str) -> str:
        """The name that `current` or `previous` leads to; empty for none."""
        try:
            target = (self.folder / link).readlink().name
        except OSError:
            return ""
        return target if self.complete(target) else ""

    def complete(self, name: str) -> bool:
        return bool(name) and (self.path(name) / COMPLETE).exists()

    def unpack(self, plan: Plan, payload: Path, say: Callable[..., object]) -> Path:
        """The environment of a plan, unpacked unless it is there; it appears whole or not at all.

        Raises:
            StorageError: no room, or a disk that cannot be written.
            IntegrityError: a wheel that is none.
        """
        made = self.path(plan.environment)
        if self.complete(plan.environment):
            return made
        half = made.with_name(f"{made.name}.half")
        with storing(self.folder):
            made.parent.mkdir(parents=True, exist_ok=True)
            for left in (half, made):  # of an installation that was cut
                shutil.rmtree(left, ignore_errors=True)
            free = shutil.disk_usage(made.parent).free
            if not 0 <= plan.unpacked_bytes < min(free - SPARE, TOO_LARGE):
                raise StorageError(
                    f"{made.parent} has {free >> 20} MB free; the environment takes "
                    f"{plan.unpacked_bytes >> 20} and {SPARE >> 20} must stay.",
                    ROOM,
                )
            try:
                for done, name in enumerate(plan.wheels):
                    say("unpack", done=done, total=len(plan.wheels))
                    unpack_wheel(payload / name, half / "site")
                facts = {"python": plan.python, "machine": plan.machine, "version": plan.version}
                files = {name: plan.files[name].sha256 for name in plan.wheels}
                text = json.dumps({**facts, "target": plan.target, "wheels": files}, indent=1)
                (half / "environment.json").write_text(text)
                half.rename(made)
            except BaseException:
                shutil.rmtree(half, ignore_errors=True)
                raise
        return made

    def seal(self, name: str) -> None:
        """Say that an environment is whole, once all of it is on the disk."""
        if self.complete(name):
            return
        os.sync()  # thousands of files: one by one takes minutes on an SD card
        replace_file(self.path(name) / COMPLETE, b"")
        sync_folder(self.path(name).parent)

    def flip(self, link: str, name: str) -> None:
        """Lead a link to an environment, atomically and durably; to none, when `name` is empty."""
        with storing(self.folder):
            temporary = self.folder / f".{link}.new"
            temporary.unlink(missing_ok=True)
            if name:
                temporary.symlink_to(Path("environments") / name)
                temporary.replace(self.folder / link)
            else:
                (self.folder / link).unlink(missing_ok=True)
            sync_folder(self.folder)

    def clean(self) -> None:
        """Remove all environments but the current one and the one before."""
        kept = {self.linked("current"), self.linked("previous")}
        with suppress(OSError):
            for path in self.path("").iterdir():
                if path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)


def unpack_wheel(wheel: Path, site: Path) -> None:
    """Lay a wheel's files into `site`; what is no module of it is left out.

    Raises:
        IntegrityError: it is no wheel, or a name in it leads outside.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                parts = Path(member.filename).parts
                if ".." in parts or member.filename.startswith("/") or "\\" in member.filename:
                    raise IntegrityError(
                        f"{wheel.name} holds {member.filename!r}.", "Fetch the wheels again."
                    )
                if parts and parts[0].endswith(".data"):
                    if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
                        continue  # scripts, headers, manuals
                    parts = parts[2:]
                if member.is_dir():
                    continue
                path = site.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as there:
                    shutil.copyfileobj(source, there, 1 << 20)
                path.chmod(0o644)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise IntegrityError(f"{wheel.name}: {error}.", "Fetch the wheels again.") from error


def attempt(
    environment: Path, words: list[str], account: str, say: Callable[..., object]
) -> dict[str, Any]:
    """Run `edge_targets.enrolment.attempt` from an environment, in a child; what it found.

    The modules it imported are compiled then: later nobody may write there.

    Raises:
        IntegrityError: it died, took too long, or said what does not work.
    """
    command = [sys.executable, "-s", "-P", "-m", "edge_targets.enrolment.attempt", *words]
    hint = "What ran before goes on. Another version may be needed on this board: see its target."
    if account:
        for folder in (environment.parent.parent, environment.parent, environment):
            folder.chmod(0o755)
    try:
        done = subprocess.run(
            command,
            env=bare_environment(PYTHONPATH=str(environment / "site")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
            cwd="/",
            user=account or None,
            group=account or None,
            extra_groups=[] if account else None,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(f"The trial did not end in {TRIAL_S:.0f} s.", hint) from error
    if done.returncode < 0:
        ended = signal.Signals(-done.returncode)
        # what the kernel does to whoever takes the last memory
        memory = "Has the board too little memory for it? " if ended == signal.SIGKILL else ""
        raise IntegrityError(f"The runtime died of {ended.name} on this board.", memory + hint)
    try:
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
    except (ValueError, AssertionError):
        text = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        found = {"error": f"The trial failed: {text[-1][-300:]}"}
    if "error" in found:
        raise IntegrityError(str(found["error"]), str(found.get("hint") or hint))
    compile_all(environment, found.get("modules", ()), say)
    return found


def compile_all(environment: Path, modules: Any, say: Callable[..., object]) -> None:
    site = (environment / "site").resolve()
    inside = [path for path in map(Path, modules) if path.is_relative_to(site)]
    for done, path in enumerate(inside):
        if done % 50 == 0:
            say("compile", done=done, total=len(inside))
        if Path(cache_from_source(str(path))).exists():
            continue
        with suppress(py_compile.PyCompileError), storing(path):
            py_compile.compile(str(path), doraise=True)


def bare_environment(**more: str) -> dict[str, str]:
    """Ours, without what is about our caller or our own Python."""
    about = ("PYTHON", "SUDO_", "SSH_", "XDG_", "LD_")
    dropped = ("HOME", "USER", "LOGNAME", "MAIL", "OLDPWD", "PWD", "SHELL")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(about) and name not in dropped
    }
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}
