"""Make a model smaller: by a recipe, by a search to a budget; and find what quantization breaks."""

from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.panels.diagnose import DiagnosePanel
from gui.panels.recipe import RecipePanel
from gui.panels.search import SearchPanel
from gui.session import Asker, Session
from gui.widgets.choice import Choice
from gui.widgets.segments import Segments
from gui.widgets.text import label

PARTS = ("Recipe", "Search", "Diagnose")
MODEL = 260  # pixels


class Compress(Page):
    """Three parts of which one is shown; they share the model and the one job of the page."""

    title = "Compress"
    icon = "compress"
    order = 30

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.panels: tuple[Panel, ...] = ()
        self.segments = Segments("Ways to compress", PARTS)
        self.model = Choice("Model", "No models yet: train one")
        self.model.setFixedWidth(MODEL)
        self.recipe = RecipePanel(self, self.model)
        self.search = SearchPanel(self, self.model)
        self.diagnose = DiagnosePanel(self, self.model)
        self.panels = (self.recipe, self.search, self.diagnose)
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
        self._learned: dict[str, str] = {}  # dataset by model
        self._learner = Asker(session, self)
        self.model.currentIndexChanged.connect(self._choose_model)
        self.segments.currentChanged.connect(self._show_part)
        self._show_part(0)

    def _show_part(self, chosen: int) -> None:
        for number, panel in enumerate(self.panels):
            panel.setVisible(number == chosen)
            panel.main.setVisible(number == chosen)

    def prefer_model(self, name: str) -> None:
        self.model.prefer(name)

    def refresh(self) -> None:
        for panel in self.panels:
            panel.refresh()
        self.model.offer(self.session.names("models"))
        self.refresh_commands()

    def _choose_model(self) -> None:
        """Ask what the model learned from, where that is a question."""
        name = self.model.chosen
        if name in self._learned:
            self._prefer_data(self._learned[name])
        elif name and len(self.session.names("datasets")) > 1:
            self._learner.ask(self._learn, ("show", f"models/{name}"))
        self.refresh_commands()

    def _learn(self, result: Result) -> None:
        made = [row for row in result.get("lineage") or () if row.get("kind") == "datasets"]
        if made:
            name = str(made[0].get("name", ""))
            self._learned[str(result.get("name", ""))] = name
            self._prefer_data(name)

    def _prefer_data(self, name: str) -> None:
        for panel in self.panels:
            panel.prefer_data(name)

    def refresh_commands(self) -> None:
        for panel in self.panels:
            panel.propose()
        super().refresh_commands()
