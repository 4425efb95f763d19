"""What a device tells of itself, and what it refuses for lack of room."""

from pathlib import Path

import pytest

from edge_targets.agent import health
from edge_targets.agent.health import check_disk, check_memory, throttled, throttling
from edge_targets.runtime.errors import DeviceError, StorageError

MEMINFO = "MemTotal:        443064 kB\nMemFree:          5000 kB\nMemAvailable:   200000 kB\n"


def test_a_device_tells_what_its_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temp").write_text("48312\n")
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(health, "THERMAL", tmp_path / "temp")
    monkeypatch.setattr(health, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(health, "OWN_GROUP", tmp_path / "none")

    found = health.health(tmp_path)

    assert found["temperature_c"] == 48.312
    assert found["memory_available_bytes"] == 200_000 * 1024
    assert found["disk_free_bytes"] > 0
    assert found["load"] >= 0


@pytest.mark.parametrize("text", [None, "", "hot", "MemAvailable: many kB"])
def test_what_the_system_does_not_tell_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    for name in ("THERMAL", "MEMORY"):
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(health, name, file)

    assert set(health.health(tmp_path)) == {"disk_free_bytes", "load"}
    check_memory(1 << 60, "a model")  # nobody knows: the trial will tell


@pytest.mark.parametrize(
    ("text", "now", "ever"),
    [
        ("throttled=0x0\n", [], []),
        ("throttled=0x50005", ["under_voltage", "throttled"], ["under_voltage", "throttled"]),
        ("0xe0008", ["soft_temperature_limit"], [*list(health.BITS.values())[1:]]),
        ("20000\n", [], ["frequency_capped"]),  # as the kernel's file has it
    ],
)
def test_the_bits_of_the_firmware_become_words(text: str, now: list[str], ever: list[str]) -> None:
    assert throttling(text) == {"now": now, "ever": ever}


@pytest.mark.parametrize("text", ["", "error=1", "throttled=", "0x123456789", "VCHI failed"])
def test_a_board_without_that_firmware_says_nothing(text: str) -> None:
    assert throttling(text) == {}


def test_the_firmware_is_asked_through_its_file_or_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, file = tmp_path / "vcgencmd", tmp_path / "get_throttled"
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x8\n')
    monkeypatch.setattr(health, "VCGENCMD", str(program))
    monkeypatch.setattr(health, "THROTTLED", file)

    assert throttled() == {}  # it may not be run
    program.chmod(0o755)
    assert throttled()["now"] == ["soft_temperature_limit"]
    file.write_text("4\n")
    assert throttled()["now"] == ["throttled"]
    file.unlink()
    program.write_text("#!/bin/sh\nexit 255\n")
    assert throttled() == {}


def test_no_room_says_how_much_is_needed_and_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    monkeypatch.setattr(health, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(health, "OWN_GROUP", tmp_path / "none")
    check_memory(100 << 20, "a model")
    check_disk(tmp_path, 1, "a package")

    with pytest.raises(DeviceError, match=r"needs 226\.5 MB of memory; 204\.8 MB") as memory:
        check_memory(200 << 20, "a model")
    with pytest.raises(StorageError, match=r"a package needs [\d.]+ MB on the disk; [\d.]+ MB are"):
        check_disk(tmp_path, 1 << 60, "a package")

    assert memory.value.hint


@pytest.mark.parametrize(
    ("limit", "available"), [("max", 200_000 * 1024), ("90000000", 60_000_000), ("10", 1)]
)
def test_a_limit_of_the_service_counts_like_memory_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, available: int
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "cgroup").write_text("0::/system.slice/sanderling.service\n")
    group = tmp_path / "system.slice/sanderling.service"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text("50000000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 20000000\nactive_file 3\n")
    monkeypatch.setattr(health, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(health, "OWN_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(health, "GROUPS", tmp_path)

    assert health.available_memory() == available


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        check_disk(tmp_path / "gone", 1, "a package")
