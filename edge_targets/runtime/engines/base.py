"""What an engine is: it loads one model file and runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.contract import Signature, Tensor


class Engine(ABC):
    """Runs one model file; `run` gives every output of the signature for a whole batch."""

    title: ClassVar[str]  # the runtime's own name, with what a user installs
    package: ClassVar[str]

    @abstractmethod
    def __init__(self, model: Path, signature: Signature, threads: int = 1) -> None: ...

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name; `data` is a flat numpy array."""
