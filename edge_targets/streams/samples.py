"""What a source gives, made to fit the model's input: shape, order of axes, dtype, no more.

Resizing, cropping and scaling belong into the model's graph (`sanderling attach`), where they are
the same as in training.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edge_targets.runtime.answer import Answer
from edge_targets.runtime.contract import Manifest, Signature, TensorSpec
from edge_targets.runtime.errors import DataError

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look


@dataclass(frozen=True)
class Sample:
    """One item from the world.

    Attributes:
        values: an array or a list; for a table also numbers by column.
        name: where it is from: a file, a topic, a frame's number.
        taken: seconds since 1970.
    """

    values: Any
    name: str = ""
    taken: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Finding:
    """An answer on its way to the sinks."""

    sample: Sample
    answer: Answer
    manifest: Manifest

    def to_json(self) -> dict[str, Any]:
        taken = datetime.fromtimestamp(self.sample.taken, UTC).isoformat(timespec="milliseconds")
        found: dict[str, Any] = {
            "schema": 1,
            "time": taken,
            "source": self.sample.name,
            "model": self.manifest.name,
            "version": self.manifest.version,
            "outputs": {name: _listed(values) for name, values in self.answer.outputs.items()},
        }
        if self.manifest.signature.labels:
            found["label"] = self.answer.label
            found["confidence"] = _finite(self.answer.confidence)
            found["abstained"] = self.answer.abstained
        return found


def _listed(values: Any) -> Any:
    """Nested lists; JSON knows no value that is not finite."""
    if isinstance(values, list):
        return [_listed(value) for value in values]
    return _listed(values.tolist()) if hasattr(values, "tolist") else _finite(values)


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or abs(value) < float("inf") else None


def fitted(signature: Signature, sample: Sample) -> Any:
    """The sample as one item of the model's only input.

    Raises:
        DataError: it does not fit; says what came and what the model takes.
    """
    import numpy as np

    [spec] = signature.inputs
    wanted = spec.shape[1:]
    values = sample.values
    if isinstance(values, Mapping):
        values = by_column(spec, values)
    array = np.asarray(values)
    if array.ndim == 3 and array.dtype == np.uint8 and not _fits(array.shape, wanted):
        array = _picture(array, wanted)
    if not _fits(array.shape, wanted) and -1 not in wanted and array.size == np.prod(wanted):
        array = array.reshape(wanted)
    if not _fits(array.shape, wanted):
        raise DataError(
            f"{sample.name or 'A sample'} has the shape {list(array.shape)}; "
            f"the model takes {list(wanted)}.",
            "Set the source's size, or attach a resize to the model's graph.",
        )
    if np.dtype(spec.dtype).kind == "f":
        array = array.astype(spec.dtype)
    return array


def by_column(spec: TensorSpec, values: Mapping[str, Any]) -> list[float]:
    """Numbers in the order of the table's columns; one that is missing is not-a-number."""
    if not spec.columns:
        raise DataError(
            "A sample has names; the model's input has none.", "Send a list of numbers."
        )
    try:
        found = [values.get(name) for name in spec.columns]
        return [float("nan") if value is None else float(value) for value in found]
    except (TypeError, ValueError) as error:
        raise DataError(f"A column is no number: {error}.", "Send numbers.") from error


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (-1, size) for size, want in zip(shape, wanted, strict=True)
    )


def _picture(array: Any, wanted: tuple[int, ...]) -> Any:
    """Height, width, colours as the model has them: one grey, or the colours first."""
    import numpy as np

    channels_first = len(wanted) == 3 and wanted[0] in (1, 3)
    channels = wanted[0] if channels_first else wanted[-1] if len(wanted) == 3 else 1
    if channels == 1 and array.shape[-1] == 3:
        array = (array @ np.array(GREY))[..., None].round().astype(np.uint8)
    if channels_first:
        array = array.transpose(2, 0, 1)
    return array[..., 0] if len(wanted) == 2 and array.shape[-1] == 1 else array
