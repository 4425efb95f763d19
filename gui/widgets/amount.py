"""Amounts with their units, and shares in per cent."""

from collections.abc import Callable

from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QLineEdit, QSizePolicy

from edge_targets.runtime.errors import UsageError
from gui.form import INSET, RealBox
from gui.widgets.command import Incomplete
from gui.widgets.rows import named, steady
from gui.wording import NARROW


class Amount(QLineEdit):
    """An optional amount, such as `200kB`, and the option that it is for."""

    def __init__(
        self, name: str, option: str, example: str, read: Callable[[str, str], float]
    ) -> None:
        super().__init__()
        self._name, self._option, self._read = name, option, read
        self.setAccessibleName(name)
        self.setPlaceholderText(f"No limit, or such as {example}")

    @property
    def value(self) -> float | None:
        """In the smallest unit; None when none was given, or it cannot be read."""
        try:
            return self._read(self.text(), self._option) if self.text().strip() else None
        except UsageError:
            return None

    def arguments(self) -> tuple[str, ...]:
        text = self.text().strip()
        if not text:
            return ()
        try:
            self._read(text, self._option)
        except UsageError as error:
            raise Incomplete(f"{self._name}: {text} is no amount. {error.hint}") from error
        return (self._option, text)


def percent_box(name: str, low: float, high: float, value: float) -> RealBox:
    box = named(RealBox(), name)
    box.lineEdit().setTextMargins(INSET, 0, 0, 0)
    box.setDecimals(2)
    box.setRange(low, high)
    box.setValue(value)
    box.setSuffix(f"{NARROW}%")
    box.setLocale(QLocale.c())  # as on the command line, whatever the system's language
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return steady(box)
