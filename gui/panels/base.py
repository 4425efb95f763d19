"""What a panel is: a form on the left, results on the right, and one command at the foot."""

from abc import abstractmethod
from typing import ClassVar

from gui.pages.base import Page
from gui.widgets.choice import Choice
from gui.widgets.columns import LEFT, Columns
from gui.widgets.command import Action, Incomplete


class Panel(Columns):
    """One part of `page`, whose job it runs. `model` is chosen once for all parts."""

    main: Action  # the command that this part is for
    wide: ClassVar[int] = LEFT  # pixels of the column that keeps its width
    flipped: ClassVar[bool] = False  # results first, what is asked or told of them beside

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(self.wide, flipped=self.flipped)
        self.page, self.session, self.model = page, page.session, model

    def look(self) -> None:
        """Show what comes of the command that has just begun."""
        if self.narrow:
            self.page.reveal(self.results)

    def prefer_data(self, name: str) -> None:
        """Propose the dataset that the model learned from."""

    @abstractmethod
    def refresh(self) -> None:
        """Show what is in the workspace now."""

    def propose(self) -> None:
        """Suggest names for what would be made, before the commands are read again."""

    def chosen_model(self) -> str:
        if not self.model.chosen:
            raise Incomplete("Train or import a model first.")
        return self.model.chosen


def chosen_data(data: Choice) -> str:
    if not data.chosen:
        raise Incomplete("Add data first, on the page Train.")
    return data.chosen
