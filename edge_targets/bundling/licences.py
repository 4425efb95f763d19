"""Under which licences the parts of a bundle are: only of those that are really in it."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import UnsupportedError

LICENCES = "licences.json"
TEXTS = "licences"


def write_licences(
    folder: Path, names: Collection[str], web: Path, more: Sequence[Mapping[str, Any]]
) -> None:
    """Write `licences.json` and the texts that it names.

    Args:
        folder: of the bundle.
        names: the paths in it.
        web: the built browser files, whose licences say which files each part is.
        more: parts that the user brought, whose texts lie in the bundle already.
    """
    try:
        parts = json.loads((web / LICENCES).read_bytes())["parts"]
        here = [part for part in parts if _within(part["files"], names)]
        texts = {part["text"] for part in here if part.get("text")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnsupportedError("The browser files have no licences.", "Run `make web`.") from error
    for text in texts:
        (folder / text).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(web / text, folder / text)
    content = {"schema": 1, "parts": [*here, *more]}
    (folder / LICENCES).write_text(json.dumps(content, indent=1) + "\n")


def _within(files: Sequence[str], names: Collection[str]) -> bool:
    """Whether any of these files, or of those in these folders, is there."""
    folders = tuple(file for file in files if file.endswith("/"))
    return any(name in files or name.startswith(folders) for name in names)
