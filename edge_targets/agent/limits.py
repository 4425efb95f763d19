"""What one client, and all together, may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds in connections, bytes and time.

    Attributes:
        connections: at once.
        prove_s: that a new connection may take before it gives way to a newer one, when all are
            taken and nothing that we may answer came from it.
        in_flight: bytes of larger bodies and of answers in memory, of all requests together.
        head_s: for a request line and headers to arrive; also how long a connection may idle.
        body_s: for a body that is read into memory.
        upload_s: for a package: 512 MiB over slow wireless.
        write_s: for an answer to be taken.
        drain_s: for what a client still sends after the last answer.
    """

    connections: int = 128
    prove_s: float = 3.0
    in_flight: int = 32 << 20
    head_s: float = 30.0
    body_s: float = 60.0
    upload_s: float = 900.0
    write_s: float = 30.0
    drain_s: float = 1.0
