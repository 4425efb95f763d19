"""A function of the user's own that has the last word on answers.

It is a stranger's code: whatever it fails at is told, and the plain answers stand.
"""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from edge_targets.runtime.contract import Tensor
from edge_targets.runtime.errors import DataError

Answers = list[dict[str, Any]]
KINDS: Mapping[str, Any] = {
    "label": str,
    "confidence": (int, float),
    "abstained": bool,
}  # what every page reads


class After:
    """Calls `module:function(answers, outputs)`, which gives one answer an item, fit for JSON.

    `answers` have what the model says: `label`, `confidence` and `abstained` of a classifier.
    Other fields it adds go to the page as they are. `outputs` hold their numbers during the call.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._function: Callable[[Answers, Mapping[str, Tensor]], Any] | None = None

    def __call__(self, answers: Answers, outputs: Mapping[str, Tensor]) -> tuple[Answers, str]:
        """The answers, and why they are the plain ones: empty where it had its say."""
        try:
            if self._function is None:
                module, _, name = self.name.partition(":")
                self._function = getattr(importlib.import_module(module), name)
            copies = [dict(answer) for answer in answers]
            return checked(self._function(copies, outputs), len(answers)), ""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the page goes on
            told = str(error) or "it says no more"
            return answers, f"{self.name} failed: {type(error).__name__}: {told}"


def checked(given: Any, count: int) -> Answers:
    """Raises DataError: what was given are not so many answers."""
    if not isinstance(given, list) or len(given) != count:
        found = f"{len(given)} answers" if isinstance(given, list) else type(given).__name__
        raise DataError(f"it gave {found} for {count} items", "Return a list with one an item.")
    for answer in given:
        if not isinstance(answer, dict) or not all(isinstance(name, str) for name in answer):
            raise DataError("an answer is no dictionary with names", "Return what you were given.")
        for name, kind in KINDS.items():
            if name in answer and not isinstance(answer[name], kind):
                raise DataError(f"{name} is {answer[name]!r}", "Leave it as it is, or drop it.")
    json.dumps(given, allow_nan=False)
    return given
