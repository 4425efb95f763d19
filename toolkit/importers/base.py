"""What an importer is: it reads somebody else's model file into a graph of ours."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.model import Model


class Importer(ABC):
    """Reads one kind of file; nothing it reads is ever executed as code."""

    title: ClassVar[str]

    @classmethod
    @abstractmethod
    def accepts(cls, head: bytes) -> bool:
        """Whether a file that begins with `head` (4 KiB) is of this kind."""

    @abstractmethod
    def read(self, file: Path, job: Job) -> Model:
        """The model in `file`.

        Raises:
            IntegrityError: the file is damaged.
            UnsupportedError: names the operator or input that cannot be taken over.
        """


def labelled(signature: Signature) -> Signature:
    """A single (batch, classes) output is taken for class scores, numbered from 0."""
    output = signature.outputs[0]
    if len(signature.outputs) != 1 or len(output.shape) != 2 or output.shape[1] < 2:
        return signature
    return Signature(
        signature.inputs, signature.outputs, tuple(str(i) for i in range(output.shape[1]))
    )
