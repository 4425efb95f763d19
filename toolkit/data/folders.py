"""What lies in a folder, as a person sees it."""

from pathlib import Path


def visible(folder: Path) -> list[Path]:
    """What is in a folder, by name, without what file managers hide there."""
    return sorted(inner for inner in folder.iterdir() if not inner.name.startswith("."))
