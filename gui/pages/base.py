"""What a page is: a place in the navigation, a form, the commands it runs and what came of them."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from edge_targets.runtime.errors import EdgeError
from gui.runner import Runner, stop_all
from gui.session import Asker, Command, Session
from gui.widgets.banner import Banner
from gui.widgets.command import Action
from gui.widgets.job_bar import JobBar
from gui.widgets.service import Service
from gui.widgets.text import label

MARGIN = 24  # pixels around a page
BAR = 10  # pixels: the width of a scroll bar in our style
HEADER = 30  # pixels: as tall with tools beside the title as without
Result = dict[str, Any]
Then = Callable[[Result], object]


class Page(QWidget):
    """Base of all pages. `title`, `icon` and `order` place it in the navigation.

    A page shows nothing before its first `refresh`. It runs one job at a time (`self.runner`)
    and asks short questions beside it (`self.ask`); problems of both are shown in its banner.
    """

    title: ClassVar[str]
    icon: ClassVar[str]
    order: ClassVar[int]
    scrolls: ClassVar[bool] = True  # false for a page that always fills the window
    visit = Signal(str)  # the name of another page, to go on there
    visit_with = Signal(str, str)  # likewise, with the name of a model that it shall choose

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.runner = session.runner(self)
        self.actions_of_page: list[Action] = []
        self.services: list[Service] = []
        self.asker = Asker(session, self)
        self.banner = Banner()
        self.job_bar = JobBar(self.runner)
        self._queue: list[Command] = []
        self._then: Then = lambda _result: None
        self._lay_out()
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)
        self.runner.cancelled.connect(self._stop)
        self.runner.running_changed.connect(self._show_busy)
        self.asker.failed.connect(self.banner.show_problem)
        session.changed.connect(self.refresh)

    def _lay_out(self) -> None:
        self.header = QHBoxLayout()
        self.header.setSpacing(10)
        title = label(self.title, "title")
        title.setMinimumHeight(HEADER)
        self.header.addWidget(title)
        self.header.addStretch()
        self.inside = inside = QWidget()
        inside.setObjectName("body")
        self.body = QVBoxLayout(inside)
        self.body.setContentsMargins(0, 0, BAR, 0)
        self.body.setSpacing(14)
        self.footer, above = QVBoxLayout(), QVBoxLayout()
        for part in (self.footer, above):
            part.setContentsMargins(0, 0, BAR, 0)
            part.setSpacing(14)
        self.footer.addWidget(self.job_bar)
        above.addLayout(self.header)
        above.addWidget(self.banner)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 18, MARGIN - BAR, 18)
        column.setSpacing(14)
        column.addLayout(above)
        column.addWidget(self._scroll(inside) if self.scrolls else inside, 1)
        column.addLayout(self.footer)

    def _scroll(self, inside: QWidget) -> QScrollArea:
        self.area = area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # the bar appears in the page's margin, and what it scrolls keeps its width
        area.verticalScrollBar().rangeChanged.connect(
            lambda _low, high: self.body.setContentsMargins(0, 0, 0 if high else BAR, 0)
        )
        return area

    def reveal(self, widget: QWidget) -> None:
        """Scroll to the top of `widget`."""
        top = widget.mapTo(self.inside, QPoint(0, 0)).y()
        self.area.verticalScrollBar().setValue(top)

    @abstractmethod
    def refresh(self) -> None:
        """Show what is in the workspace now; called whenever that has changed."""

    def prefer_model(self, name: str) -> None:
        """Choose this model, on a page that is about one."""

    def action(
        self,
        text: str,
        icon_name: str,
        commands: Callable[[], Command | tuple[Command, ...]],
        then: Then,
        *,
        primary: bool = False,
        prepare: Callable[[], object] = lambda: None,
        lent: Callable[[], Mapping[str, str]] = dict,
    ) -> Action:
        """A button with its command; `then` gets the result of the last of its commands.

        `prepare` makes what the command needs, before it is run and when it is copied; what is
        `lent` is in its environment.
        """

        def ready() -> bool:
            try:
                prepare()
            except EdgeError as error:
                self.banner.show_problem(str(error), error.hint)
                return False
            return True

        def go(asked: tuple[Command, ...]) -> None:
            if ready():
                self.run(asked, then, lent())

        made = Action(self.session, text, icon_name, commands, primary=primary)
        made.triggered.connect(go)
        made.line.copied.connect(ready)
        self.actions_of_page.append(made)
        return made

    def service(self, text: str, icon_name: str, command: Callable[[], Command]) -> Service:
        made = Service(self.session, text, icon_name, command)
        made.failed.connect(self.banner.show_problem)
        self.services.append(made)
        return made

    def refresh_commands(self) -> None:
        """Read the forms again; connected to whatever in a page can change."""
        for action in self.actions_of_page:
            action.refresh()
        for service in self.services:
            service.refresh()

    def run(
        self, commands: Sequence[Command], then: Then, lent: Mapping[str, str] | None = None
    ) -> None:
        """Run `commands` one after another; the first that fails ends the line.

        What is `lent` is in their environment: secrets, which no command line may show.
        """
        if self.runner.running:
            return
        self.banner.hide()
        self._queue, self._then = list(commands), then
        self.runner.lend(lent or {})
        self._run_next()

    def ask(self, answered: Then, *commands: Command) -> None:
        """Ask short questions beside the job; `answered` gets the result of each."""
        if self.session.exists:
            self.asker.ask(answered, *commands)

    def cancel(self) -> None:
        self.runner.cancel()

    def _run_next(self) -> None:
        self.runner.start(self.session.driven(self._queue.pop(0)))

    def _finish(self, result: Result) -> None:
        if self._queue:
            self._run_next()
            return
        self._then(result)
        self.session.refresh()

    def _fail(self, message: str, hint: str) -> None:
        self._queue.clear()
        self.banner.show_problem(message, hint)
        self.session.refresh()

    def _stop(self) -> None:
        self._queue.clear()
        self.session.refresh()

    def _show_busy(self, busy: bool) -> None:
        for action in self.actions_of_page:
            action.set_busy(busy)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        stop_all(self.findChildren(Runner))
        super().closeEvent(event)
