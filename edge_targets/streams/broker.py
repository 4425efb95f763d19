"""A connection to an MQTT broker, for the source and the sink."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from edge_targets.runtime.errors import DeviceError, RecipeError, UnsupportedError

CONNECT_S = 10.0
KEEP_ALIVE_S = 20


@contextmanager
def connected(address: str, **callbacks: Any) -> Iterator[Any]:
    """A paho client whose network runs in a thread of its own.

    Args:
        address: mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts://.
        callbacks: such as `on_message`, set before it connects.
    """
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise UnsupportedError(
            "paho-mqtt is not installed.", "Install python3-paho-mqtt."
        ) from error
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("mqtt", "mqtts") and parts.hostname
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
    except ValueError:
        good, port = None, 0
    if not good:
        raise RecipeError("That is no address of a broker.", "Give mqtt://HOST:1883.")
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = CONNECT_S
    if parts.username:
        client.username_pw_set(parts.username, parts.password)
    if parts.scheme == "mqtts":
        client.tls_set_context(ssl.create_default_context())
    for name, call in callbacks.items():
        setattr(client, name, call)
    where = f"{parts.scheme}://{parts.hostname}:{port}"  # without the password
    try:
        client.connect(parts.hostname or "", port, KEEP_ALIVE_S)
    except (OSError, ValueError) as error:
        raise DeviceError(f"{where} does not answer: {error}.", "Is the broker on?") from error
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
