"""Tokens that let pages of other sites bring the records of one model, and of no other.

They lie in the workspace's `keys/ingest.json`, one a package and the model it serves, so that the
same package gives the same bundle again. Whoever sees a page can read its token. It tells which
page's records come in, so that they can be limited and turned away; it does not prove them true.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from edge_targets.runtime.contract import Wire
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import UnknownNameError
from toolkit.telemetry.durable import locked
from toolkit.workspace import Workspace

BYTES = 24  # of chance in a token: nobody finds one by trying


@dataclass(frozen=True)
class Token(Wire):
    """What a page brings.

    Attributes:
        package: whose bundles it lies in.
        model: the name whose records it lets in.
        word: the token itself.
    """

    package: str
    model: str
    word: str


def _tokens(values: Sequence[Mapping[str, Any]]) -> tuple[Token, ...]:
    return tuple(Token.from_json(value) for value in values)


@dataclass(frozen=True)
class _File(Wire):
    nested: ClassVar = {"tokens": _tokens}
    versioned: ClassVar = True

    tokens: tuple[Token, ...] = ()


def file_of(shelves: Workspace) -> Path:
    return shelves.key_file.parent / "ingest.json"


def token_for(shelves: Workspace, package: str) -> str:
    """The token of a package's bundles, made the first time it is asked for.

    Raises:
        UnknownNameError: there is no such package.
        StorageError: it could not be kept.
    """
    model = shelves.get("packages", package).facts["served_as"]
    file = file_of(shelves)
    with storing(file):
        file.parent.mkdir(mode=0o700, exist_ok=True)
    with storing(file), locked(file.with_suffix(".lock")):
        kept = _read(file)
        for token in kept.tokens:
            if (token.package, token.model) == (package, model):
                return token.word
        made = Token(package, model, secrets.token_urlsafe(BYTES))
        _write(file, replace(kept, tokens=(*kept.tokens, made)))
    return made.word


def tokens(shelves: Workspace) -> tuple[Token, ...]:
    """All that are valid."""
    return _read(file_of(shelves)).tokens


def remove(shelves: Workspace, package: str) -> tuple[Token, ...]:
    """Take a package's tokens back: what its pages bring from now on is refused.

    Raises:
        UnknownNameError: it has none.
    """
    file = file_of(shelves)
    known = sorted({token.package for token in tokens(shelves)})
    if package not in known:
        raise UnknownNameError("package with a token", package, known)
    with storing(file), locked(file.with_suffix(".lock")):
        kept = _read(file)
        gone = tuple(token for token in kept.tokens if token.package == package)
        left = tuple(token for token in kept.tokens if token.package != package)
        _write(file, replace(kept, tokens=left))
    return gone


def valid(file: Path, word: str) -> Token | None:
    """The token that says `word`, if one does.

    The file is read anew each time, so that one that was taken back is refused at once; the time
    tells nothing of how much of a wrong word is right.
    """
    brought = word.encode()
    found = None
    for token in _read(file).tokens:
        if hmac.compare_digest(token.word.encode(), brought):
            found = token
    return found


def _read(file: Path) -> _File:
    try:
        return _File.parse(file.read_bytes())
    except FileNotFoundError:
        return _File()


def _write(file: Path, kept: _File) -> None:
    replace_file(file, kept.dump().encode(), 0o600)
