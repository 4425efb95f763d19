"""Sound from ALSA, through its own `arecord`: no library to build, and a child can be unplugged."""

import os
import selectors
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.streams.files import sound
from edge_targets.streams.members import described
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World

LOOK_S = 0.25
SILENT_S = 10.0  # a sound card that says nothing so long is not there any more
PIPE = 64 << 10  # bytes


@dataclass(frozen=True)
class Microphone(Source):
    """Windows of sound, numbers from -1 to 1: shape (window,), or (window, channels)."""

    window: int = described("Values of one sample.", 16000, 1, 10_000_000)
    hop: int = described("Values from one window to the next; 0 is a whole window.", 0, 0)
    rate_hz: int = described("Values a second.", 16000, 1000, 192_000)
    channels: int = described("1 is mono.", 1, 1, 8)
    device: str = described("ALSA's name of it; `arecord -L` lists them.", "default")
    program: str = described("The program that records.", "arecord")

    def samples(self, world: World) -> Samples:
        frame = 2 * self.channels  # bytes
        window, hop = self.window * frame, (self.hop or self.window) * frame
        kept = bytearray()
        place = skip = 0
        for chunk in self._record(world):
            kept += chunk
            gone = min(skip, len(kept))
            del kept[:gone]
            skip -= gone
            while not skip and len(kept) >= window:
                yield Sample(sound(bytes(kept[:window]), self.channels), f"window {place}")
                place += 1
                skip = max(0, hop - len(kept))
                del kept[:hop]

    def _record(self, world: World) -> Iterator[bytes]:
        words = [self.program, "-q", "-t", "raw", "-f", "S16_LE", "-D", self.device]
        words += ["-r", str(self.rate_hz), "-c", str(self.channels)]
        try:
            child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError as error:
            raise UnsupportedError(
                f"{self.program}, which records, is not there.", "Install alsa-utils."
            ) from error
        except OSError as error:
            raise DeviceError(f"{self.program} does not start: {error}.", "Is it one?") from error
        assert child.stdout
        assert child.stderr
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                silent_s = 0.0
                while not world.stopping.is_set():
                    if not selector.select(LOOK_S):
                        silent_s += LOOK_S
                        if silent_s >= SILENT_S:
                            raise DeviceError(f"{self.device} is silent.", "Is it plugged in?")
                        continue
                    silent_s = 0.0
                    chunk = os.read(child.stdout.fileno(), PIPE)
                    if not chunk:
                        told = os.read(child.stderr.fileno(), 500).decode(errors="replace")
                        raise DeviceError(
                            f"{self.device} gives no sound: {told.strip() or 'it ended'}.",
                            "Is the microphone plugged in? `arecord -L` lists what is there.",
                        )
                    yield chunk
        finally:
            child.kill()
            child.stdout.close()
            child.stderr.close()
            child.wait()
