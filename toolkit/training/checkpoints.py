"""Where a pass that trains keeps its middle, so that the same again goes on after a stop."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from edge_targets.runtime.durable import storing
from edge_targets.runtime.events import Job
from toolkit.model import Model


@contextlib.contextmanager
def resumable(job: Job, step: BaseModel, *models: Model) -> Iterator[Path | None]:
    """A file for the run of `step`, to be given to `fit`; it is gone when the block is done.

    A run that is stopped leaves its file behind. It is found again by the same step, with the
    same parameters, on the same models and data.

    Args:
        job: keeps nothing, and the file is None, where it has no `scratch`.
        models: what the outcome depends on: the model that is changed first, then any teacher.
    """
    path = checkpoint_for(job, step, *models)
    if path:
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    if path:
        with storing(path):
            path.unlink(missing_ok=True)


def checkpoint_for(job: Job, step: BaseModel, *models: Model) -> Path | None:
    """The file of this very work; None where nothing is kept."""
    if job.scratch is None:
        return None
    identity: list[bytes | str] = [type(step).__name__, step.model_dump_json()]
    for model in models:
        identity += [json.dumps(model.facts(), sort_keys=True), model.stored()[1]]
        if model.data is not None:
            arrays = (model.data.inputs, model.data.targets, model.data.split)
            identity += [array.tobytes() for array in arrays]
    return job.checkpoint(*identity)
