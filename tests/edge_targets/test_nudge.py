"""A nudge wakes devices at once, and can do nothing else."""

import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_targets.agent.home import Settings
from edge_targets.agent.nudge import Nudges, connecting, nudge, topic
from edge_targets.agent.puller import Puller
from edge_targets.runtime.errors import DeviceError
from tests.edge_targets.conftest import Build
from tests.edge_targets.following import following
from tests.edge_targets.mosquitto import Broker, running
from tests.edge_targets.tiny import wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(tmp_path) as broker:
        yield broker


@pytest.fixture
def heard() -> threading.Event:
    return threading.Event()


def listening(nudges: Nudges) -> None:
    wait_until(lambda: nudges.subscribed.is_set())


def test_a_nudge_reaches_who_follows_that_channel(broker: Broker, heard: threading.Event) -> None:
    nudges, others = Nudges(heard.set), Nudges(lambda: others_heard.append(1))
    others_heard: list[int] = []
    nudges.follow(broker.url, "stable", "pi")
    others.follow(broker.url, "beta", "pi-2")
    listening(nudges)
    listening(others)

    nudge(broker.url, "stable")

    assert heard.wait(10)
    assert others_heard == []
    nudges.close()
    others.close()


# paho leaves the socket of a handshake that failed to the garbage collector
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_nudges_go_over_tls_where_the_address_says_so(
    tmp_path: Path, heard: threading.Event
) -> None:
    with running(tmp_path, tls=True) as broker:
        nudges = Nudges(heard.set, broker.authority)
        nudges.follow(broker.url, "stable", "pi")
        listening(nudges)
        nudge(broker.url, "stable", broker.authority)
        assert heard.wait(10)
        nudges.close()

        with pytest.raises(DeviceError, match="does not answer"):
            nudge(broker.url, "stable")  # nobody this machine trusts signed its certificate
        gc.collect()


def test_a_broker_that_was_away_is_found_again(broker: Broker, heard: threading.Event) -> None:
    nudges = Nudges(heard.set)
    nudges.follow(broker.url, "stable", "pi")
    listening(nudges)

    nudges.subscribed.clear()
    broker.stop()
    broker.start()
    listening(nudges)
    nudge(broker.url, "stable")

    assert heard.wait(10)
    nudges.close()


def test_a_broker_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, heard: threading.Event
) -> None:
    with running(tmp_path) as broker:
        broker.stop()
        nudges = Nudges(heard.set)
        nudges.follow(broker.url, "stable", "pi")
        broker.start()
        listening(nudges)
        nudges.close()


@pytest.mark.parametrize("address", ["", "http://x", "mqtt://", "mqtt://:99", "x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(DeviceError, match="is no broker"):
        connecting(address, "x")


def test_a_broker_that_does_not_answer_is_told() -> None:
    with pytest.raises(DeviceError, match="does not answer"):
        nudge("mqtt://127.0.0.1:9", "stable")


def test_a_forged_nudge_changes_nothing(broker: Broker, tmp_path: Path, build: Build) -> None:
    with following(tmp_path, build) as device:
        device.publish("v1")
        device.installed("v1")
        settings = replace(Settings.load(device.home.root), broker=broker.url, pull_s=86_400)
        settings.save(device.home.root)
        puller = Puller(device.home, lambda file: None, nudged_s=0.1)
        puller.start()
        listening(puller.nudges)
        client = connecting(broker.url, "forger")
        client.connect("localhost", broker.port)
        client.loop_start()

        for text in (b"", b'{"url": "http://evil"}', bytes(100_000)):
            client.publish(topic("stable"), text, qos=1).wait_for_publish(10)

        wait_until(lambda: puller.last is not None)
        found = puller.last
        client.disconnect()
        client.loop_stop()
        puller.stop()
        assert found is not None
        assert found.state == "current"
        assert {path.partition("/")[0] for path, _ in device.server.asked} == {""}


def test_a_look_that_was_nudged_is_spread(tmp_path: Path, build: Build) -> None:
    with following(tmp_path, build) as device:
        puller = Puller(device.home, lambda file: None, nudged_s=0.2)
        began = time.monotonic()

        puller.wake(0.2)

        assert puller.woken.wait(10)
        assert time.monotonic() >= began
