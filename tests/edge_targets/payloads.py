"""Payloads for this very machine: the agent's wheel, everything else is what runs the tests."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_targets.agent.home import Settings
from edge_targets.enrolment.payload import Board, fill
from edge_targets.enrolment.plan import Plan
from edge_targets.package import public_key
from edge_targets.transport import get_json
from tests.edge_targets.tiny import KEY, free_port

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass
class FolderBoard:
    """A folder that stands for a board: all that / is for the real one, with a keeper."""

    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def software(self) -> Path:
        return self.root / "opt/sanderling"

    @property
    def home(self) -> Path:
        return self.root / "var/lib/sanderling"

    def payload(
        self,
        name: str = "payload",
        wheels: Sequence[Path] = (),
        extras: Mapping[str, bytes] | None = None,
        board: Board | None = None,
        device: str = "pi-folder",
        trusted: Sequence[str] = (public_key(KEY),),
    ) -> Path:
        made = self.folder / name
        board = board or Board(PYTHON, platform.machine(), 1, self.port)
        settings = Settings(device=device, window_s=3600)
        fill(made, wheels, board, settings, tuple(trusted), extras or {})
        return made

    def install(
        self, payload: Path, *words: str, service: str = "keeper", given: str = "", umask: int = -1
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """All lines it said, and the last one."""
        options = ["--root", str(self.root), "--json", "--service", service, *words]
        done = subprocess.run(
            [sys.executable, str(payload / "install.py"), *options],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            umask=umask,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, done.stderr
        assert done.returncode == ("error" in lines[-1]), done.stderr
        return lines, lines[-1]

    def status(self) -> dict[str, Any]:
        return get_json(f"{self.url}/v1/status")


@contextmanager
def folder_board(folder: Path) -> Iterator[FolderBoard]:
    board = FolderBoard(folder)
    board.root.mkdir(parents=True)
    try:
        yield board
    finally:
        if (board.software / "start.json").exists():
            (board.folder / "end").mkdir()
            board.install(board.payload("end"), "--uninstall")


def plan_of(payload: Path) -> Plan:
    return Plan.parse((payload / "plan.json").read_bytes())
