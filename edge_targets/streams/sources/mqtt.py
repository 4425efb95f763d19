"""Numbers that sensors publish over MQTT."""

import queue
import time
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.errors import DataError, DeviceError
from edge_targets.streams.broker import connected
from edge_targets.streams.members import described
from edge_targets.streams.payloads import numbers_in
from edge_targets.streams.queues import Bounded
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World

LOOK_S = 0.25
PATIENCE_S = 10.0  # for the broker to take the subscription, or to come back
MAX_PAYLOAD = 4 << 20  # bytes


@dataclass(frozen=True)
class Mqtt(Source):
    """Each message is one sample: JSON, or numbers with commas."""

    broker: str = described("mqtt://HOST:PORT, or mqtts://.")
    topic: str = described("What to subscribe to; `+` and `#` as MQTT has them.")
    qos: int = described("0 may lose, 1 may repeat.", 0, 0, 1)

    def samples(self, world: World) -> Samples:
        messages: Bounded[tuple[str, bytes]] = Bounded(256)
        refused: queue.SimpleQueue[str] = queue.SimpleQueue()

        def on_connect(client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
            if code.is_failure:
                refused.put(str(code))
            else:
                client.subscribe(self.topic, self.qos)

        def on_message(_client: Any, _data: Any, message: Any) -> None:
            if len(message.payload) <= MAX_PAYLOAD:
                messages.put((message.topic, message.payload))

        with connected(self.broker, on_connect=on_connect, on_message=on_message) as client:
            seen = time.monotonic()
            while not world.stopping.is_set():
                message = messages.get(LOOK_S)
                if message is None:
                    if client.is_connected():
                        seen = time.monotonic()
                    if not refused.empty():
                        raise DeviceError(
                            f"The broker refuses: {refused.get()}.", "Check name and password."
                        )
                    if time.monotonic() - seen > PATIENCE_S:
                        raise DeviceError("The broker is gone.", "Is it on?")
                    continue
                topic, payload = message
                try:
                    yield Sample(numbers_in(payload), topic)
                except DataError:
                    continue  # other things are said on a topic, too
