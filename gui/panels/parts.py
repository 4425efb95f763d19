"""A page of several parts, of which one is shown; they share the model and the page's one job."""

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from gui.pages.base import Page
from gui.panels.base import Panel
from gui.session import Session
from gui.widgets.choice import Choice
from gui.widgets.segments import Segments
from gui.widgets.text import label

MODEL = 260  # pixels


class PartsPage(Page):
    """The parts' names stand beside the title, the model's choice at the right.

    A page makes its panels in `__init__`, and then calls `lay_out_parts`.
    """

    def __init__(self, session: Session, name: str, parts: Sequence[str], nothing: str) -> None:
        super().__init__(session)
        self.panels: tuple[Panel, ...] = ()
        self.segments = Segments(name, parts)
        self.model = Choice("Model", nothing)
        self.model.setFixedWidth(MODEL)
        words = label("Model", "muted")
        words.setBuddy(self.model)
        self.model_row: tuple[QWidget, ...] = (words, self.model)

    def lay_out_parts(self, *panels: Panel) -> None:
        self.panels = panels
        self.header.insertSpacing(1, 8)
        self.header.insertWidget(2, self.segments)
        for widget in self.model_row:
            self.header.addWidget(widget)
        for number, panel in enumerate(panels):
            self.body.addWidget(panel, 1)
            self.footer.insertWidget(number, panel.main)
            panel.main.triggered.connect(panel.look)
        self.segments.currentChanged.connect(self.show_part)
        self.show_part(0)

    def show_part(self, chosen: int) -> None:
        for number, panel in enumerate(self.panels):
            panel.setVisible(number == chosen)
            panel.main.setVisible(number == chosen)

    def prefer_model(self, name: str) -> None:
        self.model.prefer(name)

    def refresh(self) -> None:
        self.model.offer(self.session.names("models"))
        for panel in self.panels:
            panel.refresh()
        self.refresh_commands()

    def refresh_commands(self) -> None:
        for panel in self.panels:
            panel.propose()
        super().refresh_commands()
