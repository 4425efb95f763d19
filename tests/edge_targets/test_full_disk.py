"""On a full disk: a clear error, and what was there before is unharmed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_targets.agent.agent import Agent
from edge_targets.agent.home import Home, Settings, TrustedKeys, child_environment
from edge_targets.agent.trial import attempt
from edge_targets.catalog.simulator import Simulator
from edge_targets.flashing.image import write_image
from edge_targets.package import pack, public_key, signing_key, unpack, verify
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Record
from edge_targets.runtime.durable import replace_file
from edge_targets.runtime.errors import DeviceError, StorageError
from edge_targets.runtime.events import Job
from edge_targets.runtime.sketch import Sketch
from edge_targets.runtime.spool import Spool
from edge_targets.transport import get_json, post_json, put_package
from tests.edge_targets.cards import disk_image
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import (
    KEY,
    Collector,
    answers,
    free_port,
    infer_body,
    manifest,
    members,
    wait_until,
)

TRUSTED = (public_key(KEY),)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # an agent may just be ending


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all room on the disk but for `leave` bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, ballast.stat().st_size - leave))
    return ballast


def full(caught: pytest.ExceptionInfo[StorageError]) -> bool:
    return "disk is full" in caught.value.hint


def test_a_file_keeps_its_old_content(small_disk: Path) -> None:
    replace_file(small_disk / "settings.json", b"old")
    fill(small_disk)

    with pytest.raises(StorageError) as caught:
        replace_file(small_disk / "settings.json", bytes(100_000))

    assert full(caught)
    assert (small_disk / "settings.json").read_bytes() == b"old"
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "settings.json"]


def test_neither_a_package_nor_a_key_is_half_written(small_disk: Path) -> None:
    fill(small_disk)

    with pytest.raises(StorageError) as caught:
        pack(manifest(), members(), KEY, small_disk / "tiny.sndl")
    assert full(caught)
    with pytest.raises(StorageError) as caught:
        signing_key(small_disk / "key.pem")

    assert full(caught)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_package_is_not_half_unpacked(small_disk: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.sndl"
    pack(manifest(), {**members(), "large.bin": bytes(2 << 20)}, KEY, file)

    with pytest.raises(StorageError) as caught:
        unpack(file, small_disk / "slot", TRUSTED)

    assert full(caught)
    assert not list(small_disk.iterdir())
    assert verify(file, TRUSTED)


def test_the_spool_keeps_what_it_has_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool.db")
    ballast = fill(small_disk, leave=300_000)
    kept = 0

    def add(number: int) -> None:
        extra = {"text": "x" * 20_000}
        sketch = Sketch([0.0])
        spool.add(Record(str(number), "pi", "m", "1", "", "", 1, {}, sketch, extra=extra))

    def fill_up() -> None:
        nonlocal kept
        while kept < 1000:
            add(kept)
            kept += 1

    with pytest.raises(StorageError) as caught:
        fill_up()

    assert full(caught)
    assert spool.count == kept > 3
    spool.close()
    again = Spool(small_disk / "spool.db")
    assert [one.id for one in again.batch(1000, 1 << 30)] == [str(n) for n in range(kept)]
    assert again.set_aside is None
    ballast.unlink()
    again.forget([str(number) for number in range(1, kept)])
    assert again.count == 1
    spool = again
    add(5000)
    assert again.count == 2
    again.close()


def test_an_image_that_does_not_fit_is_not_claimed(small_disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "system.img"
    image.write_bytes(disk_image(5 << 20))

    with pytest.raises(StorageError) as caught:
        write_image(image, small_disk / "card", Job())

    assert full(caught)
    assert not list(small_disk.iterdir())


def test_a_device_with_a_full_disk_serves_on_and_loses_no_telemetry(
    small_disk: Path, build: Build, roots: list[Path], collector: Collector
) -> None:
    root = small_disk / "device"
    root.mkdir()
    roots.append(root)
    Settings(window_s=3600).save(root)
    place = Place("pi", str(root), collector.url, TRUSTED)
    simulator = Simulator()
    url = simulator.deploy(build("1"), place, Job()).url
    try:
        ballast = fill(small_disk)
        post_json(f"{url}/v2/models/tiny/infer", infer_body())

        with pytest.raises(StorageError) as caught:
            simulator.deploy(build("2", scale=3.0), replace(place), Job())

        assert full(caught)
        assert simulator.status(place).version == "1"
        simulator.flush(place)
        ballast.unlink()
        assert simulator.flush(place) == 0
        assert sum(record["samples"] for record in collector.records.values()) == 2
        assert simulator.deploy(build("2", scale=3.0), place, Job()).version == "2"
    finally:
        simulator.stop(place)


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """The device's folder is a disk that becomes read-only when asked, as worn cards do."""
    root = tmp_path / "device"
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    root.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(root)]
    mounted = subprocess.run(words, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    yield lambda: remount(root, "ro")
    subprocess.run(["umount", "--lazy", root], check=True)


def remount(root: Path, how: str) -> None:
    # retried: whoever has just ended may still hold a file open for writing
    for _ in range(100):
        done = subprocess.run(["mount", "-o", f"remount,{how}", root], capture_output=True)
        if not done.returncode:
            return
        time.sleep(0.1)
    pytest.fail(done.stderr.decode())


def begun(root: Path) -> tuple[subprocess.Popen[str], str]:
    """An agent at a port that is known beforehand, for its folder may tell nobody."""
    port = free_port()
    words = [sys.executable, "-P", "-m", "edge_targets.agent"]
    words += ["--root", str(root), "--port", str(port)]
    agent = subprocess.Popen(words, env=child_environment(), stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: agent.poll() is not None or is_ready(url))
    return agent, url


def is_ready(url: str) -> bool:
    try:
        return bool(get_json(f"{url}/v2/health/ready"))
    except DeviceError:
        return False


def test_a_device_whose_disk_became_read_only_starts_serves_and_sends(
    failing_disk: Callable[[], None], build: Build, tmp_path: Path, collector: Collector
) -> None:
    root = tmp_path / "device"
    Settings(window_s=3600, collector=collector.url).save(root)
    TrustedKeys(keys=TRUSTED).save(root)
    agent, url = begun_with(root, build("1"))
    end(agent)
    failing_disk()

    agent, url = begun(root)

    try:
        assert answers(url)
        with pytest.raises(StorageError) as caught:
            put_package(f"{url}/v1/package", build("2"))
        assert "read-only" in f"{caught.value} {caught.value.hint}"
        assert answers(url)
        assert get_json(f"{url}/v1/status")["version"] == "1"
        assert post_json(f"{url}/v1/flush")["pending"] == 0
        assert sum(record["samples"] for record in collector.records.values()) == 4
    finally:
        said = end(agent)
    assert "Telemetry is kept in memory" in said


def test_a_device_whose_disk_is_full_starts_and_serves(
    failing_disk: Callable[[], None], build: Build, tmp_path: Path
) -> None:
    root = tmp_path / "device"
    TrustedKeys(keys=TRUSTED).save(root)
    agent, url = begun_with(root, build("1"))
    end(agent)
    fill(root)

    agent, url = begun(root)

    try:
        assert answers(url)
        with pytest.raises(StorageError) as caught:
            put_package(f"{url}/v1/package", build("2"))
        assert full(caught)
        assert answers(url)
    finally:
        end(agent)


def begun_with(root: Path, package: Path) -> tuple[subprocess.Popen[str], str]:
    agent = Agent(Home(root))
    agent.updater.attempt = attempt
    agent.install(package)
    agent.close()
    return begun(root)


def end(agent: subprocess.Popen[str]) -> str:
    """What it said on standard error."""
    agent.terminate()
    return agent.communicate(timeout=60)[1]
