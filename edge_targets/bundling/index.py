"""`bundle.json`: what is in a bundle, file by file, and its signature."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edge_targets.package import SigningKey, signature_of
from edge_targets.runtime.contract import SCHEMA

INDEX = "bundle.json"  # also tells which files of a folder are ours
SIGNED = "bundle.sig"


def write_index(folder: Path, content: Mapping[str, Any], key: SigningKey) -> None:
    text = json.dumps({"schema": SCHEMA, **content}, indent=1, sort_keys=True) + "\n"
    (folder / INDEX).write_text(text)
    (folder / SIGNED).write_bytes(signature_of(key, text.encode()))


def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of the bundle in a folder; None when there is none that we wrote.

    Raises:
        OSError: the folder may not be read.
    """
    try:
        found = json.loads((folder / INDEX).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    kinds = {"schema": int, "model": str, "version": str, "files": dict}
    ours = isinstance(found, dict) and all(isinstance(found.get(k), t) for k, t in kinds.items())
    return found if ours and found["schema"] == SCHEMA else None


def names_in(index: Mapping[str, Any] | None) -> Collection[str]:
    """The paths of all that the bundle with this index brought; without an index none."""
    if index is None:
        return ()
    beside = index.get("beside", ())  # version 0.4 wrote none
    known = [name for name in beside if isinstance(name, str)] if isinstance(beside, list) else []
    return {INDEX, SIGNED, *index["files"], *known}
