"""What can be said about calibration items before anybody trusts the ranges they give."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.events import QUIET
from toolkit.data.dataset import Dataset
from toolkit.data.sampling import thinned
from toolkit.inference import Runner
from toolkit.model import Model

FEW = 32  # items: with fewer, minimum and maximum still move with each new one
FAR = 2.0  # times the range the model learned from: beyond noise, below a wrong unit
TRIED = 64  # items that the model is asked about
SATURATED = 1e-6  # a spread of outputs below it says nothing about the input


def calibration_warnings(
    model: Model, items: NDArray[Any], targets: NDArray[Any] | None = None
) -> tuple[str, ...]:
    """What is odd about items that a model is to be calibrated with; empty when nothing is."""
    if not len(items):
        return ("There is no calibration item.",)
    return tuple(found(model, items, targets))


def found(model: Model, items: NDArray[Any], targets: NDArray[Any] | None) -> Iterator[str]:
    if len(items) < FEW:
        yield (
            f"Only {len(items)} calibration items: ranges are uncertain below {FEW}. "
            "Bring more with --data."
        )
    if len(items) > 1 and all_equal(items):
        yield f"All {len(items)} calibration items are equal: they show one point of every range."
    yield from missing_classes(model, targets)
    finite = np.isfinite(items)
    if not finite.any():
        yield "No calibration item holds a number."
        return
    broken = int(np.isinf(items).sum())
    if broken:
        yield f"{broken} calibration values are infinite."
    yield from out_of_range(model.data, np.where(finite, items, np.nan))
    yield from saturated(model, items)


def all_equal(items: NDArray[Any]) -> bool:
    return bool(np.array_equal(items, np.broadcast_to(items[:1], items.shape), equal_nan=True))


def missing_classes(model: Model, targets: NDArray[Any] | None) -> Iterator[str]:
    labels = model.signature.labels
    if targets is None or not labels:
        return
    present = {int(target) for target in np.unique(targets)}
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing:
        yield (
            f"{len(missing)} of {len(labels)} classes have no calibration item: "
            f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}."
        )


def out_of_range(data: Dataset | None, items: NDArray[Any]) -> Iterator[str]:
    """Compare with what the model learned from: 0–255 given to a model of 0–1, for example."""
    if data is None or not data.count("train"):
        return
    learned = data.part("train")[0]
    if learned.shape[1:] != items.shape[1:]:
        return
    low, high = float(np.nanmin(learned)), float(np.nanmax(learned))
    least, most = float(np.nanmin(items)), float(np.nanmax(items))
    width = high - low
    if most - least > FAR * width or most > high + width or least < low - width:
        yield (
            f"Calibration values reach from {least:g} to {most:g}; the model learned from "
            f"{low:g} to {high:g}. Is the unit the same?"
        )
    elif width and (most - least) * 100 < width:
        yield (
            f"Calibration values reach from {least:g} to {most:g} only; the model learned from "
            f"{low:g} to {high:g}. Were they scaled already?"
        )


def saturated(model: Model, items: NDArray[Any]) -> Iterator[str]:
    """A model that answers the same to everything is fed what it does not understand."""
    chosen = thinned(items, TRIED)
    if len(chosen) < 2 or all_equal(chosen):
        return
    spec = model.signature.inputs[0]
    answers = Runner.of_model(model, QUIET).first_output(chosen.astype(spec.dtype), QUIET)
    if not np.isfinite(answers).all():
        yield "The model answers calibration items with not-a-number or infinity."
    elif float(np.ptp(answers, axis=0).max()) < SATURATED:
        yield (
            f"The model gives the same answer to all {len(chosen)} calibration items tried: "
            "their range or unit is not what it learned."
        )
