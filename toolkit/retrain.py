"""Teach a model today's world without letting it forget yesterday's, and prove both."""

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
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


def compare(
    old: Model, new: Model, today: Dataset, before: list[Dataset], job: Job
) -> tuple[Comparison, ...]:
    """On every dataset's test part: better on today's, not worse on the ones before."""
    runners = (Runner.of_model(old, job), Runner.of_model(new, job))
    rows = [_row(today, runners, job, must_gain=True)]
    rows += [_row(data, runners, job, must_gain=False) for data in before]
    return tuple(rows)


def _row(data: Dataset, runners: tuple[Runner, Runner], job: Job, must_gain: bool) -> Comparison:
    inputs, targets = data.part("test")
    right: list[NDArray[np.bool_]] = [
        runner.first_output(inputs, job).argmax(axis=1) == targets for runner in runners
    ]
    old, new = (wilson(int(hits.sum()), len(hits)) for hits in right)
    gain = paired_difference(right[0], right[1])
    passed = gain.low > 0 if must_gain else gain.low > -NOT_WORSE
    bound = "better" if must_gain else f"loses less than {NOT_WORSE:.0%}"
    return Comparison(
        data.name, old, new, gain.value, gain.low, gain.high, f"{bound}, 95 % sure", passed
    )
