"""Models made elsewhere: import one, look into it, hold it against another."""

from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent

from gui.pages.base import Page
from gui.panels.base import Panel
from gui.panels.compare import ComparePanel
from gui.panels.graph import GraphPanel
from gui.panels.importing import ImportPanel
from gui.session import Session
from gui.widgets.choice import Choice
from gui.widgets.drop import dropped_file
from gui.widgets.segments import Segments
from gui.widgets.text import label

PARTS = ("Import", "Graph", "Compare")
MODEL = 260  # pixels


class Models(Page):
    """Parts of which one is shown; they share the model and the one job of the page."""

    title = "Models"
    icon = "diagram-project"
    order = 25

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.panels: tuple[Panel, ...] = ()
        self.segments = Segments("What to do with models", PARTS)
        self.model = Choice("Model", "No models yet: import one")
        self.model.setFixedWidth(MODEL)
        self.importing = ImportPanel(self, self.model)
        self.graph = GraphPanel(self, self.model)
        self.compare = ComparePanel(self, self.model)
        self.panels = (self.importing, self.graph, self.compare)
        words = label("Model", "muted")
        words.setBuddy(self.model)
        self._of_graph = (words, self.model)
        self.header.insertSpacing(1, 8)
        self.header.insertWidget(2, self.segments)
        self.header.addWidget(words)
        self.header.addWidget(self.model)
        for number, panel in enumerate(self.panels):
            self.body.addWidget(panel, 1)
            self.footer.insertWidget(number, panel.main)
            panel.main.triggered.connect(panel.look)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.segments.currentChanged.connect(self._show_part)
        self.importing.onward.connect(self._go_on)
        self.graph.begin.clicked.connect(lambda: self.segments.setCurrentIndex(0))
        self.setAcceptDrops(True)
        self._show_part(0)

    def _show_part(self, chosen: int) -> None:
        for number, panel in enumerate(self.panels):
            panel.setVisible(number == chosen)
            panel.main.setVisible(number == chosen)
        for widget in self._of_graph:
            widget.setVisible(self.panels[chosen] is self.graph)

    def prefer_model(self, name: str) -> None:
        self.model.prefer(name)

    def refresh(self) -> None:
        self.model.offer(self.session.names("models"))
        for panel in self.panels:
            panel.refresh()
        self.refresh_commands()

    def _go_on(self, place: str, name: str) -> None:
        """To another part or page, with the model that was just imported."""
        if place == "graph":
            self.model.prefer(name)
            self.segments.setCurrentIndex(self.panels.index(self.graph))
        else:
            self.visit_with.emit(place, name)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """A model file may be dropped anywhere on the page."""
        if dropped_file(event.mimeData()):
            event.acceptProposedAction()
            self.importing.file.drop.invite(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        self.importing.file.drop.invite(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self.importing.file.drop.invite(False)
        path = dropped_file(event.mimeData())
        if path:
            event.acceptProposedAction()
            self.segments.setCurrentIndex(self.panels.index(self.importing))
            self.importing.file.drop.take(path)

    def _choose_model(self) -> None:
        self.refresh_commands()
        self.graph.wish()

    def refresh_commands(self) -> None:
        for panel in self.panels:
            panel.propose()
        super().refresh_commands()
