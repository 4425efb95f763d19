"""An emulated Raspberry Pi for tests. `tests/pi/conftest.py` has them; other folders import them.

from tests.pi.fixtures import pi, start_pi  # noqa: F401
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_targets.emulation.sysroot import Sysroot
from edge_targets.emulation.userland import missing
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.pi.board import Pi, board_files, running_pi

StartPi = Callable[..., Pi]


def require_emulator() -> None:
    """Skip, saying what this machine lacks to be a board."""
    if lacking := missing():
        pytest.skip(f"no emulated board: this machine lacks {', '.join(lacking)}")


def fetched(make: Callable[[], Sysroot]) -> Sysroot:
    """What `make` gives, or skip: a machine without apt or network has no board's files."""
    try:
        return make()
    except (DeviceError, UnsupportedError) as error:
        pytest.skip(f"no emulated board: {error}")


@pytest.fixture
def start_pi(tmp_path: Path) -> Iterator[StartPi]:
    """Starts boards, each with a fresh disk unless `disk` names one; unplugged after the test.

    start_pi(cpu="cortex-a72", suite="bookworm", disk=None, port=0) -> Pi
    """
    require_emulator()
    with ExitStack() as boards:
        count = 0

        def started(
            cpu: str = "cortex-a72",
            suite: str = "bookworm",
            disk: Path | None = None,
            port: int = 0,
        ) -> Pi:
            nonlocal count
            count += 1
            files = fetched(lambda: board_files(QUIET, suite))
            place = disk or tmp_path / f"pi-{count}"
            return boards.enter_context(running_pi(files, place, cpu, port))

        yield started


@pytest.fixture
def pi(start_pi: StartPi) -> Pi:
    """A Raspberry Pi 4 with Bookworm, as fresh as from the card writer."""
    return start_pi()
