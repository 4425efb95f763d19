"""The graph of a model: every operator, how they hang together, and what is known of each."""

from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui import wording
from gui.models import Row
from gui.pages.base import Page, Result
from gui.panels.base import Panel
from gui.session import Command
from gui.widgets.buttons import Button, quiet
from gui.widgets.card import Card
from gui.widgets.choice import Choice
from gui.widgets.empty import Empty
from gui.widgets.facts import Facts, Section
from gui.widgets.graph_parts import KINDS, MOST, Graph, Vertex, graph_of
from gui.widgets.graph_view import STEP, GraphView
from gui.widgets.legend import Key
from gui.widgets.lineage import clear
from gui.widgets.rows import FIELD
from gui.widgets.search import Search
from gui.widgets.text import Elided, label

TALL = 380  # pixels: below it nothing of a graph can be seen
BUSY = ("Looking into it", "The graph is drawn as soon as it is known.")
NO_GRAPH = ("No graph yet", "Choose a model above: its operators are drawn here.")


class GraphPanel(Panel):
    """The drawing, and beside it the box that was chosen; drawn when the part is shown."""

    wide, flipped = 300, True

    def __init__(self, page: Page, model: Choice) -> None:
        super().__init__(page, model)
        self.graph = Graph()
        self._first = 0  # number of the first box that is drawn
        self._asked = ""  # the model that was asked for last, with its digest
        self.right.addWidget(self._graph_card(), 1)
        self.left.addWidget(self._details_card(), 1)
        self.main = page.action("Draw", "diagram-project", self.command, self._show, primary=True)
        self.view.chosen.connect(self._show_details)
        self.search.sought.connect(self._seek)
        self.search.shown.connect(self.look_at)
        page.runner.running_changed.connect(self._say_busy)
        self.show_graph(Graph())

    def _graph_card(self) -> Card:
        card = Card("Graph")
        card.header.addStrut(FIELD)
        self.view = GraphView()
        self.view.setMinimumHeight(TALL)
        self.begin = Button("Import a model", "file-import")
        self.empty = Empty("diagram-project", *NO_GRAPH, self.begin)
        self.empty.setMinimumHeight(TALL)
        self.search = Search("Name or operator", self)
        card.header.addWidget(self.search)
        self.tools = QWidget()
        row = QHBoxLayout(self.tools)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for icon, name, does in (
            ("magnifying-glass-minus", "Smaller (-)", lambda: self.view.zoom(1 / STEP)),
            ("magnifying-glass-plus", "Larger (+)", lambda: self.view.zoom(STEP)),
            ("expand", "Show all (0)", self.view.fit),
        ):
            button = quiet(icon, name)
            button.clicked.connect(does)
            row.addWidget(button)
        card.header.addWidget(self.tools)
        card.add(self.view, 1)
        card.add(self.empty, 1)
        card.add(self._part_row())
        self.legend = QHBoxLayout()
        self.legend.setSpacing(6)
        card.add(self.legend)
        return card

    def _part_row(self) -> QWidget:
        """Which part of a very large graph is drawn."""
        self.parts = QWidget()
        row = QHBoxLayout(self.parts)
        row.setContentsMargins(0, 0, 0, 0)
        self.part = Elided("", "muted")
        self.earlier = Button("Earlier", "chevron-up")
        self.later = Button("Later", "chevron-down")
        self.earlier.clicked.connect(lambda: self._draw(self._first - MOST))
        self.later.clicked.connect(lambda: self._draw(self._first + MOST))
        row.addWidget(self.part, 1)
        row.addWidget(self.earlier)
        row.addWidget(self.later)
        return self.parts

    def _details_card(self) -> Card:
        card = Card("Details")
        card.header.addStrut(FIELD)  # so that both titles are level
        self.nothing = Empty(
            "arrow-pointer", "Nothing chosen", "Click a box, or walk with the arrow keys."
        )
        self.facts = Facts("Details of the box")
        self.facts.setMinimumHeight(200)
        card.add(self.nothing, 1)
        card.add(self.facts, 1)
        return card

    def command(self) -> Command:
        return ("inspect", self.chosen_model(), "--graph")

    def refresh(self) -> None:
        self.begin.setVisible(not self.model.chosen)
        self.wish()

    def _say_busy(self, busy: bool) -> None:
        self.empty.say(*(BUSY if busy else NO_GRAPH))

    def wish(self) -> None:
        """Draw the model that is chosen, once, while this part is looked at."""
        wanted = f"{self.model.chosen} {self.session.digest('models', self.model.chosen)}"
        if not self.isVisible() or not self.model.chosen or wanted == self._asked:
            return
        if not self.page.runner.running:
            self._asked = wanted
            self.page.refresh_commands()
            self.main.trigger()

    def showEvent(self, event: object) -> None:  # noqa: N802
        super().showEvent(event)  # type: ignore[arg-type]
        self.wish()

    def _show(self, result: Result) -> None:
        self.view.setAccessibleName(f"Graph of {result.get('subject', '')}")
        self.show_graph(graph_of(result))

    def show_graph(self, graph: Graph) -> None:
        self.graph = graph
        drawn = bool(graph.vertices)
        for widget in (self.view, self.search, self.tools):
            widget.setVisible(drawn)
        self.empty.setVisible(not drawn)
        self.search.field.clear()
        self._show_legend()
        self._draw(0)
        self._show_details(-1)

    def _draw(self, first: int) -> None:
        """The boxes from `first` on, as many as are drawn at once."""
        many = len(self.graph.vertices)
        self._first = max(0, min(first, many - MOST))
        shown = self.graph.part(self._first)
        self.view.show_graph(shown)
        self.view.mark(self._hits_here())
        self.parts.setVisible(many > MOST)
        last = self._first + len(shown.vertices)
        start, end, whole = (wording.count(n) for n in (self._first + 1, last, many))
        self.part.setText(f"Boxes {start} to {end} of {whole} are drawn; search finds all.")
        self.earlier.setEnabled(self._first > 0)
        self.later.setEnabled(last < many)

    def _hits_here(self) -> list[int]:
        drawn = range(self._first, self._first + len(self.view.boxes))
        return [hit - self._first for hit in self.search.hits if hit in drawn]

    def _seek(self, words: str) -> None:
        self.search.show_hits(self.graph.hits(words))
        self.view.mark(self._hits_here())

    def look_at(self, number: int) -> None:
        """Go to a box of the whole graph."""
        if not self._first <= number < self._first + len(self.view.boxes):
            self._draw(number - MOST // 2)
        self.view.choose(number - self._first, centre=True)

    def _show_legend(self) -> None:
        clear(self.legend)
        used = {vertex.kind for vertex in self.graph.vertices if not vertex.end}
        for kind in (kind for kind in KINDS if kind in used):
            self.legend.addWidget(Key(KINDS[kind]))
            self.legend.addWidget(label(kind, "muted"))
            self.legend.addSpacing(6)
        self.legend.addStretch()

    def _show_details(self, number: int) -> None:
        known = number >= 0
        self.facts.setVisible(known)
        self.nothing.setVisible(not known)
        if known:
            self.facts.show_sections(sections_of(self.view.boxes[number].vertex))


def sections_of(vertex: Vertex) -> list[Section]:
    """All that is known of a box."""
    row: Row = vertex.row
    figures = [
        ("Shape", vertex.shape or wording.NOTHING),
        ("Type", str(row.get("dtype") or wording.NOTHING)),
    ]
    for key, title in (("unit", "Unit"), ("meaning", "Meaning")):
        if row.get(key):
            figures.append((title, str(row[key])))
    if row.get("parameters"):
        figures += [
            ("Parameters", wording.count(row["parameters"])),
            ("Bits of a weight", str(row.get("bits") or wording.NOTHING)),
            ("Size", wording.size(row.get("size_bytes"))),
        ]
    if row.get("macs"):
        figures.append(("MACs", wording.count(row["macs"])))
    attributes = [(str(k), str(v)) for k, v in (row.get("attributes") or {}).items()]
    lists = [
        (title, [("", str(value)) for value in row.get(key) or ()])
        for key, title in (("weights", "Weights"), ("inputs", "Reads"), ("outputs", "Makes"))
    ]
    return [(vertex.op, [("", vertex.name)]), ("", figures), ("Attributes", attributes), *lists]
