"""A board's files are fetched once, whole, whoever asks and whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_targets.emulation.debian import mirror, missing_tools
from edge_targets.emulation.sysroot import Sysroot, default_cache, sysroot
from edge_targets.emulation.userland import python
from edge_targets.runtime.errors import UnknownNameError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.pi.fixtures import fetched

TRIES = 1000  # looks at what a child does, 10 ms apart
SMALL = ("busybox-static",)  # one package that needs no other
MAKE = """
import sys
from pathlib import Path
from edge_targets.emulation.sysroot import sysroot
from edge_targets.runtime.events import QUIET
print(sysroot("bookworm", QUIET, ("busybox-static",), Path(sys.argv[1])).folder)
"""


@pytest.fixture(scope="module")
def made() -> Sysroot:
    return fetched(lambda: sysroot("bookworm", QUIET, SMALL))


@pytest.fixture
def cache(tmp_path: Path, made: Sysroot) -> Path:
    """Empty, but for apt's own lists and packages, which every run may share."""
    kept = tmp_path / "cache/emulation"
    kept.mkdir(parents=True)
    (kept / "apt-bookworm").symlink_to(default_cache() / "emulation/apt-bookworm")
    return kept.parent


def make(cache: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(cache)], stdout=subprocess.PIPE, text=True
    )


def is_whole(made: Sysroot) -> bool:
    return (made.root / "usr/bin/busybox").stat().st_size > 1 << 20


def test_two_at_once_make_one(cache: Path) -> None:
    both = [make(cache) for _ in range(2)]

    folders = {Path(one.communicate(timeout=120)[0].strip()) for one in both}

    assert len(folders) == 1
    assert is_whole(Sysroot(folders.pop(), "bookworm"))


def test_a_kill_leaves_nothing_that_looks_finished(cache: Path) -> None:
    child = make(cache)
    for _ in range(TRIES):
        if halves(cache):
            break
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    left = halves(cache)

    made = sysroot("bookworm", QUIET, SMALL, cache)

    assert left
    assert is_whole(made)
    assert not halves(cache)


def halves(cache: Path) -> list[Path]:
    return list(cache.glob("emulation/.*-half-*"))


def test_what_was_made_is_found_again_without_asking_anybody(
    made: Sysroot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    assert sysroot("bookworm", QUIET, SMALL) == made


def test_each_core_sees_its_own_board(made: Sysroot) -> None:
    models = [
        (made.seen_by(cpu) / "proc/cpuinfo").read_text().splitlines()[-1]
        for cpu in ("cortex-a53", "cortex-a72", "cortex-a76")
    ]

    assert [model.split("Pi ")[1][0] for model in models] == ["3", "4", "5"]
    assert (made.seen_by("cortex-a76") / "bin").resolve() == made.root / "usr/bin"


def test_unknown_cores_and_suites_are_named(made: Sysroot) -> None:
    with pytest.raises(UnknownNameError, match="jessie"):
        sysroot("jessie", QUIET)
    with pytest.raises(UnknownNameError, match="cortex-a99"):
        made.seen_by("cortex-a99")


def test_an_arm_python_runs_without_root_or_namespace() -> None:
    files = fetched(lambda: sysroot("bookworm", QUIET))

    said = subprocess.run(
        python(files, ["-c", "import platform; print(platform.machine())"]),
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stdout == "aarch64\n", said.stderr


# ------------------------------------------------------------------------------- which mirror


def test_the_mirror_is_read_from_a_deb822_file(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/a.sources").write_text(
        "Types: deb\nURIs: http://elsewhere.invalid/node\nSuites: nodistro\nComponents: main\n"
    )
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://off.invalid/debian\nSuites: bookworm\n\n"
        "Types: deb deb-src\n# a comment\nURIs: http://mirror.invalid/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n"
    )

    assert mirror(tmp_path) == "http://mirror.invalid/debian"


def test_the_mirror_is_read_from_a_list(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://off.invalid/debian trixie main\n"
        "deb http://security.invalid/debian-security trixie-security main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian trixie main contrib\n"
    )

    assert mirror(tmp_path) == "http://mirror.invalid/debian"


def test_a_machine_without_a_debian_mirror_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.invalid/ubuntu noble main\n")

    with pytest.raises(UnsupportedError, match="no Debian mirror"):
        mirror(tmp_path)


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert "apt-get" in missing_tools()
    with pytest.raises(UnsupportedError, match="apt-get"):
        sysroot("bookworm", QUIET, SMALL, tmp_path)
