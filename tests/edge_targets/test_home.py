"""Settings are checked at the door; a damaged file leaves the last good ones in force."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edge_targets.agent.home import Home, Running, Settings, TrustedKeys
from edge_targets.runtime.errors import DataError


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("device", "../x", "small letters"),
        ("device", "", "small letters"),
        ("device", 3, "small letters"),
        ("collector", "file:///etc/passwd", "http://"),
        ("collector", "http://", "http://"),
        ("collector", "http://a b", "http://"),
        ("window_s", 0, "0.1 to 86400 seconds"),
        ("window_s", "long", "0.1 to 86400 seconds"),
        ("threads", 0, "1 to 64"),
        ("threads", True, "1 to 64"),
        ("threads", 1.5, "1 to 64"),
        ("probation_s", -1, "0 to 86400 seconds"),
        ("probation_s", None, "0 to 86400 seconds"),
        ("repository", "updates.example", "http://"),
        ("repository", "https://updates.example:port/", "http://"),
        ("repository", ["https://updates.example/"], "http://"),
        ("channel", "", "small letters"),
        ("channel", "../stable", "small letters"),
        ("channel", "Stable", "small letters"),
        ("pull_s", 0, "1 second to 30 days"),
        ("pull_s", 1e9, "1 second to 30 days"),
        ("bytes_per_s", -1, "whole number of bytes"),
        ("bytes_per_s", 0.5, "whole number of bytes"),
        ("broker", "broker.example", "mqtt://"),
        ("broker", "http://broker.example", "mqtt://"),
        ("broker", "mqtt://:1883", "mqtt://"),
        ("broker", "mqtt://broker.example:0", "mqtt://"),
        ("soft_c", 500, "degrees"),
        ("soft_c", "hot", "degrees"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    tmp_path: Path, field: str, value: Any, words: str
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({field: value}))

    with pytest.raises(DataError, match=rf"json cannot be used: {field} cannot be") as caught:
        Settings.load(tmp_path)

    assert words in caught.value.hint


def test_settings_that_can_be_are_taken(tmp_path: Path) -> None:
    settings = Settings(
        device="pi-kitchen.2",
        collector="http://192.168.1.2:8000/base",
        window_s=0.1,
        threads=4,
        probation_s=0,
        repository="https://updates.example/sanderling/",
        channel="stable",
        pull_s=60,
        bytes_per_s=50_000,
        broker="mqtts://[::1]:8883",
        soft_c=0,
    )

    settings.save(tmp_path)

    assert Settings.load(tmp_path) == settings


@pytest.mark.parametrize("damage", [b"", b"{", b'{"threads": 0}', b"\xff\xfe", b"[]"])
def test_the_last_good_settings_stay_in_force_and_the_fault_is_told(
    tmp_path: Path, damage: bytes
) -> None:
    home = Home(tmp_path)
    Settings(device="pi-kitchen", threads=2).save(tmp_path)
    TrustedKeys(keys=("k",)).save(tmp_path)
    assert home.settings().threads == 2
    assert home.trusted() == ("k",)

    (tmp_path / "settings.json").write_bytes(damage)
    (tmp_path / "trusted_keys.json").write_bytes(b"{")

    assert home.settings() == Settings(device="pi-kitchen", threads=2)
    assert home.trusted() == ("k",)
    settings, keys = home.faults()
    assert "settings.json cannot be used" in settings
    assert "last good ones are in force" in settings
    assert "trusted_keys.json" in keys
    Settings(device="pi-kitchen", threads=3).save(tmp_path)
    assert home.settings().threads == 3
    assert len(home.faults()) == 1


def test_settings_that_were_never_good_are_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")

    with pytest.raises(DataError, match=r"settings\.json"):
        Home(tmp_path).settings()


def test_a_file_that_is_not_there_means_the_defaults_and_is_no_fault(tmp_path: Path) -> None:
    assert Home(tmp_path).settings() == Settings()
    assert Home(tmp_path).faults() == []


def test_an_address_that_a_killed_agent_left_is_not_given_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    Running(pid=2**22 - 3, url="http://127.0.0.1:1").save(tmp_path)

    assert home.running() is None
    with home.alone():  # the next one has just begun
        assert home.running() == Running()
        Running(pid=os.getpid(), url="http://127.0.0.1:2").save(tmp_path)
        found = home.running()

    assert found
    assert found.url == "http://127.0.0.1:2"
