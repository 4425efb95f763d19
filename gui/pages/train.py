"""From data to a model: add data, choose a network, train it, see how good it is."""

from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from edge_targets.runtime.events import Event
from gui import wording
from gui.form import Form
from gui.models import Column
from gui.pages.base import Page, Result
from gui.session import Command, Session
from gui.widgets.buttons import Button, quiet
from gui.widgets.card import Card, Tile, tiles
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.empty import Empty
from gui.widgets.rows import form_rows, named, replace_widget, unique_name
from gui.widgets.table import Table
from gui.widgets.text import Elided, label
from toolkit.data.sources import sources
from toolkit.networks import networks
from toolkit.training import Settings

LEFT = 390  # pixels: room for the longest label and a list of numbers
LOG_LINES = 500
COLUMNS = (
    Column("name", "Column", stretch=4),
    Column("type", "Type", stretch=2),
    Column("missing", "Missing", "count"),
    Column("low", "Lowest", "number"),
    Column("high", "Highest", "number"),
)


class Train(Page):
    """Left what to train and on what; right how it goes and what came of it."""

    title = "Train"
    icon = "graduation-cap"
    order = 20

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._said = ""
        columns = QHBoxLayout()
        columns.setSpacing(14)
        left, right = QVBoxLayout(), QVBoxLayout()
        for column in (left, right):
            column.setSpacing(14)
        left.addWidget(self._data_card())
        left.addWidget(self._network_card())
        left.addStretch()
        right.addLayout(self._result_tiles())
        right.addWidget(self._progress_card(), 2)
        right.addWidget(self._columns_card(), 3)
        side = QWidget()
        side.setFixedWidth(LEFT)
        side.setLayout(left)
        left.setContentsMargins(0, 0, 0, 0)
        columns.addWidget(side)
        columns.addLayout(right, 1)
        self.start = self.action(
            "Train", "play", self.train_command, self._show_result, primary=True
        )
        self.body.addLayout(columns, 1)
        self.footer.insertWidget(0, self.start)
        self.runner.progressed.connect(self._log_event)
        self._choose_source()
        self._choose_network()

    def _data_card(self) -> Card:
        card = Card("Data")
        self.data = Choice("Dataset", "No data yet: add some")
        self.data.currentIndexChanged.connect(self._choose_data)
        self.more = quiet("plus", "Add data")
        self.more.setCheckable(True)
        row = QHBoxLayout()
        row.addWidget(self.data, 1)
        row.addWidget(self.more)
        self.facts = Elided("", "muted")
        card.add(row)
        card.add(self.facts)
        card.add(self._adding())
        self.more.toggled.connect(self.adding.setVisible)
        return card

    def _adding(self) -> QWidget:
        self.adding = QWidget()
        self.source = Choice("Source", people=True)
        self.place = named(QLineEdit(placeholderText="Path"), "Path of the data")
        self.browse = Button("Browse", "folder-open")
        self.target = named(QLineEdit(placeholderText="Column to predict"), "Target column")
        self.data_name = named(QLineEdit(placeholderText="Name"), "Name of the dataset")
        self.source.offer(sources.names())
        self.source.choose("digits")
        place = QWidget()
        beside = QHBoxLayout(place)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.place, 1)
        beside.addWidget(self.browse)
        self.add_rows = form_rows(
            ("Source", self.source), ("Path", place), ("Target", self.target),
            ("Name", self.data_name),
        )  # fmt: skip
        self.place_row = place
        self.options = QVBoxLayout()
        self.all_options = QCheckBox("Show all options")
        self.add_data = self.action("Add", "plus", self.add_command, self._added)
        column = QVBoxLayout(self.adding)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(self.add_rows)
        column.addLayout(self.options)
        column.addWidget(self.all_options)
        column.addWidget(self.add_data)
        self.browse.clicked.connect(self._browse)
        self.source.currentIndexChanged.connect(self._choose_source)
        for box in (self.place, self.target, self.data_name):
            box.textChanged.connect(self.refresh_commands)
        return self.adding

    def _network_card(self) -> Card:
        card = Card("Network")
        self.network = Choice("Network", people=True)
        self.network.offer(networks.names())
        self.network.choose("small_cnn")
        self.network.currentIndexChanged.connect(self._choose_network)
        self.settings = Form(Settings)
        self.settings.changed.connect(self.refresh_commands)
        self.model_name = named(QLineEdit(placeholderText="Name"), "Name of the model")
        self.model_name.textEdited.connect(self.refresh_commands)
        self.parameters = QVBoxLayout()
        card.add(form_rows(("Network", self.network)))
        card.add(self.parameters)
        card.add(label("Training", "heading"))
        card.add(self.settings)
        card.add(form_rows(("Name", self.model_name)))
        return card

    def _result_tiles(self) -> QHBoxLayout:
        self.test, self.validation = Tile("Accuracy on test"), Tile("Accuracy on validation")
        for tile in (self.test, self.validation):
            tile.setToolTip("Below: the 95 % confidence interval.")
        self.count = Tile("Parameters")
        return tiles(self.test, self.validation, self.count)

    def _progress_card(self) -> Card:
        card = Card("Progress")
        self.log = named(QPlainTextEdit(readOnly=True), "What the job said")
        self.log.setMaximumBlockCount(LOG_LINES)
        self.log.setPlaceholderText("What the job says is kept here.")
        self.log.setMinimumHeight(120)
        self.log.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        card.add(self.log, 1)
        return card

    def _columns_card(self) -> Card:
        card = Card("What is in the data")
        self.table = Table(
            "Columns of the dataset",
            COLUMNS,
            Empty("table-columns", "No columns to show", "Add data, or choose a dataset."),
        )
        self.table.setMinimumHeight(190)
        card.add(self.table, 1)
        return card

    def add_command(self) -> Command:
        source, place = self.source.chosen, self.place.text().strip()
        if not sources[source].accepts(source):
            if not place:
                raise Incomplete("Choose the file or folder.")
            source = place
        target = self.target.text().strip() if self.source.chosen == "csv" else ""
        return (
            "data", "add", source, "--name", self.data_name.text().strip() or self._data_name(),
            *(("--target", target) if target else ()), *self.source_form.arguments(),
        )  # fmt: skip

    def train_command(self) -> Command:
        if not self.data.chosen:
            raise Incomplete("Add data first.")
        name = self.model_name.text().strip() or self._model_name()
        return (
            "train", self.data.chosen, "--network", self.network.chosen,
            *self.form.arguments(), *self.settings.arguments(), "--name", name,
        )  # fmt: skip

    def _data_name(self) -> str:
        place = self.place.text().strip()
        built_in = self.source.chosen == "digits"
        stem = "" if built_in else Path(place).stem
        return unique_name(stem or self.source.chosen, self.session.names("datasets"))

    def _model_name(self) -> str:
        words = f"{self.data.chosen}-{self.network.chosen}"
        return unique_name(words, self.session.names("models"))

    def _browse(self) -> None:
        if self.source.chosen.endswith("_folder"):
            place = QFileDialog.getExistingDirectory(self, "Folder with one folder a class")
        else:
            place, _ = QFileDialog.getOpenFileName(self, "Table", "", "Tables (*.csv *.tsv *.txt)")
        if place:
            self.place.setText(place)

    def _choose_source(self) -> None:
        name = self.source.chosen
        built_in = sources[name].accepts(name)
        self.add_rows.setRowVisible(self.place_row, not built_in)
        self.add_rows.setRowVisible(self.target, name == "csv")
        self.source_form = Form(sources[name])
        self.source_form.changed.connect(self.refresh_commands)
        self.source_form.setVisible(self.all_options.isChecked())
        self.all_options.toggled.connect(self.source_form.setVisible)
        replace_widget(self.options, self.source_form)
        self.refresh_commands()

    def _choose_network(self) -> None:
        self.form = Form(networks[self.network.chosen])
        self.form.changed.connect(self.refresh_commands)
        replace_widget(self.parameters, self.form)
        self.refresh_commands()

    def _choose_data(self) -> None:
        self.facts.setText("")
        self.table.fill(())
        if self.data.chosen:
            self.ask(self._show_data, ("data", "show", self.data.chosen))
        self.refresh_commands()

    def _show_data(self, result: Result) -> None:
        split = result.get("split", {})
        parts = " / ".join(wording.count(n) for n in split.values())
        labels = result.get("labels") or ()
        classes = f"{len(labels)} classes" if labels else str(result.get("task", ""))
        self.facts.setText(f"{wording.count(result.get('rows'))} rows, {classes}, split {parts}")
        self.facts.setToolTip(f"Split: {' / '.join(split)}")
        self.table.fill(result.get("columns") or input_rows(result))

    def _added(self, result: Result) -> None:
        self.more.setChecked(False)
        self.data.prefer(str(result.get("name", "")))

    def refresh(self) -> None:
        self.data.offer(self.session.names("datasets"))
        if not self.data.chosen:
            self.more.setChecked(True)
        self.adding.setVisible(self.more.isChecked())
        self.data_name.setPlaceholderText(self._data_name())
        self.refresh_commands()

    def refresh_commands(self) -> None:
        self.data_name.setPlaceholderText(self._data_name())
        self.model_name.setPlaceholderText(self._model_name())
        super().refresh_commands()

    def _log_event(self, event: Event) -> None:
        if event.message != self._said:
            self._said = event.message
            self.log.appendPlainText(event.message)

    def _show_result(self, result: Result) -> None:
        for tile, key in ((self.test, "test"), (self.validation, "validation")):
            interval = result.get(key) or {}
            tile.show_figure(wording.percent(interval.get("value")), wording.between(interval))
        what = wording.words(str(result.get("metric", "accuracy")))
        self.test.name.setText(f"{what} on test")
        self.validation.name.setText(f"{what} on validation")
        self.count.show_figure(
            wording.count(result.get("parameters")),
            f"{result.get('epochs', '?')} epochs",
        )
        self.log.appendPlainText(f"{result.get('name')} is ready")


def input_rows(result: Result) -> list[Result]:
    """The inputs of data that has no columns, as images have none."""
    rows = []
    for spec in result.get("inputs", ()):
        shape = " x ".join("any" if n == -1 else str(n) for n in spec.get("shape", ()))
        rows.append({"name": spec.get("name"), "type": f"{spec.get('dtype', '')} {shape}".strip()})
    return rows
