"""The packages that a page is about, by the target they are for."""

from collections.abc import Callable, Mapping
from typing import Any

from gui.pages.base import Page, Result
from gui.widgets.choice import Choice


class Packages:
    """Keeps a choice filled with packages; one whose target is not known yet is offered too."""

    def __init__(self, page: Page, choice: Choice, fits: Callable[[str], bool]) -> None:
        self._page, self._choice, self._fits = page, choice, fits
        self._target_of: dict[str, str] = {}  # by digest

    def refresh(self) -> None:
        self._offer()
        unknown = [
            ("show", f"packages/{item['name']}")
            for item in self._found()
            if str(item["digest"]) not in self._target_of
        ]
        self._page.ask(self._take, *unknown)

    def _found(self) -> list[Mapping[str, Any]]:
        return [item for item in self._page.session.items if item.get("kind") == "packages"]

    def _offer(self) -> None:
        targets = [(str(item["name"]), str(item["digest"])) for item in self._found()]
        known = self._target_of
        self._choice.offer([n for n, digest in targets if self._fits(known.get(digest, ""))])
        self._page.refresh_commands()

    def _take(self, result: Result) -> None:
        lineage = result.get("lineage") or [{}]
        target = (result.get("facts") or {}).get("target", "")
        self._target_of[str(lineage[0].get("digest"))] = str(target)
        self._offer()
