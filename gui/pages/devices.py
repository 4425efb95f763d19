"""Boards and other places with an agent: made ours, looked after, changed."""

from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QCheckBox

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.panels.device import DevicePanel
from gui.panels.enrolling import Enrolling
from gui.session import Session
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.empty import Empty
from gui.widgets.table import Table

EVERY_MS = 10_000  # between two looks: a temperature moves about as fast


def state(row: Row) -> str:
    on_trial = row.get("state") == "ready" and row.get("probation_s") is not None
    return "on trial" if on_trial else str(row.get("state", ""))


DEVICES = (
    Column("name", "Device", stretch=3),
    Column(
        "target",
        "Target",
        value=lambda r: wording.words(str(r["target"])),
        stretch=1,
        sample="Raspberry Pi 5",
    ),
    Column("address", "Address", stretch=4, tip=lambda r: str(r.get("url") or r["address"])),
    Column("model", "Model", stretch=3),
    Column("version", "Version", stretch=0, sample="03b9b16885e6"),
    Column("temperature_c", "Heat", "celsius", stretch=0),
    Column("samples", "Samples", "count"),
    Column("pending", "Not sent", "count"),
    Column("state", "State", "state", value=state, stretch=1, sample="Unreachable"),
)


class Devices(Page):
    """Above all devices; below the one that is chosen."""

    title = "Devices"
    icon = "server"
    order = 45

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.again = QCheckBox("Every 10 s")
        self.again.setToolTip("Ask again every 10 seconds")
        self.timer = QTimer(self, interval=EVERY_MS)
        self.timer.timeout.connect(self.ask_devices)
        self.again.toggled.connect(self._repeat)
        self.check = Button("Check devices", "rotate")
        self.check.setToolTip(session.shell(("device", "list")))
        self.check.clicked.connect(self.ask_devices)
        self.more = Button("Add a device", "plus")
        self.more.setCheckable(True)
        for part in (self.again, self.check, self.more):
            self.header.addWidget(part)
        self.adding_card = Card("Add a device")
        self.adding = Enrolling(self, self._added)
        self.adding_card.add(self.adding)
        self.adding_card.hide()
        self.more.toggled.connect(self.adding_card.setVisible)
        self.panel = DevicePanel(self)
        self.body.addWidget(self.adding_card)
        self.body.addWidget(self._devices_card())
        self.body.addWidget(self.panel, 1)

    def _devices_card(self) -> Card:
        card = Card("Devices")
        add = Button("Add a device", "plus")
        add.clicked.connect(lambda: self.more.setChecked(True))
        self.table = Table(
            "Devices",
            DEVICES,
            Empty(
                "server",
                "No devices yet",
                "A Raspberry Pi is reached over SSH; a simulated device is a folder.",
                add,
            ),
        )
        self.table.selected.connect(self._choose)
        card.add(self.table)
        return card

    def refresh(self) -> None:
        self.panel.package.offer(self.session.names("packages"))
        if not self.session.names("devices"):
            self._show(())
        self.ask_devices()
        self.refresh_commands()

    def ask_devices(self) -> None:
        if not self.session.names("devices"):
            return
        commands: list[tuple[str, ...]] = [("device", "list")]
        if self.panel.device in self.session.names("devices"):
            commands.append(("device", "status", self.panel.device))
        self.ask(self._take, *commands)

    def _take(self, result: Result) -> None:
        if "devices" in result:
            self._show(result["devices"])
        elif result.get("name") == self.panel.device:
            self.panel.show_device(result)

    def _show(self, rows: Any) -> None:
        self.table.fill(rows)
        self.table.fit(6)
        known = [str(row["name"]) for row in rows]
        if self.panel.device not in known:
            self.panel.choose("")
            if known:
                self.table.select(known[0])
        self.panel.setVisible(bool(known))

    def _choose(self, row: Row | None) -> None:
        if row is None:
            return
        new = str(row["name"]) != self.panel.device
        self.panel.choose(str(row["name"]))
        if new:
            self.ask(self._take, ("device", "status", self.panel.device))

    def _added(self, result: Result) -> None:
        self.more.setChecked(False)
        self.panel.choose(str(result.get("name", "")))

    def _repeat(self, on: bool) -> None:
        if on:
            self.timer.start()
            self.ask_devices()
        else:
            self.timer.stop()
