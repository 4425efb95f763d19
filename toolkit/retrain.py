"""Teach a model today's world without letting it forget yesterday's, and prove both."""

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.evaluation.held_out import HeldOut, held_out
from toolkit.evaluation.metrics import wilson
from toolkit.evaluation.significance import paired_difference
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.report import Comparison
from toolkit.training import Settings, fit

NOT_WORSE = 0.02  # the accuracy an old world may lose at most, with 95 % confidence


def retrain(old: Model, new_data: Dataset, settings: Settings, job: Job) -> Model:
    """A model trained on what `old` has learned from and `new_data` together, from scratch.

    From scratch, because feature steps are fitted again: a scale that was right for
    yesterday's inputs need not be right for today's.
    """
    known = old.need_data("Retraining")
    if known.task != "classification":
        raise UnsupportedError(
            "Retraining compares accuracy, which needs classes; this model predicts a number.",
            "Train on the new data with `sanderling train` and compare with `sanderling measure`.",
        )
    merged = known.merged(new_data)
    fresh = Model(merged.signature(), old.network, fit_features(merged), data=merged)
    return fit(fresh, settings, job).model


def unseen(today: Dataset, before: list[Dataset]) -> list[HeldOut]:
    """The test items of each dataset that neither model learns from, today's first."""
    every = [today, *before]
    return [held_out(data, every) for data in every]


def compare(old: Model, new: Model, proofs: list[HeldOut], job: Job) -> tuple[Comparison, ...]:
    """On what `unseen` gave: better on today's items, not worse on the ones before."""
    runners = (Runner.of_model(old, job), Runner.of_model(new, job))
    return tuple(
        _row(items, runners, job, must_gain=not place) for place, items in enumerate(proofs)
    )


def _row(items: HeldOut, runners: tuple[Runner, Runner], job: Job, must_gain: bool) -> Comparison:
    right: list[NDArray[np.bool_]] = [
        runner.first_output(items.inputs, job).argmax(axis=1) == items.targets for runner in runners
    ]
    old, new = (wilson(int(hits.sum()), len(hits)) for hits in right)
    gain = paired_difference(right[0], right[1])
    passed = gain.low > 0 if must_gain else gain.low > -NOT_WORSE
    bound = "better" if must_gain else f"loses less than {NOT_WORSE:.0%}"
    bound += ", 95 % sure"
    if items.left_out:
        bound += f", on {len(items.targets)} items; {items.left_out} learned already, left out"
    return Comparison(items.name, old, new, gain.value, gain.low, gain.high, bound, passed)
