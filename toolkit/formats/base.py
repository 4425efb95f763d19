"""What a format is: a way to write a finished model file."""

from abc import ABC, abstractmethod
from typing import ClassVar

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job


class Format(ABC):
    """Compiles an ONNX graph into the bytes of one file."""

    title: ClassVar[str]
    suffix: ClassVar[str]

    @abstractmethod
    def build(self, graph: bytes, signature: Signature, job: Job) -> bytes:
        """The file for `graph`, an ONNX model with a free batch dimension.

        The file keeps the names, shapes and dtypes of the signature.

        Raises:
            UnsupportedError: the format has no counterpart for an operator of the graph.
        """
