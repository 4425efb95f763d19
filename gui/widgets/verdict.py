"""What the quality gate said, and why; with the classes and slices it looked at."""

from gui import wording
from gui.models import Column, Row
from gui.widgets.badge import Badge
from gui.widgets.buttons import Button
from gui.widgets.card import Card
from gui.widgets.empty import Empty
from gui.widgets.figures import Figure, Figures
from gui.widgets.table import Table
from gui.widgets.text import label

GROUPS = (
    Column("group", "Class or slice", value=lambda row: group_name(row), stretch=3),
    Column("items", "Items", "count", stretch=1),
    Column("before", "Before", "percent", stretch=1),
    Column("after", "After", "percent", stretch=1),
    Column("drop", "Lost, points", "points", stretch=1),
    Column("low", "Surely above", "points", stretch=1),
    Column("state", "Gate", "state", value=lambda row: group_state(row), sample="Too much"),
)


def group_name(row: Row) -> str:
    return f"{row.get('kind', '')} {row.get('group', '')}".strip()


def group_state(row: Row) -> str:
    return "held" if row.get("passed") else "too much"


def bound_figures(verdict: Row) -> list[Figure]:
    """The drop, what it is surely below, what was allowed, and on how many items."""
    passed = bool(verdict.get("passed"))
    sure = f"with {100 * float(verdict.get('confidence') or 0):g}{wording.NARROW}% confidence"
    needed = verdict.get("items_needed")
    more = f"{wording.count(needed)} would prove it" if needed else ""
    return [
        ("Lost, points", wording.points(verdict.get("drop")), "", None),
        ("Surely below", wording.points(verdict.get("bound")), sure, "good" if passed else "bad"),
        ("Allowed", wording.points(verdict.get("max_drop")), "", None),
        ("Unseen items", wording.count(verdict.get("items")), more, None),
    ]


class VerdictCard(Card):
    """Hidden until there is a verdict."""

    def __init__(self) -> None:
        super().__init__("Quality gate")
        self.badge = Badge()
        self.header.addWidget(self.badge)
        self.reason = label("", wrap=True)
        self.figures = Figures()
        self.more = Button("Classes and slices", "chevron-down", "quiet")
        self.more.setCheckable(True)
        self.groups = Table(
            "Classes and slices", GROUPS, Empty("layer-group", "No groups", ""), sortable=False
        )
        self.more.toggled.connect(self._unfold)
        self.header.insertWidget(self.header.count() - 1, self.more)
        for part in (self.reason, self.figures, self.groups):
            self.add(part)
        self.groups.hide()
        self.hide()

    def _unfold(self, on: bool) -> None:
        self.groups.setVisible(on)
        self.more.set_icon("chevron-up" if on else "chevron-down")

    def show_verdict(self, verdict: Row | None) -> None:
        self.setVisible(verdict is not None)
        if verdict is None:
            return
        passed, groups = bool(verdict.get("passed")), list(verdict.get("groups") or ())
        refused = [row for row in groups if not row.get("passed")]
        self.badge.show_state("Passed" if passed else "Refused", "good" if passed else "bad")
        self.reason.setText(wording.sentence(str(verdict.get("reason", ""))))
        self.figures.show_figures(bound_figures(verdict))
        self.groups.fill(groups)
        self.groups.fit(5)
        self.more.setVisible(bool(groups))
        self.more.setText(f"{len(groups)} classes and slices")
        self.more.setChecked(bool(refused))
