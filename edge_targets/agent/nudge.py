"""Nudges over MQTT: "look now", and nothing else.

A nudge carries nothing that is trusted: whoever forges one makes a device look at its repository
earlier than it would have, with all of the checks. Anything a broker sends is taken for one.
"""

import logging
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge_targets.runtime.errors import DeviceError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
LONGEST_WAIT_S = 300  # between two attempts to reach the broker
KEEPALIVE_S = 120
TIMEOUT_S = 10.0


def topic(channel: str) -> str:
    return f"sanderling/{channel}/nudge"


class Nudges:
    """Listens at one broker at a time; `heard` is called from the listener's thread.

    Args:
        heard: is called for each nudge.
        authority: a file of certificates that mqtts is checked with; None takes the system's.
    """

    def __init__(self, heard: Callable[[], None], authority: str | None = None) -> None:
        self.heard = heard
        self.authority = authority
        self.followed: tuple[str, str, str] = ("", "", "")
        self.client: Client | None = None
        self.subscribed = threading.Event()

    def follow(self, broker: str, channel: str, device: str) -> None:
        """Listen there from now on; an empty broker is none. The connection is kept up."""
        if (broker, channel, device) == self.followed:
            return
        self.close()
        self.followed = (broker, channel, device)
        if not broker:
            return
        try:
            client = connecting(broker, f"sanderling-{device}", self.authority)
        except (DeviceError, OSError, ValueError) as error:
            log.warning("no nudges: %s", error)
            return
        client.reconnect_delay_set(1, LONGEST_WAIT_S)  # doubled after each failure

        def connected(client: "Client", *_: Any) -> None:
            client.subscribe(topic(channel), qos=1)

        def message(*_: Any) -> None:
            self.heard()

        def acknowledged(*_: Any) -> None:
            self.subscribed.set()

        client.on_connect = connected
        client.on_message = message
        client.on_subscribe = acknowledged
        parts = urlsplit(broker)
        client.connect_async(parts.hostname or "", parts.port or PORTS[parts.scheme], KEEPALIVE_S)
        client.loop_start()
        self.client = client

    def close(self) -> None:
        client, self.client, self.followed = self.client, None, ("", "", "")
        self.subscribed.clear()
        if client is not None:
            client.disconnect()
            client.loop_stop()


def connecting(broker: str, name: str, authority: str | None = None) -> "Client":
    """A client for a broker's address, with TLS for mqtts; not connected yet."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    parts = urlsplit(broker)
    if parts.scheme not in PORTS or not parts.hostname:
        raise DeviceError(f"{broker!r} is no broker.", "Give one such as mqtts://broker.lan:8883.")
    client = Client(CallbackAPIVersion.VERSION2, client_id=name)
    client.connect_timeout = TIMEOUT_S
    if parts.scheme == "mqtts":
        client.tls_set_context(ssl.create_default_context(cafile=authority))
    return client


def nudge(broker: str, channel: str, authority: str | None = None) -> None:
    """Tell all devices that follow a channel to look now.

    Raises:
        DeviceError: the broker cannot be reached.
    """
    client = connecting(broker, "", authority)
    parts = urlsplit(broker)
    try:
        client.connect(parts.hostname or "", parts.port or PORTS[parts.scheme], KEEPALIVE_S)
        client.loop_start()
        told = client.publish(topic(channel), b"", qos=1)
        told.wait_for_publish(TIMEOUT_S)
        if not told.is_published():
            raise DeviceError(f"{broker} took no nudge.", "Devices look by themselves, later.")
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(
            f"{broker} does not answer: {reason}.", "Devices look by themselves, later."
        ) from error
    finally:
        client.disconnect()
        client.loop_stop()
