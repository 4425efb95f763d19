"""What a user's loop hands over, as the arrays of a signature. Numpy is imported where used."""

from collections.abc import Mapping
from typing import Any

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import DataError


class Inputs:
    """Reads what a user gives; what can be worked out once, is."""

    def __init__(self, signature: Signature) -> None:
        import numpy as np

        self.np = np
        self.specs = [(spec, np.dtype(spec.dtype), len(spec.shape)) for spec in signature.inputs]

    def read(self, given: Any) -> tuple[dict[str, Any], bool]:
        """The inputs by name, and whether they are one item without a batch's axis.

        Args:
            given: arrays or nested lists by input name; or one alone, for a model of one input.

        Raises:
            DataError: what cannot become numbers of the input's kind.
        """
        if type(given) is not self.np.ndarray and isinstance(given, Mapping):
            # what is missing or not known stays so: the predictor's check names it
            found = {str(name): given[name] for name in given}
        elif len(self.specs) == 1:
            found = {self.specs[0][0].name: given}
        else:
            names = ", ".join(repr(spec.name) for spec, _, _ in self.specs)
            raise DataError(
                f"The model takes {len(self.specs)} inputs; it was given one without a name.",
                f"Give a dictionary with {names}.",
            )
        alone = False
        for spec, dtype, axes in self.specs:
            if spec.name not in found:
                continue
            array = found[spec.name]
            if getattr(array, "dtype", None) is not dtype or type(array) is not self.np.ndarray:
                array = self._array(spec, dtype, array)
            if array.ndim == axes - 1:
                array, alone = array[None], True
            found[spec.name] = array
        return found, alone

    def _array(self, spec: TensorSpec, wanted: Any, values: Any) -> Any:
        """`values` as an array of that dtype; what would lose its meaning is refused."""
        np = self.np
        try:
            array = np.asarray(values)
        except ValueError as error:  # rows of different lengths
            raise DataError(
                f"Input {spec.name!r} is no array: {error}.",
                f"It has the shape {list(spec.shape)}.",
            ) from error
        if array.dtype == wanted:
            return array.astype(wanted, copy=False)
        if array.dtype.kind not in "biuf":
            raise DataError(
                f"Input {spec.name!r} cannot be made from {array.dtype}.",
                f"It takes {spec.dtype}.",
            )
        if wanted.kind == "f":
            return array.astype(wanted)
        if array.dtype.kind == "f":
            raise DataError(
                f"Input {spec.name!r} takes {spec.dtype}; it was given {array.dtype}.",
                "Round the numbers, and give them as integers.",
            )
        limits = np.iinfo(wanted) if wanted.kind in "iu" else None
        low, high = (limits.min, limits.max) if limits else (0, 1)
        if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
            raise DataError(
                f"Input {spec.name!r} holds numbers from {array.min()} to {array.max()}; "
                f"{spec.dtype} holds {low} to {high}.",
                "Scale them as the model's input expects.",
            )
        return array.astype(wanted)
