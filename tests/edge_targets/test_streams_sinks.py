"""Every sink brings findings there, and says whether it is worth another try."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.answer import Answer
from edge_targets.runtime.contract import Abstention
from edge_targets.runtime.errors import DataError, DeviceError, RecipeError
from edge_targets.streams.outlet import Outlet
from edge_targets.streams.samples import Finding, Sample
from edge_targets.streams.sinks import Sink, sinks
from edge_targets.streams.sinks.file import File
from edge_targets.streams.sinks.gpio import Gpio
from edge_targets.streams.sinks.mqtt import Mqtt
from edge_targets.streams.sinks.print import Print
from edge_targets.streams.sinks.webhook import Webhook
from tests.edge_targets import tiny
from tests.edge_targets.broker import Broker
from tests.edge_targets.tiny import free_port, wait_until


def finding(yes: float = 0.75, name: str = "frame 1") -> Finding:
    outputs = {"probabilities": np.array([1 - yes, yes], np.float32)}
    answer = Answer(outputs, tiny.SIGNATURE, Abstention(0.6, 0.1, 0.95, 0.9, 100), alone=True)
    return Finding(Sample([1.0], name, taken=0.0), answer, tiny.manifest())


SAID = {
    "schema": 1,
    "time": "1970-01-01T00:00:00.000+00:00",
    "source": "frame 1",
    "model": "tiny",
    "version": "1",
    "outputs": {"probabilities": [0.25, 0.75]},
    "label": "yes",
    "confidence": 0.75,
    "abstained": False,
}


@pytest.mark.parametrize("name", sinks.names())
def test_every_sink_explains_itself(name: str) -> None:
    member = sinks[name]

    assert member.__doc__
    assert all(one.metadata["description"].endswith(".") for one in fields(member))


def test_a_finding_says_all_that_is_known() -> None:
    assert finding().to_json() == SAID
    assert finding(0.5).to_json()["abstained"] is True
    unknown = finding(float("nan")).to_json()
    assert (unknown["confidence"], unknown["abstained"]) == (None, True)
    json.dumps(unknown, allow_nan=False)


def test_findings_are_printed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with Print().open() as send:
        send(finding())
        send(finding())

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [SAID] * 2


def test_a_full_file_makes_room_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    size = len(json.dumps(finding(name="0 ").to_json())) + 1
    with File(str(path), most_bytes=1024, keep=2).open() as send:
        for place in range(20):
            send(finding(name=f"{place:2d}"))

    a_file = 1024 // size
    files = [path, *(path.with_name(f"found.jsonl.{n}") for n in (1, 2))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    kept = [
        json.loads(line)["source"] for file in files[::-1] for line in file.read_text().splitlines()
    ]
    assert all(file.stat().st_size <= 1024 for file in files)
    assert kept == [f"{place:2d}" for place in range(20)][-len(kept) :]
    assert len(kept) > 2 * a_file


def test_without_old_files_the_new_one_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"

    with File(str(path), most_bytes=1024, keep=0).open() as send:
        for place in range(20):
            send(finding(name=str(place)))

    assert list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text().splitlines()[-1])["source"] == "19"


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()

    with File(str(tmp_path / "found")).open() as send, pytest.raises(DeviceError):
        send(finding())


@dataclass
class Hook:
    """A real server that answers as it is told."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    def __enter__(self) -> "Hook":
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.got.append((self.path, self.headers.get("authorization", ""), body))
                self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_a_webhook_gets_a_post_each_over_one_connection(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    with Hook() as hook:
        sink = Webhook(f"http://127.0.0.1:{hook.port}/in?x=1", token_file=str(tmp_path / "token"))
        with sink.open() as send:
            send(finding())
            send(finding())

    assert hook.got == [("/in?x=1", "Bearer secret", SAID)] * 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, DeviceError), (429, DeviceError), (302, DeviceError), (400, DataError)],
)
def test_a_webhook_tells_what_may_pass_from_what_will_not(
    status: int, error: type[Exception]
) -> None:
    with Hook([status]) as hook, Webhook(f"http://127.0.0.1:{hook.port}").open() as send:
        with pytest.raises(error, match=str(status)):
            send(finding())
        send(finding())  # the connection is good for the next

    assert len(hook.got) == 2


