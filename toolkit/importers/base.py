"""What an importer is: it reads somebody else's model file into a model of ours."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DataError
from edge_targets.runtime.events import Job
from toolkit.model import Model

HEAD = 4096  # bytes a file is recognised by
MOST_MEMBERS = 10_000  # of an archive: more names are no model
GIB = 1 << 30
ZIP = b"PK\x03\x04"  # how an archive with something in it begins


@dataclass(frozen=True)
class Source:
    """A file or folder, as far as its kind is told from its content and never from its name.

    Attributes:
        head: the first 4 KiB; empty for a folder.
        members: names inside, of a folder or of a zip archive; else empty.
        size: bytes; 0 for a folder.
    """

    path: Path
    head: bytes
    members: frozenset[str]
    size: int

    @classmethod
    def of(cls, path: Path) -> "Source":
        """Look at what is there.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            if path.is_dir():
                return cls(path, b"", frozenset(one.name for one in path.iterdir()), 0)
            if path.exists() and not path.is_file():  # to read a pipe would wait for ever
                raise DataError(f"{path} is not a regular file.", "Save the model as a file.")
            with path.open("rb") as stream:
                head = stream.read(HEAD)
            return cls(path, head, archive_members(path, head), path.stat().st_size)
        except OSError as error:
            raise DataError(
                f"{path} cannot be read: {error.strerror}.", "Check the path."
            ) from error


def archive_members(path: Path, head: bytes) -> frozenset[str]:
    """The names in a zip archive; none where it is no archive, or a damaged one."""
    if not head.startswith(ZIP):
        return frozenset()
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist()[:MOST_MEMBERS])
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return frozenset()


@dataclass(frozen=True)
class Given:
    """What the user says of a file that the file does not say itself.

    Attributes:
        trust: that the file may run code in this program, as a pickle does.
        shapes: of inputs whose sizes the file leaves free; batch first.
        network: of ours, for weights that come without their network; `words` are its parameters.
    """

    trust: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    network: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What an importer makes of a file.

    Attributes:
        layout: of pictures it takes: `NCHW`, `NHWC`, or empty where that is not known.
        opset: that the file was written in; 0 where it has none.
        metadata: what the file says of itself, key by key.
        notes: what the user should know: what was changed, guessed or left out.
        warnings: what the user should think about twice.
    """

    model: Model
    layout: str = ""
    opset: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Importer(ABC):
    """Reads one kind of file; nothing it reads is ever executed as code, unless it is trusted.

    It runs in a process of its own, which is stopped beyond `memory_bytes` or `time_s`.
    """

    title: ClassVar[str]
    reads: ClassVar[bool] = True  # False for a kind that is only told from others, and refused
    takes_network: ClassVar[bool] = False  # whether the user has to say which one it is for
    memory_bytes: ClassVar[int] = GIB
    time_s: ClassVar[float] = 300

    @classmethod
    @abstractmethod
    def accepts(cls, source: Source) -> bool:
        """Whether a file is of this kind, by its content."""

    @classmethod
    def weight_bytes(cls, source: Source) -> int:
        """Of the file and of what lies beside it and belongs to it: memory grows with that."""
        return source.size

    @abstractmethod
    def read(self, source: Source, given: Given, job: Job) -> Found:
        """The model in a file.

        Raises:
            IntegrityError: the file is damaged.
            UnsupportedError: names the operator or input that cannot be taken over.
        """


def labelled(signature: Signature) -> Signature:
    """A single (batch, classes) output is taken for class scores, numbered from 0.

    One of the input's own shape is not: that is what an autoencoder gives back.
    """
    output = signature.outputs[0]
    if len(signature.outputs) != 1 or len(output.shape) != 2 or output.shape[1] < 2:
        return signature
    if output.shape in [spec.shape for spec in signature.inputs]:
        return signature
    return Signature(
        signature.inputs, signature.outputs, tuple(str(i) for i in range(output.shape[1]))
    )


def layout_of(signature: Signature) -> str:
    """Where the channels of a single picture lie, where its shape tells: 1, 3 or 4 of them."""
    pictures = [spec.shape for spec in signature.inputs if len(spec.shape) == 4]
    if len(pictures) != 1:
        return ""
    _, first, _, last = pictures[0]
    few = {1, 3, 4}
    if (first in few) == (last in few):
        return ""
    return "NCHW" if first in few else "NHWC"
