"""A folder of this machine that stands for a device."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DeviceError

DETACH = """
import os, sys
os.setsid()
if pid := os.fork():
    print(pid, flush=True)
    os._exit(0)
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0), os.dup2(log, 1), os.dup2(log, 2)
os.execv(sys.argv[2], sys.argv[2:])
"""  # a child nobody waits for: it outlives us, and leaves no zombie in a long-lived parent


@dataclass(frozen=True)
class Local:
    """A folder of this machine that stands for a device."""

    folder: Path

    def make(self) -> None:
        """Make the folder when it is not there."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        self.make()
        replace_file(self.folder / name, data)

    def get(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise DeviceError(
                f"{self.folder / name} cannot be read: {error.strerror}.",
                "Has the device been started?",
            ) from error

    def run(self, words: Sequence[str], log: str, environment: Mapping[str, str]) -> int:
        """Start a program that goes on when we end; its output goes to `log`. Its process id."""
        program = shutil.which(words[0]) or words[0]
        started = subprocess.run(
            [sys.executable, "-I", "-S", "-c", DETACH, str(self.folder / log), program, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment,
            check=False,
        )
        if started.returncode:
            raise DeviceError(f"{words[0]} could not be started.", started.stderr.strip()[-300:])
        return int(started.stdout)