def test_a_webhook_that_comes_back_gets_all_that_waited() -> None:
    hook = Hook([503])
    outlet = Outlet(Webhook(f"http://127.0.0.1:{hook.port}"), first_wait_s=0.05)
    outlet.start()
    for place in range(5):
        outlet.queue.put(finding(name=str(place)))

    with hook:
        wait_until(lambda: outlet.sent == 5)
        outlet.stop(5)

    assert [body["source"] for _, _, body in hook.got] == ["0", "0", "1", "2", "3", "4"]
    assert outlet.lost == 0


def test_of_too_many_that_wait_the_oldest_give_way() -> None:
    outlet = Outlet(Webhook(f"http://127.0.0.1:{free_port()}"), size=3, first_wait_s=0.05)
    outlet.start()
    for place in range(10):
        outlet.queue.put(finding(name=str(place)))
    outlet.stop(0.1)

    assert outlet.sent == 0
    assert outlet.lost == 10


@pytest.mark.parametrize("url", ["ftp://x", "http://", "nothing"])
def test_an_address_that_is_none_ends_the_sink(url: str) -> None:
    outlet = Outlet(Webhook(url))
    outlet.start()
    outlet.join(10)

    assert isinstance(outlet.error, RecipeError)


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker(free_port())
    broker.start()
    yield broker
    broker.stop()


def listening(broker: Broker, topic: str, got: list[Any]) -> Any:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: got.append(json.loads(message.payload))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe(topic, 1)
    assert ready.wait(10)
    return client


def test_findings_are_published(broker: Broker) -> None:
    got: list[Any] = []
    client = listening(broker, "found", got)

    with Mqtt(broker.url, "found").open() as send:
        send(finding())
    wait_until(lambda: got)

    client.disconnect()
    client.loop_stop()
    assert got == [SAID]


def test_a_broker_that_is_not_there_is_tried_again() -> None:
    with (
        pytest.raises(DeviceError, match="does not answer"),
        Mqtt(f"mqtt://user:secret@127.0.0.1:{free_port()}", "t").open(),
    ):
        pass


def test_an_address_of_a_broker_is_told_without_its_password() -> None:
    with (
        pytest.raises(DeviceError) as caught,
        Mqtt(f"mqtt://user:secret@127.0.0.1:{free_port()}", "t").open(),
    ):
        pass

    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_a_lamp_is_on_while_the_model_says_so(tmp_path: Path) -> None:
    lamp = tmp_path / "brightness"
    seen = []

    with Gpio("yes", lamp=str(lamp)).open() as send:
        seen.append(lamp.read_text())
        for yes in (0.9, 0.1, 0.7, 0.55):
            send(finding(yes))
            seen.append(lamp.read_text())

    assert seen == ["0", "1", "0", "1", "0"]  # 0.55 is abstained from
    assert lamp.read_text() == "0"


def test_a_pin_and_a_lamp_are_not_one_thing() -> None:
    for sink in (Gpio("yes"), Gpio("yes", pin=3, lamp="/tmp/x")):
        with pytest.raises(RecipeError, match="One of pin and lamp"), sink.open():
            pass


def test_a_pin_is_switched_through_gpiozero() -> None:
    gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed")
    from gpiozero.pins.mock import MockFactory  # gpiozero's own simulated board

    gpiozero.Device.pin_factory = MockFactory()
    pin = gpiozero.Device.pin_factory.pin(17)

    with Gpio("yes", pin=17).open() as send:
        send(finding(0.9))
        on = pin.state
        send(finding(0.1))

    assert (on, pin.state) == (True, False)


@contextlib.contextmanager
def stopped(outlet: Outlet) -> Iterator[Outlet]:
    yield outlet
    outlet.stop(0)


def test_every_sink_leaves_nothing_running(tmp_path: Path) -> None:
    kinds: list[Sink] = [Print(), File(str(tmp_path / "f")), Gpio("yes", lamp=str(tmp_path / "l"))]
    for sink in kinds:
        with stopped(Outlet(sink)) as outlet:
            outlet.start()
            outlet.queue.put(finding())
            wait_until(partial(getattr, outlet, "sent"))

        assert not outlet.is_alive()
