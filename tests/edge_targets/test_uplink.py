"""What a device saw reaches the collector once, whatever happens on the way."""

import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edge_targets.agent.home import Home, Settings
from edge_targets.catalog.simulator import Simulator
from edge_targets.places.target import Place
from edge_targets.runtime.contract import Record
from edge_targets.runtime.events import Job
from edge_targets.runtime.reporting import LONGEST_WAIT_S, Reporter
from edge_targets.runtime.spool import Spool
from edge_targets.transport import post_json
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import INPUTS, Collector, answers, home_of, infer_body, wait_until


def test_a_terminated_device_leaves_its_last_window_in_the_spool(
    build: Build, place: Place
) -> None:
    url = Simulator().deploy(build("1"), place, Job()).url
    assert answers(url)
    running = home_of(place).running()
    assert running

    os.kill(running.pid, signal.SIGTERM)
    wait_until(lambda: not home_of(place).running())

    spool = Spool(home_of(place).spool)
    [waiting] = spool.batch(10, 1 << 20)
    record = Record.parse(waiting.body)
    assert (record.device, record.model, record.samples) == ("pi-kitchen", "tiny", 2)
    assert record.sketches["a"].count == 2
    spool.close()
    assert not (Path(place.address) / "agent.json").exists()


def test_telemetry_arrives_once_and_is_then_forgotten(
    build: Build, place: Place, collector: Collector
) -> None:
    place = replace(place, collector=collector.url)
    url = Simulator().deploy(build("1"), place, Job()).url
    assert answers(url)

    assert Simulator().flush(place) == 0
    assert Simulator().flush(place) == 0

    [record] = collector.records.values()
    assert (record["device"], record["version"], record["samples"]) == ("pi-kitchen", "1", 2)
    assert record["sketches"]["b"]["counts"] == [0, 0, 0, 1, 0, 1]


def test_windows_are_closed_and_sent_by_themselves(
    build: Build, place: Place, collector: Collector
) -> None:
    Settings(window_s=0.1).save(Path(place.address))
    url = Simulator().deploy(build("1"), replace(place, collector=collector.url), Job()).url

    assert answers(url)

    wait_until(lambda: sum(record["samples"] for record in collector.records.values()) == 2)
    wait_until(lambda: Simulator().status(place).pending == 0)


def test_while_the_collector_is_down_telemetry_waits_and_is_sent_later(
    build: Build, place: Place, collector: Collector
) -> None:
    collector.stop()
    place = replace(place, collector=collector.url)
    url = Simulator().deploy(build("1"), place, Job()).url
    for waiting in (1, 2, 3):
        assert answers(url)
        assert Simulator().flush(place) == waiting
    Simulator().stop(place)  # not even a restart loses any

    collector.start()
    Simulator().ready(place, Job())

    assert Simulator().flush(place) == 0
    assert sum(record["samples"] for record in collector.records.values()) == 6


def test_a_record_that_the_collector_refuses_does_not_hold_up_the_others(
    build: Build, place: Place, collector: Collector
) -> None:
    collector.stop()
    place = replace(place, collector=collector.url)
    url = Simulator().deploy(build("1"), place, Job()).url
    for items in (1, 2, 1, 1):
        post_json(f"{url}/v2/models/tiny/infer", infer_body(INPUTS[:items]))
        Simulator().flush(place)
    collector.refuses = lambda record: record["samples"] == 2
    collector.start()

    assert Simulator().flush(place) == 1
    assert [record["samples"] for record in collector.records.values()] == [1, 1, 1]

    collector.refuses = lambda record: False
    assert Simulator().flush(place) == 0


def test_nothing_that_was_counted_is_lost_when_models_are_swapped_under_load(
    build: Build, place: Place, collector: Collector
) -> None:
    place = replace(place, collector=collector.url)
    url = Simulator().deploy(build("1"), place, Job()).url
    done = threading.Event()
    sent = [0, 0]

    def ask(number: int) -> None:
        while not done.is_set():
            post_json(f"{url}/v2/models/tiny/infer", infer_body())
            sent[number] += 2

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for asker in askers:
        asker.start()
    for version in ("2", "3"):
        Simulator().deploy(build(version), place, Job())
    done.set()
    for asker in askers:
        asker.join()

    assert Simulator().flush(place) == 0
    assert sum(record["samples"] for record in collector.records.values()) == sum(sent)
    assert {record["version"] for record in collector.records.values()} == {"1", "2", "3"}


def test_a_message_says_what_time_it_is_here(
    build: Build, place: Place, collector: Collector
) -> None:
    began = datetime.now(UTC)
    url = Simulator().deploy(build("1"), replace(place, collector=collector.url), Job()).url
    assert answers(url)

    assert Simulator().flush(place) == 0

    # by it a collector sees that a board's clock is wrong
    assert began <= datetime.fromisoformat(collector.sent[-1]) <= datetime.now(UTC)


def test_attempts_become_rarer_and_are_spread(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    uplink = Reporter(Home(tmp_path).settings, list, spool)
    pauses = []

    for uplink.failures in (1, 2, 5, 20, 10_000):
        pauses.append({uplink.pause_s() for _ in range(20)})

    assert all(len(different) > 1 for different in pauses)
    assert max(pauses[0]) <= 1.0 < min(pauses[2])
    assert LONGEST_WAIT_S / 2 <= min(pauses[-1]) <= max(pauses[-1]) <= LONGEST_WAIT_S
    spool.close()
