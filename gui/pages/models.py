"""Models made elsewhere: import one, look into it, hold it against another."""

from gui.pages.base import Page
from gui.panels.base import Panel
from gui.panels.importing import ImportPanel
from gui.session import Session
from gui.widgets.choice import Choice
from gui.widgets.segments import Segments
from gui.widgets.text import label

PARTS = ("Import",)
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
        self.panels = (self.importing,)
        words = label("Model", "muted")
        words.setBuddy(self.model)
        self.header.insertSpacing(1, 8)
        self.header.insertWidget(2, self.segments)
        self.header.addWidget(words)
        self.header.addWidget(self.model)
        for number, panel in enumerate(self.panels):
            self.body.addWidget(panel, 1)
            self.footer.insertWidget(number, panel.main)
            panel.main.triggered.connect(panel.look)
        self.model.currentIndexChanged.connect(self.refresh_commands)
        self.segments.currentChanged.connect(self._show_part)
        self._show_part(0)

    def _show_part(self, chosen: int) -> None:
        for number, panel in enumerate(self.panels):
            panel.setVisible(number == chosen)
            panel.main.setVisible(number == chosen)

    def refresh(self) -> None:
        for panel in self.panels:
            panel.refresh()
        self.model.offer(self.session.names("models"))
        self.refresh_commands()

    def refresh_commands(self) -> None:
        for panel in self.panels:
            panel.propose()
        super().refresh_commands()
