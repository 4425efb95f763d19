"""Findings published over MQTT."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edge_targets.runtime.errors import DeviceError
from edge_targets.streams.broker import connected
from edge_targets.streams.members import described
from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks.base import Send, Sink

ACKNOWLEDGED_S = 10.0


@dataclass(frozen=True)
class Mqtt(Sink):
    """A JSON object a message."""

    broker: str = described("mqtt://HOST:PORT, or mqtts://.")
    topic: str = described("What to publish to.")
    qos: int = described("0 may lose, 1 waits for the broker's word.", 1, 0, 1)
    retain: bool = described("Whether the broker keeps the last one for newcomers.", False)

    @contextmanager
    def open(self) -> Iterator[Send]:
        with connected(self.broker) as client:

            def send(finding: Finding) -> None:
                text = json.dumps(finding.to_json())
                try:
                    message = client.publish(self.topic, text, self.qos, self.retain)
                    message.wait_for_publish(ACKNOWLEDGED_S)
                    done = message.is_published()
                except (RuntimeError, ValueError) as error:
                    raise DeviceError(f"The broker took nothing: {error}.", "Is it on?") from error
                if not done:
                    raise DeviceError("The broker does not acknowledge.", "Is it on?")

            yield send
