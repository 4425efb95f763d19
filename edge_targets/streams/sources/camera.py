"""Frames of a camera: the board's own through picamera2, a webcam through Video4Linux2."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.streams.members import described
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World
from edge_targets.streams.v4l2 import frames


@dataclass(frozen=True)
class Camera(Source):
    """Frames as uint8, shape (height, width, 3); the camera may choose the next size it knows."""

    device: str = described("Of Video4Linux2.", "/dev/video0")
    width: int = described("Pixels.", 640, 16, 8192)
    height: int = described("Pixels.", 480, 16, 8192)
    frames_per_s: float = described("At most so many.", 10.0, 0.01, 240)
    through: str = described(
        "What reads it; `auto` takes picamera2 where it is installed.",
        "auto",
        choices=("auto", "picamera2", "v4l2"),
    )

    def samples(self, world: World) -> Samples:
        chosen = self.through
        if chosen == "auto":
            chosen = "picamera2" if find_spec("picamera2") else "v4l2"
        stopped = world.stopping.is_set
        every = self._picamera2(stopped) if chosen == "picamera2" else self._v4l2(stopped)
        due = time.monotonic()
        for place, frame in enumerate(every):
            if time.monotonic() < due:
                continue  # newer ones come
            due = max(due + 1 / self.frames_per_s, time.monotonic() - 1)
            yield Sample(frame, f"frame {place}")

    def _v4l2(self, stopped: Any) -> Iterator[Any]:
        return frames(self.device, self.width, self.height, stopped)

    def _picamera2(self, stopped: Any) -> Iterator[Any]:
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise UnsupportedError(
                "picamera2 is not installed.", "Install python3-picamera2, or use v4l2."
            ) from error
        try:
            camera = Picamera2()
        except (RuntimeError, IndexError) as error:
            raise DeviceError(f"There is no camera: {error}.", "Is its ribbon in?") from error
        try:
            # what it calls BGR888 has red first in memory
            size = (self.width, self.height)
            camera.configure(camera.create_video_configuration({"format": "BGR888", "size": size}))
            camera.start()
            while not stopped():
                yield camera.capture_array()
        except RuntimeError as error:
            raise DeviceError(f"The camera stopped: {error}.", "Is its ribbon in?") from error
        finally:
            camera.close()
