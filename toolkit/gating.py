"""Judge a model or a finished file against the model that it was made smaller from."""

from collections.abc import Sequence

from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.data.dataset import Dataset
from toolkit.evaluation.gate import Gate, judge, refuse_unprovable
from toolkit.evaluation.held_out import held_out
from toolkit.evaluation.slices import slices_of
from toolkit.journeys import runner_of
from toolkit.results import Verdict
from toolkit.workspace import Entry, Workspace

SMALLER = {"build", "compress", "diagnose", "search"}  # verbs that make a model smaller, no other


def original_of(shelves: Workspace, entry: Entry) -> Entry:
    """The model that was trained or imported."""
    while entry.verb in SMALLER:
        entry = shelves.entry(entry.parents[0])
    return entry


def judged(
    shelves: Workspace, entry: Entry, data: Dataset, gate: Gate, slices: Sequence[str], job: Job
) -> Verdict:
    """On the test items of `data` that the model has not learned from, with its own runtime."""
    learned = shelf.learned_data(shelves, entry)
    unseen = held_out(data, [learned] if learned else [])
    refuse_unprovable(gate, unseen.targets)
    before, after = (
        runner_of(shelves, one, 1, job)[0].first_output(unseen.inputs, job)
        for one in (original_of(shelves, entry), entry)
    )
    return judge(gate, before, after, unseen.targets, slices_of(data, slices, unseen.rows))
