"""Everything in the workspace, and where each thing came from."""

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QScrollArea, QStackedWidget, QWidget

from gui import wording
from gui.models import Column, Row
from gui.pages.base import Page, Result
from gui.session import Command, Session
from gui.widgets.buttons import Button
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.command import CommandLine
from gui.widgets.empty import Empty
from gui.widgets.lineage import Lineage
from gui.widgets.table import Table

COLUMNS = (
    Column("name", "Name", stretch=5),
    Column(
        "kind",
        "Kind",
        value=lambda row: wording.words(str(row["kind"]).removesuffix("s")),
        stretch=0,
        sample="Package",
    ),
    Column("summary", "What it is", stretch=7),
    Column("created", "Made", "moment", stretch=0),
)
KINDS = ("models", "artifacts", "packages", "devices")


class Overview(Page):
    """The first page: what is there, or how to begin."""

    title = "Overview"
    icon = "gauge-high"
    order = 10
    scrolls = False  # its table does

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.search = QLineEdit(placeholderText="Search", clearButtonEnabled=True)
        self.search.setAccessibleName("Search")
        self.search.setFixedWidth(200)
        self.reload = Button("Refresh", "rotate")
        self.reload.setToolTip("List the workspace again (F5)")
        self.reload.clicked.connect(session.refresh)
        self.header.addWidget(self.search)
        self.header.addWidget(self.reload)
        self.tiles = {kind: Tile(kind.capitalize()) for kind in KINDS}
        self.table = Table(
            "Everything in the workspace",
            COLUMNS,
            Empty("folder-open", "Nothing here yet", ""),
        )
        self.search.textChanged.connect(self.table.sorted.setFilterFixedString)
        self.table.selected.connect(self._show_selected)
        self.details = Lineage()
        self.line = CommandLine()
        self.command: Command = ("list",)
        self._build()
        self._show_command(self.command)
        session.failed.connect(self.banner.show_problem)

    def _build(self) -> None:
        things, thing = Card("In this workspace"), Card("Selected")
        things.add(self.table, 1)
        self.beside = QStackedWidget()
        self.beside.addWidget(Empty("arrow-pointer", "Nothing selected", "Choose a row to see it."))
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        self.details.setObjectName("body")
        scroll.setWidget(self.details)
        self.beside.addWidget(scroll)
        thing.add(self.beside, 1)
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(things, 5)
        row.addWidget(thing, 3)
        full = QWidget()
        full.setLayout(row)
        row.setContentsMargins(0, 0, 0, 0)
        self.parts = QStackedWidget()
        self.parts.addWidget(self._welcome())
        self.parts.addWidget(full)
        self.body.addLayout(tiles(*self.tiles.values()))
        self.body.addWidget(self.parts, 1)
        self.footer.insertWidget(0, self.line)

    def _welcome(self) -> Card:
        demo = Button("Run the demo", "play", "primary")
        digits = Button("Add the digits data", "database")
        demo.setToolTip(self.session.shell(*self._demo()))
        digits.setToolTip(self.session.shell(*self._digits()))
        demo.clicked.connect(lambda: self.run(self._demo(), lambda _: None))
        digits.clicked.connect(lambda: self.run(self._digits(), self._go_train))
        for button in (demo, digits):
            self.runner.running_changed.connect(button.setDisabled)
        self.welcome = Empty(
            "seedling",
            "No models yet",
            "The demo trains a small network on scans of handwritten digits and takes it to a "
            "device and back, in a few minutes and on this machine alone.",
            demo,
            digits,
        )
        self.demo, self.digits = demo, digits
        card = Card()
        card.add(self.welcome, 1)
        return card

    def _init(self) -> tuple[Command, ...]:
        return () if self.session.exists else (("init", str(self.session.workspace)),)

    def _demo(self) -> tuple[Command, ...]:
        return (("demo", str(self.session.workspace)),)

    def _digits(self) -> tuple[Command, ...]:
        return (*self._init(), ("data", "add", "digits", "--name", "digits"))

    def refresh(self) -> None:
        items = self.session.items
        for kind, tile in self.tiles.items():
            tile.show_figure(wording.count(len(self.session.names(kind))), self._newest(kind))
        self.parts.setCurrentIndex(1 if items else 0)
        if not self.session.exists:
            self.welcome.say(
                "No workspace yet",
                f"{self.session.workspace.name} becomes one with the first thing you do: run the "
                "demo on scans of handwritten digits, or add their data and train yourself.",
            )
        self._show_command(self.command if items else self._digits()[-1])
        self.table.fill(items)

    def _newest(self, kind: str) -> str:
        made = [item for item in self.session.items if item.get("kind") == kind]
        newest = max(made, key=lambda item: str(item.get("created", "")), default=None)
        return f"Newest: {newest['name']}" if newest else "None yet"

    def _show_command(self, command: Command) -> None:
        self.line.show_command(self.session.shell(command))

    def _show_selected(self, row: Row | None) -> None:
        if row is None:
            self.command = ("list",)
            self.beside.setCurrentIndex(0)
        else:
            self.command = ("show", f"{row['kind']}/{row['name']}")
            self.ask(self._show_thing, self.command)
        self._show_command(self.command)

    def _show_thing(self, result: Result) -> None:
        self.details.show_thing(
            str(result.get("name", "")),
            str(result.get("kind", "")),
            result.get("facts", {}),
            result.get("lineage", ()),
        )
        self.beside.setCurrentIndex(1)

    def _go_train(self, _result: Result) -> None:
        self.visit.emit("train")
