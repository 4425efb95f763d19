"""One candidate of a search: its figures, and the button that builds it."""

from gui import wording
from gui.models import Row
from gui.pages.base import Page, Result
from gui.panels.compiling import tell_failed
from gui.session import Command
from gui.widgets.badge import Badge
from gui.widgets.card import Card
from gui.widgets.command import Incomplete
from gui.widgets.figures import Figures
from gui.widgets.text import Elided, label
from toolkit.formats import formats


def format_of(candidate: Row) -> str:
    """The file format of its runtime, such as `tflite x1`; "" when that names none."""
    first = str(candidate.get("runtime") or "").partition(" ")[0]
    return first if first in formats.names() else ""


class CandidateCard(Card):
    """Hidden until one is selected in the plot or in the table."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self.candidate: Row | None = None
        self.name = Elided("", "heading")
        self.state = Badge()
        self.recipe = label("", "muted", wrap=True)
        self.figures = Figures()
        self.built = Elided("", "muted")
        self.build = page.action("Build", "hammer", self.command, self._built)
        self.header.addWidget(self.name, 1)
        self.header.addWidget(self.state)
        self.body.addLayout(self.header)
        for part in (self.recipe, self.figures, self.build, self.built):
            self.add(part)
        self.built.hide()
        self.hide()

    def command(self) -> Command:
        if not self.candidate or not self.candidate.get("model"):
            raise Incomplete("Choose a candidate that was kept in the workspace.")
        chosen = format_of(self.candidate)
        return ("build", str(self.candidate["model"]), *(("--format", chosen) if chosen else ()))

    def show_candidate(self, candidate: Row | None) -> None:
        if (
            candidate is None
            or self.candidate is None
            or (candidate.get("trial") != self.candidate.get("trial"))
        ):
            self.built.hide()
        self.candidate = candidate
        self.setVisible(candidate is not None)
        self.build.refresh()
        if candidate is None:
            return
        fits = bool(candidate.get("fits"))
        self.name.setText(f"Trial {candidate.get('trial')}: {candidate.get('model') or 'not kept'}")
        self.state.show_state("Fits" if fits else "Over budget", "good" if fits else "muted")
        self.recipe.setText(str(candidate.get("recipe") or "No passes"))
        low, high = (wording.points(candidate.get(key)) for key in ("drop_low", "drop_high"))
        self.figures.show_figures(
            [
                ("Lost, points", wording.points(candidate.get("drop")), f"{low} to {high}", None),
                ("Size", wording.size(candidate.get("size_bytes")), "", None),
                (
                    "Latency",
                    wording.milliseconds(candidate.get("latency_ms")),
                    str(candidate.get("latency_source") or ""),
                    None,
                ),
                ("Memory", wording.size(candidate.get("ram_bytes")), "", None),
                ("Runtime", str(candidate.get("runtime") or wording.NOTHING), "", None),
            ]
        )

    def refresh(self) -> None:
        self.build.refresh()

    def _built(self, result: Result) -> None:
        made = [str(row.get("name")) for row in result.get("artifacts", ())]
        self.built.setText(f"Built {', '.join(made)}: listed on the page Build.")
        self.built.show()
        tell_failed(self._page, result)
