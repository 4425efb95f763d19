"""What is inside a wheel, with nothing of it believed before it is checked (PEP 427).

A wheel is unpacked in every visitor's browser, so its names may not leave their folder, its size
must be bounded, and each byte must be the one that its record names.
"""

import base64
import csv
import email.message
import email.parser
import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from edge_targets.runtime.errors import IntegrityError, UnsupportedError

MAX_FILE = 128 << 20  # bytes of a wheel: a browser keeps all of it in memory
MAX_UNPACKED = 512 << 20  # bytes of what is in it
MAX_MEMBERS = 20_000
MAX_NAME = 255  # characters, of a path
COMPILED = (".so", ".pyd", ".dylib", ".dll")
WASM = b"\0asm"
LICENCES = ("licen", "copying", "notice", "authors")
MEND = "Get it again from where it was made."


@dataclass(frozen=True)
class Contents:
    """All that a wheel holds, by name."""

    title: str
    sha256: str
    members: Mapping[str, bytes]
    info: str  # name of its .dist-info folder

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises IntegrityError: it is damaged, or would write outside its folder."""
        try:
            if file.stat().st_size > MAX_FILE:
                raise IntegrityError(
                    f"{file.name} has more than {MAX_FILE >> 20} MB.", "It is too large for a page."
                )
            data = file.read_bytes()
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = _members(file.name, archive)
        except OSError as error:
            raise IntegrityError(
                f"{file} cannot be read: {error.strerror}.", "Give the path of a .whl file."
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
                ValueError) as error:  # fmt: skip
            raise IntegrityError(f"{file.name} is damaged: {error}.", MEND) from error
        folders = {name.partition("/")[0] for name in members}
        infos = [name for name in folders if name.endswith(".dist-info")]
        if len(infos) != 1:
            raise IntegrityError(f"{file.name} is no wheel: it has no .dist-info of its own.", MEND)
        found = cls(file.name, hashlib.sha256(data).hexdigest(), members, infos[0])
        found._check_record()
        return found

    def metadata(self) -> email.message.Message:
        return self._message("METADATA")

    def tags(self) -> set[str]:
        """As its own WHEEL file names them."""
        from packaging.tags import parse_tag

        told = self._message("WHEEL").get_all("Tag", [])
        try:
            return {str(tag) for text in told for tag in parse_tag(text)}
        except ValueError as error:
            raise IntegrityError(f"{self.title}: its WHEEL cannot be read.", MEND) from error

    def imports(self) -> tuple[str, ...]:
        """The names that Python finds at the top of it."""
        found = set()
        for name in self.members:
            first, slash, _ = name.partition("/")
            module = first if slash else first.partition(".")[0]
            code = slash or first.endswith((".py", *COMPILED))
            if code and module.isidentifier():
                found.add(module)
        return tuple(sorted(found))

    def texts(self) -> dict[str, bytes]:
        """Its licence files, by plain name."""
        texts = {}
        for name, data in self.members.items():
            path = PurePosixPath(name)
            if path.parts[0] == self.info and path.name.lower().startswith(LICENCES):
                texts[path.name] = data
        return texts

    def check_compiled(self, pure: bool) -> None:
        """Refuse machine code of another processor, and any where the name promises none."""
        for name, data in self.members.items():
            if not name.endswith(COMPILED):
                continue
            if pure:
                raise IntegrityError(
                    f"{self.title} says that it is pure Python, and holds {name}.",
                    "Have it built again; it is not what its name says.",
                )
            if not data.startswith(WASM):
                raise UnsupportedError(
                    f"{self.title}: {name} is not WebAssembly.", "Give the wheel built for Pyodide."
                )

    def _message(self, name: str) -> email.message.Message:
        data = self.members.get(f"{self.info}/{name}")
        if data is None:
            raise IntegrityError(f"{self.title} has no {name}.", MEND)
        return email.parser.BytesParser().parsebytes(data)

    def _check_record(self) -> None:
        """Every file has its hash in RECORD, but RECORD itself and what signs it."""
        record = f"{self.info}/RECORD"
        text = self.members.get(record, b"").decode("utf-8", "replace")
        told = {row[0]: row[1] for row in csv.reader(io.StringIO(text)) if len(row) >= 2}
        own = {record, f"{record}.jws", f"{record}.p7s"}
        for name, data in self.members.items():
            kind, _, digest = told.get(name, "").partition("=")
            if name not in own and (kind != "sha256" or digest != _coded(data)):
                raise IntegrityError(
                    f"{self.title}: {name} is not the file that its RECORD names.", MEND
                )
        if gone := sorted(set(told) - set(self.members)):
            raise IntegrityError(f"{self.title}: {gone[0]} is missing.", MEND)


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _members(title: str, archive: zipfile.ZipFile) -> dict[str, bytes]:
    listed = archive.infolist()
    if len(listed) > MAX_MEMBERS or sum(one.file_size for one in listed) > MAX_UNPACKED:
        raise IntegrityError(f"{title} holds more than a page can take.", "Use a smaller one.")
    members: dict[str, bytes] = {}
    for one in listed:
        if one.is_dir():
            continue
        _check_name(title, one)
        if one.filename in members:
            raise IntegrityError(f"{title} holds {one.filename} twice.", MEND)
        with archive.open(one) as file:
            data = file.read(one.file_size + 1)  # whatever its header says, no more than that
        if len(data) != one.file_size:
            raise IntegrityError(f"{title}: {one.filename} is larger than it says.", MEND)
        members[one.filename] = data
    return members


def _check_name(title: str, one: zipfile.ZipInfo) -> None:
    """Refuse what could land outside its folder: by its name, or by being a link."""
    name = one.filename
    parts = name.split("/")
    plain = name.isprintable() and len(name) <= MAX_NAME and not set(name) & set("\\:")
    kind = stat.S_IFMT(one.external_attr >> 16)
    if not plain or "" in parts or ".." in parts or "." in parts or kind not in (0, stat.S_IFREG):
        raise IntegrityError(
            f"{title}: a member is named {name[:80]!r}; that could write outside its folder.",
            "Do not use this file.",
        )
