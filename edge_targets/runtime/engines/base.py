"""What an engine is: it loads one model file and runs it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from edge_targets.runtime.contract import Signature, Tensor

Arrays = Mapping[str, Any]  # numpy arrays by name


class Engine(ABC):
    """Runs one model file; every output of the signature for a whole batch."""

    title: ClassVar[str]  # the runtime's own name, with what a user installs
    package: ClassVar[str]
    is_free = True  # its file takes any number of items at once

    def __init__(self, model: Path, signature: Signature, threads: int = 1) -> None:
        import numpy as np

        self.asarray = np.asarray
        # worked out once: of a small network's microseconds this would be a tenth
        self.dtypes = {spec.name: np.dtype(spec.dtype) for spec in signature.inputs}
        self.load(model, signature, threads)

    @abstractmethod
    def load(self, model: Path, signature: Signature, threads: int) -> None:
        """Read the file, and work out once what every run needs."""

    @abstractmethod
    def run_arrays(self, inputs: Arrays) -> dict[str, Any]:
        """Outputs by name, which are the caller's; the inputs are of the signature's dtypes."""

    def arrays(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """Tensors as arrays of the signature's dtypes, not copied where they are so already."""
        return {
            name: self.asarray(inputs[name].data, dtype).reshape(inputs[name].shape)
            for name, dtype in self.dtypes.items()
        }

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name; `data` is a flat numpy array."""
        return tensors(self.run_arrays(self.arrays(inputs)))


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: Tensor(values.shape, values.reshape(-1)) for name, values in arrays.items()}
