"""Models made elsewhere: import one, look into it, hold it against another."""

from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent

from gui.panels.compare import ComparePanel
from gui.panels.graph import GraphPanel
from gui.panels.importing import ImportPanel
from gui.panels.parts import PartsPage
from gui.session import Session
from gui.widgets.drop import dropped_file

PARTS = ("Import", "Graph", "Compare")


class Models(PartsPage):
    """Takes a model file that is dropped anywhere on it."""

    title = "Models"
    icon = "diagram-project"
    order = 25

    def __init__(self, session: Session) -> None:
        super().__init__(session, "What to do with models", PARTS, "No models yet: import one")
        self.importing = ImportPanel(self, self.model)
        self.graph = GraphPanel(self, self.model)
        self.compare = ComparePanel(self, self.model)
        self.lay_out_parts(self.importing, self.graph, self.compare)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.importing.onward.connect(self._go_on)
        self.graph.begin.clicked.connect(lambda: self.segments.setCurrentIndex(0))
        self.setAcceptDrops(True)

    def show_part(self, chosen: int) -> None:
        super().show_part(chosen)
        for widget in self.model_row:
            widget.setVisible(self.panels[chosen] is self.graph)

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
