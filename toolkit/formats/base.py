"""What a format is: a way to write a finished model file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.onnx_graph import OPSET

if TYPE_CHECKING:
    from torch import nn

Samples = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Written:
    """A finished file, and what the user should know of how it came about."""

    data: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What is asked of a file beside its format.

    Attributes:
        opset: the newest that the runtime it is for reads.
        free_batch: whether it shall take any number of items at once.
        module: makes the torch network behind the graph; None where there is none.
    """

    opset: int = OPSET
    free_batch: bool = False
    module: "Callable[[], nn.Module] | None" = None


class Format(ABC):
    """Compiles an ONNX graph into the bytes of one file."""

    title: ClassVar[str]
    suffix: ClassVar[str]
    engine: ClassVar[str]  # of `edge_targets.runtime.engines`, that runs the file
    package: ClassVar[str] = ""  # that it needs beside those of the extra `compile`
    usual: ClassVar[bool] = True  # False for a variant that is built only where it is asked for
    lossy: ClassVar[bool] = False  # True where it rounds: it needs samples, and a graph of floats

    @classmethod
    def of(cls, wish: Wish) -> Self:
        """The format as it is wished for; one that cannot differ is as it is."""
        return cls()

    @abstractmethod
    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        """The file for `graph`, an ONNX model with a free batch dimension.

        The file keeps the names, shapes and dtypes of the signature.

        Args:
            samples: items to check and calibrate with, by input, each of shape (N, ...).

        Raises:
            UnsupportedError: the format has no counterpart for an operator of the graph.
        """
