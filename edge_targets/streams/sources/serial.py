"""Numbers from a serial line: text in lines, or fixed frames of bytes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.errors import DataError, DeviceError, RecipeError, UnsupportedError
from edge_targets.streams.members import described
from edge_targets.streams.payloads import numbers_in
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World

LOOK_S = 0.25
MAX_LINE = 64 << 10  # bytes: a line that never ends is noise


@dataclass(frozen=True)
class Serial(Source):
    """Lines are `1.5, 2, 3`, or JSON; frames are read as `struct` says, after their first bytes."""

    port: str = described("The device, such as /dev/ttyUSB0 or /dev/serial0.")
    baud: int = described("Bits a second.", 115_200, 50, 4_000_000)
    form: str = described("How numbers are sent.", "lines", choices=("lines", "frames"))
    frame: str = described("Of frames: numbers as Python's `struct` names them.", "<4f")
    first: str = described("Of frames: bytes each begins with, hexadecimal.", "")

    def samples(self, world: World) -> Samples:
        try:
            import serial
        except ImportError as error:
            raise UnsupportedError(
                "pyserial is not installed.", "Install python3-serial."
            ) from error
        try:
            layout, first = struct.Struct(self.frame), bytes.fromhex(self.first)
        except (struct.error, ValueError) as error:
            raise RecipeError(
                f"{self.frame!r} or {self.first!r} is no frame: {error}.", "Try '<4f' and 'aa55'."
            ) from error
        kept = bytearray()
        place = 0
        try:
            with serial.Serial(self.port, self.baud, timeout=LOOK_S) as line:
                while not world.stopping.is_set():
                    kept += line.read(max(1, min(line.in_waiting, 4096)))
                    found = lines(kept) if self.form == "lines" else frames(kept, layout, first)
                    for values in found:
                        yield Sample(values, f"{self.port}:{place}")
                        place += 1
        except (serial.SerialException, OSError) as error:
            raise DeviceError(
                f"{self.port} does not answer: {error}.", "Is it plugged in, and may we read it?"
            ) from error


def lines(kept: bytearray) -> Iterator[Any]:
    """Take whole lines off the front; what is no number is skipped, as sensors greet and log."""
    while (end := kept.find(b"\n")) >= 0:
        line = bytes(kept[:end])
        del kept[: end + 1]
        try:
            yield numbers_in(line)
        except DataError:
            continue
    if len(kept) > MAX_LINE:
        kept.clear()


def frames(kept: bytearray, layout: struct.Struct, first: bytes) -> Iterator[list[float]]:
    """Take whole frames off the front; bytes before a frame's first ones are skipped."""
    size = len(first) + layout.size
    while len(kept) >= size:
        start = kept.find(first)
        if start < 0:
            del kept[: len(kept) - len(first) + 1]
            return
        del kept[:start]
        if len(kept) < size:
            return
        yield [float(value) for value in layout.unpack_from(kept, len(first))]
        del kept[:size]
