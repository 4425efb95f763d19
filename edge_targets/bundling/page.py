"""The page of a bundle: its index.html says which bytes it takes, and what to fetch early."""

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from edge_targets.bundling.hosting import CONNECT, connecting
from edge_targets.runtime.errors import UnsupportedError

PAGE = "index.html"
OWN = ("page.js", "page.css")  # named by index.html itself
HEAD = "<!-- head -->"  # where index.html takes more
IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\./[^"']+)["']""")
STALE = "Run `make web` again."


def write_page(folder: Path, collector: str) -> None:
    """Complete the page in `folder`, where all of its files lie.

    A module that is preloaded with a hash is refused when it has another, so the browser itself
    checks whatever the page can import. `collector` is the origin that telemetry goes to; empty
    where it is the page's own.
    """
    path = folder / PAGE
    text = path.read_text()
    for name in OWN:
        text, found = re.subn(
            rf'((?:src|href)="{re.escape(name)}")', rf'\1 integrity="{sri(folder / name)}"', text
        )
        if found != 1:
            raise UnsupportedError(f"{PAGE} does not name {name} once.", STALE)
    if text.count(HEAD) != 1 or text.count(CONNECT) != 1:
        raise UnsupportedError(f"{PAGE} has no place for what a bundle adds.", STALE)
    links = [
        f'<link rel="modulepreload" href="{name}" integrity="{sri(folder / name)}" />'
        for name in sorted(imported(folder, OWN[0]))
    ]
    text = text.replace(HEAD, "\n    ".join(links)).replace(CONNECT, connecting(collector))
    path.write_text(text)


def sri(file: Path) -> str:
    """Subresource Integrity (W3C): the hash as browsers compare it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()}"


def imported(folder: Path, first: str) -> set[str]:
    """The modules in `folder` that a built module imports, now or later, and those import."""
    found: set[str] = set()
    waiting = [first]
    while waiting:
        for name in _imports(folder, waiting.pop()):
            if name != first and name not in found and (folder / name).is_file():
                found.add(name)
                waiting.append(name)
    return found


def _imports(folder: Path, module: str) -> Iterator[str]:
    for path in IMPORTED.findall((folder / module).read_text()):
        yield ((folder / module).parent / path).relative_to(folder).as_posix()
