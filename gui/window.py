"""The window: navigation on the left, the chosen page on the right."""

from typing import cast

from PySide6.QtCore import QByteArray, QEvent, QSettings, QSize, Qt
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.pages import Page, pages
from gui.runner import Runner, stop_all
from gui.session import Session
from gui.theme import ThemeName, colors
from gui.widgets.buttons import RESTYLED, Button, icon
from gui.widgets.text import Elided, label

SIZE = QSize(1280, 820)
LEAST = QSize(960, 600)
THEMES: tuple[ThemeName, ...] = ("system", "light", "dark")
THEME_ICONS = {"system": "circle-half-stroke", "light": "sun", "dark": "moon"}


class Window(QMainWindow):
    """Opens on one workspace. A page is made when it is first visited."""

    def __init__(
        self, session: Session, settings: QSettings, theme_name: ThemeName = "system"
    ) -> None:
        super().__init__()
        self.session, self.settings, self.theme_name = session, settings, theme_name
        session.setParent(self)
        self.kinds = sorted((pages[name] for name in pages.names()), key=lambda kind: kind.order)
        self.made: dict[type[Page], Page] = {}
        self.setWindowTitle(f"Sanderling: {session.workspace.name}")
        self.setMinimumSize(LEAST)
        self.stack = QStackedWidget()
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._side())
        row.addWidget(self.stack, 1)
        self.setCentralWidget(whole)
        self._add_shortcuts()
        self._restore()
        self.navigation.setCurrentRow(0)
        self.navigation.setFocus()
        session.refresh()

    def _side(self) -> QWidget:
        side = QWidget()
        side.setObjectName("side")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        side.setFixedWidth(210)
        self.navigation = QListWidget()
        self.navigation.setObjectName("navigation")
        self.navigation.setAccessibleName("Pages")
        self.navigation.setIconSize(QSize(17, 17))
        self.navigation.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for number, kind in enumerate(self.kinds, 1):
            item = QListWidgetItem("  " + kind.title)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, kind.title)
            item.setToolTip(f"Ctrl+{number % 10}")
            self.navigation.addItem(item)
        self.navigation.currentRowChanged.connect(self._show_row)
        self.theme_button = Button("", role="quiet")
        self.theme_button.clicked.connect(self.next_theme)
        place = Elided(str(self.session.workspace), "muted", Qt.TextElideMode.ElideLeft)
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 18, 1, 14)
        column.setSpacing(4)
        head, foot = QVBoxLayout(), QVBoxLayout()
        head.setContentsMargins(20, 0, 16, 10)
        foot.setContentsMargins(12, 0, 12, 0)
        head.setSpacing(2)
        head.addWidget(label("Sanderling", "title"))
        head.addWidget(Elided(self.session.workspace.name, "muted"))
        foot.addWidget(self.theme_button, 0, Qt.AlignmentFlag.AlignLeft)
        place.setContentsMargins(8, 0, 4, 0)
        foot.addWidget(place)
        column.addLayout(head)
        column.addWidget(self.navigation, 1)
        column.addLayout(foot)
        return side

    def _add_shortcuts(self) -> None:
        for number in range(len(self.kinds)):
            key = QShortcut(QKeySequence(f"Ctrl+{(number + 1) % 10}"), self)
            key.activated.connect(lambda row=number: self.navigation.setCurrentRow(row))
        for keys, does in (
            ("Esc", self._cancel),
            ("F5", self.session.refresh),
            ("Ctrl+R", self.session.refresh),
            ("Ctrl+T", self.next_theme),
            ("Ctrl+Q", self.close),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(does)

    @property
    def page(self) -> Page:
        return cast("Page", self.stack.currentWidget())

    def visit(self, name: str) -> Page:
        """Show the page of that name, as `train`."""
        self.navigation.setCurrentRow(self.kinds.index(pages[name]))
        return self.page

    def _visit_with(self, name: str, model: str) -> None:
        self.visit(name).prefer_model(model)

    def _show_row(self, row: int) -> None:
        kind = self.kinds[row]
        if kind not in self.made:
            self.made[kind] = kind(self.session)
            self.made[kind].visit.connect(self.visit)
            self.made[kind].visit_with.connect(self._visit_with)
            self.stack.addWidget(self.made[kind])
            self.made[kind].refresh()
        self.stack.setCurrentWidget(self.made[kind])

    def _cancel(self) -> None:
        self.page.cancel()

    def set_theme(self, name: ThemeName) -> None:
        self.theme_name = name
        self.settings.setValue("theme", name)
        theme.apply(cast("QApplication", QApplication.instance()), name)
        self._restyle()

    def next_theme(self) -> None:
        self.set_theme(THEMES[(THEMES.index(self.theme_name) + 1) % len(THEMES)])

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() in RESTYLED and hasattr(self, "navigation"):
            self._restyle()

    def _restyle(self) -> None:
        chosen = colors()
        for row, kind in enumerate(self.kinds):
            self.navigation.item(row).setIcon(icon(kind.icon, chosen.muted, chosen.accent))
        self.theme_button.set_icon(THEME_ICONS[self.theme_name])
        self.theme_button.setText(f" {self.theme_name.capitalize()} theme")
        self.theme_button.setToolTip("Change the theme (Ctrl+T)")

    def _restore(self) -> None:
        self.resize(SIZE)
        geometry = self.settings.value("geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        self._restyle()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        self.settings.setValue("geometry", self.saveGeometry())
        self.hide()  # first, so that nobody watches a window that waits for its children
        stop_all(self.findChildren(Runner))
        super().closeEvent(event)
