"""Passes in order, written down in a TOML file that can be kept and shared.

```toml
[[pass]]
name = "prune_channels"
ratio = 0.5

[[pass]]
name = "quantize_int8"
```
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from edge_targets.runtime.errors import RecipeError, UnknownNameError
from edge_targets.runtime.events import Job
from toolkit.model import Model
from toolkit.parameters import checked
from toolkit.passes import Pass, passes


@dataclass(frozen=True)
class Recipe:
    """What is done to a model, one pass after another."""

    steps: tuple[Pass, ...]

    def resolved(self, find: Callable[[str], Model]) -> "Recipe":
        """With the saved models that the passes name."""
        return Recipe(tuple(step.resolved(find) for step in self.steps))

    def apply(
        self,
        model: Model,
        job: Job,
        each: Callable[[Pass, Model], object] = lambda step, model: None,
    ) -> Model:
        """The model after every pass; `each` sees the result of one."""
        for step in self.steps:
            model = step.apply(model, job)
            each(step, model)
        return model

    def to_toml(self) -> str:
        rows = [{"name": passes.name_of(s), **s.model_dump(mode="json")} for s in self.steps]
        return tomli_w.dumps({"pass": rows})

    @classmethod
    def of_names(cls, names: str) -> "Recipe":
        """From `first,second`, each with its defaults."""
        return cls(tuple(passes[name.strip()]() for name in names.split(",")))

    @classmethod
    def from_file(cls, file: Path) -> "Recipe":
        try:
            data = tomllib.loads(file.read_text("utf-8"))
        except FileNotFoundError as error:
            raise RecipeError(f"{file} is not there.", "Check the path.") from error
        except OSError as error:
            raise RecipeError(
                f"{file} cannot be read: {error.strerror}.", "Name a TOML file of passes."
            ) from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(f"{file} is not TOML: {error}.", "See docs/recipes.md.") from error
        rows = data.get("pass")
        if not isinstance(rows, list) or not rows or set(data) - {"pass"}:
            raise RecipeError(
                f"{file}: expected one or more [[pass]] tables and nothing else.",
                'Begin with [[pass]] and, below it, name = "quantize_int8".',
            )
        return cls(tuple(step_from(row, f"{file}, pass {i}") for i, row in enumerate(rows, 1)))


def step_from(row: Any, where: str) -> Pass:
    values = dict(row) if isinstance(row, dict) else {}
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError(f"{where}: it has no name.", f"Known: {', '.join(passes.names())}.")
    try:
        cls = passes[name]
    except UnknownNameError as error:
        raise RecipeError(f"{where}: {error}", error.hint) from error
    return checked(cls, values, f"{where}, {name}")
