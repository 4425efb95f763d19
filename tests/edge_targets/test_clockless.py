"""A board without a battery begins in 1970 and jumps later: that is no reason not to serve."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.package import public_key
from edge_targets.transport import get_json, post_json, put_package
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import KEY, Collector, answers, wait_until

YEAR_S = 365 * 86_400


@pytest.fixture
def calendar(tmp_path: Path) -> Path:
    """A file with the seconds since 1970."""
    file = tmp_path / "seconds"
    file.write_text("7")
    return file


@pytest.fixture
def url(tmp_path: Path, calendar: Path, collector: Collector) -> Iterator[str]:
    """Of an agent whose calendar is that file."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library, source = tmp_path / "clock.so", Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    home = Home(tmp_path / "device")
    home.root.mkdir()
    Settings(window_s=3600, probation_s=0.5, collector=collector.url).save(home.root)
    TrustedKeys(keys=(public_key(KEY),)).save(home.root)
    agent = subprocess.Popen(
        [sys.executable, "-P", "-m", "edge_targets.agent", "--root", home.root],
        env={**child_environment(), "LD_PRELOAD": str(library), "CLOCK_FILE": str(calendar)},
    )
    wait_until(home.running)
    wait_until(lambda: (running := home.running()) and running.url)
    running = home.running()
    assert running
    yield running.url
    agent.terminate()
    agent.wait(60)


def test_versions_come_and_are_kept_whatever_the_calendar_says(
    url: str, build: Build, calendar: Path, collector: Collector
) -> None:
    put_package(f"{url}/v1/package", build("1"))
    assert get_json(f"{url}/v1/status")["last_update"]["at"].startswith("1970-01-01")
    assert answers(url)

    for year, version in ((56, "2"), (0, "3"), (80, "4")):
        replace(calendar, year * YEAR_S)
        put_package(f"{url}/v1/package", build(version))
        assert answers(url)
        wait_until(lambda: get_json(f"{url}/v1/status")["models"][0]["probation"] is None)

    assert post_json(f"{url}/v1/flush")["pending"] == 0
    records = list(collector.records.values())
    assert [record["version"] for record in records] == ["1", "2", "3", "4"]
    assert records[0]["started"].startswith("1970-01-01")
    assert get_json(f"{url}/v1/status")["uptime_s"] < 1000


def replace(calendar: Path, seconds: int) -> None:
    new = calendar.with_suffix(".new")
    new.write_text(str(seconds))
    os.replace(new, calendar)  # noqa: PTH105 - a reader finds the old or the new
