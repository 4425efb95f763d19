"""Make a model smaller: by a recipe, by a search to a budget; and find what quantization breaks."""

from gui.pages.base import Result
from gui.panels.diagnose import DiagnosePanel
from gui.panels.parts import PartsPage
from gui.panels.recipe import RecipePanel
from gui.panels.search import SearchPanel
from gui.session import Asker, Session

PARTS = ("Recipe", "Search", "Diagnose")


class Compress(PartsPage):
    """By a recipe, by a search, or by mending what a diagnosis finds."""

    title = "Compress"
    icon = "compress"
    order = 30

    def __init__(self, session: Session) -> None:
        super().__init__(session, "Ways to compress", PARTS, "No models yet: train one")
        self.recipe = RecipePanel(self, self.model)
        self.search = SearchPanel(self, self.model)
        self.diagnose = DiagnosePanel(self, self.model)
        self.lay_out_parts(self.recipe, self.search, self.diagnose)
        self._learned: dict[str, str] = {}  # dataset by model
        self._learner = Asker(session, self)
        self.model.currentIndexChanged.connect(self._choose_model)

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
