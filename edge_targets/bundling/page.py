"""The page of a bundle: its index.html says which bytes it takes, and what to fetch early."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from edge_targets.bundling.hosting import CONNECT, connecting
from edge_targets.runtime.errors import UnsupportedError

PAGE = "index.html"
OWN = ("page.js", "page.css")  # named by index.html itself
HEAD = "<!-- head -->"  # where index.html takes more
NEEDED = re.compile(r"""(?:\bfrom|\bimport)\s*["'](\./[^"']+)["']""")  # before a module runs
LATER = re.compile(r"""\bimport\s*\(\s*["'](\./[^"']+)["']\s*\)""")  # when it asks for it
STALE = "Run `make web` again."


def write_page(folder: Path, collectors: Sequence[str]) -> None:
    """Complete the page in `folder`, where all of its files lie.

    A module that is preloaded with a hash is refused when it has another, so the browser itself
    checks whatever the page can import. `collectors` are origins that telemetry goes to beside the
    page's own.
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
    needed = imported(folder, OWN[0], NEEDED)
    later = imported(folder, OWN[0], NEEDED, LATER) - needed
    links = [
        *(link(folder, name) for name in sorted(needed)),
        *(link(folder, name, ' fetchpriority="low"') for name in sorted(later)),
    ]
    text = text.replace(HEAD, "\n    ".join(links)).replace(CONNECT, connecting(*collectors))
    path.write_text(text)


def sri(file: Path) -> str:
    """Subresource Integrity (W3C): the hash as browsers compare it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()}"


def link(folder: Path, name: str, more: str = "") -> str:
    return f'<link rel="modulepreload" href="{name}" integrity="{sri(folder / name)}"{more} />'


def imported(folder: Path, first: str, *kinds: re.Pattern[str]) -> set[str]:
    """The modules in `folder` that a built module imports in these ways, and that those import."""
    found: set[str] = set()
    waiting = [first]
    while waiting:
        module = folder / waiting.pop()
        text = module.read_text()
        for path in (path for kind in kinds for path in kind.findall(text)):
            name = (module.parent / path).relative_to(folder).as_posix()
            if name != first and name not in found and (folder / name).is_file():
                found.add(name)
                waiting.append(name)
    return found
