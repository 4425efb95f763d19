"""A pin, or a lamp of the board, that is on while the model says a certain thing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edge_targets.runtime.errors import DeviceError, RecipeError, UnsupportedError
from edge_targets.streams.members import described
from edge_targets.streams.samples import Finding
from edge_targets.streams.sinks.base import Send, Sink

Switch = Callable[[bool], None]


@dataclass(frozen=True)
class Gpio(Sink):
    """On while the answer is `label` and not abstained from; off when the loop ends."""

    label: str = described("The class that switches it on.")
    pin: int = described("Broadcom's number of the pin; -1 for a lamp.", -1, -1, 1000)
    lamp: str = described(
        "A file that takes 0 or 1, such as /sys/class/leds/ACT/brightness, instead of a pin.", ""
    )
    chip: str = described("Of libgpiod, where gpiozero is not installed.", "/dev/gpiochip0")

    @contextmanager
    def open(self) -> Iterator[Send]:
        with self._switch() as switch:
            switch(False)
            try:
                yield lambda finding: switch(self._is_on(finding))
            finally:
                switch(False)

    def _is_on(self, finding: Finding) -> bool:
        answer = finding.answer
        return answer.label == self.label and not answer.abstained

    @contextmanager
    def _switch(self) -> Iterator[Switch]:
        if (self.pin < 0) == (not self.lamp):
            raise RecipeError("One of pin and lamp is needed.", "Give `pin = 17`, or a lamp.")
        if self.lamp:
            yield self._write
            return
        if find_spec("gpiozero"):
            from gpiozero import LED

            try:
                led = LED(self.pin)
            except Exception as error:  # each pin factory raises its own
                raise DeviceError(f"Pin {self.pin}: {error}.", "Is it used already?") from error
            with led:
                yield lambda on: led.on() if on else led.off()
            return
        if not find_spec("gpiod"):
            raise UnsupportedError(
                "Neither gpiozero nor gpiod is installed.", "Install python3-gpiozero."
            )
        with self._line() as switch:
            yield switch

    @contextmanager
    def _line(self) -> Iterator[Switch]:
        gpiod, line = import_module("gpiod"), import_module("gpiod.line")
        settings = {self.pin: gpiod.LineSettings(direction=line.Direction.OUTPUT)}
        try:
            lines = gpiod.request_lines(self.chip, consumer="sanderling", config=settings)
        except OSError as error:
            raise DeviceError(f"Pin {self.pin}: {error}.", "Is it used already?") from error
        with lines:
            states = {True: line.Value.ACTIVE, False: line.Value.INACTIVE}
            yield lambda on: lines.set_value(self.pin, states[on])

    def _write(self, on: bool) -> None:
        try:
            Path(self.lamp).write_text("1" if on else "0")
        except OSError as error:
            raise DeviceError(
                f"{self.lamp} cannot be written: {error.strerror}.", "Is it a lamp, and may we?"
            ) from error
