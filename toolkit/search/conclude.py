"""What comes of a search: the pick, proven on items the search has not seen, and the pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.evaluation.gate import judge
from toolkit.evaluation.held_out import HeldOut
from toolkit.evaluation.slices import slices_of
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.onnx_graph import graph_of
from toolkit.results import Candidate, Searched, Verdict
from toolkit.search.front import Scale, front_of, lacks, nearest, proving_order, with_front
from toolkit.search.journal import CANDIDATE, REASON, Journal
from toolkit.search.options import Options
from toolkit.search.report import Story, write_report
from toolkit.search.trial import Origin, Workshop
from toolkit.workspace import Workspace

FOLDER = "searches"


@dataclass(frozen=True)
class Search:
    """One run of a search, all of it looked up and checked.

    Attributes:
        unseen: the test items, for the proof alone.
        scale: size and latency of the original's own file.
        until: when it ends, on the monotonic clock.
    """

    model_name: str
    workshop: Workshop
    unseen: HeldOut
    scale: Scale
    job: Job
    until: float

    @property
    def name(self) -> str:
        return self.workshop.study

    @property
    def options(self) -> Options:
        return self.workshop.options

    @property
    def origin(self) -> Origin:
        return self.workshop.origin

    @property
    def shelves(self) -> Workspace:
        return self.workshop.shelves

    @property
    def folder(self) -> Path:
        return study_folder(self.shelves, self.name)


def study_folder(shelves: Workspace, name: str) -> Path:
    return shelves.root / FOLDER / name


def concluded(run: Search, journal: Journal, job: Job) -> Searched:
    """Prove the pick, say why it is the one, and draw the front."""
    found = with_front(candidates(journal))
    stored = {trial.number: trial.user_attrs[CANDIDATE] for trial in finished(journal)}
    pick, verdict = proven(run, found, stored, job)
    reason = reason_for(run, journal, found, pick, verdict)
    states = [trial.state.name for trial in journal.found]
    stopped, failed = states.count("PRUNED"), len(reasons(journal, "FAIL"))
    story = Story(run.name, run.model_name, found, pick.model if pick else "", reason, run.options)
    report, picture = write_report(story, run.folder)
    run.job.step("search", run.options.trials, run.options.trials)
    front = front_of(found)
    build = f"sanderling build {pick.model} --format {pick.runtime.split()[0]}" if pick else ""
    return Searched(
        run.name,
        len(stored) + stopped + failed,
        stopped,
        failed,
        pick.model if pick else "",
        reason,
        stored[pick.trial]["toml"] if pick else "",
        verdict,
        str(report),
        str(picture),
        (*front, *([pick] if pick and pick not in front else [])),
        next=(build,) if pick else (),
    )


def proven(
    run: Search, found: tuple[Candidate, ...], stored: dict[int, dict[str, Any]], job: Job
) -> tuple[Candidate | None, Verdict | None]:
    """The boldest candidate that the test items vouch for, and what they say about it.

    A fixed-sequence procedure (Westfall and Krishen 2001, Journal of Statistical Planning and
    Inference 99:25): the order comes from the validation items alone, each candidate is tested at
    the full confidence, and the first that fails ends it. To accept a bad model, the first bad one
    in that order must pass: one chance of 5 %, however many are tested. Without the fixed order,
    the best of twenty lucky looks would be accepted.

    Gives the first that failed, with no pick, when not even the safest passed.
    """
    pick: Candidate | None = None
    said: Verdict | None = None
    inputs, targets = run.unseen.inputs, run.unseen.targets
    data = run.origin.model.need_data("A search")
    groups = slices_of(data, (), run.unseen.rows)
    original = Runner(run.origin.graph, "onnx", run.origin.model.signature)
    before = original.first_output(inputs, job)
    for one in proving_order(found, run.scale):
        job.step(one.model)
        after = answers(run, one, stored[one.trial]["digest"], job)
        verdict = judge(run.options.gate, before, after, targets, groups)
        if not verdict.passed:
            return pick, said or verdict
        pick, said = one, verdict
    return pick, said


def answers(run: Search, one: Candidate, digest: str, job: Job) -> Any:
    """Of a candidate's file for the unseen items."""
    model = shelf.load_model(run.shelves, run.shelves.entry(digest))
    format_name = one.runtime.split()[0]
    graph = graph_of(model, job)
    data = formats[format_name]().build(graph, model.signature, job).data
    return Runner(data, format_name, model.signature).first_output(run.unseen.inputs, job)


def reason_for(
    run: Search,
    journal: Journal,
    found: tuple[Candidate, ...],
    pick: Candidate | None,
    verdict: Verdict | None,
) -> str:
    if pick and verdict:
        size = 100 * pick.size_bytes / run.scale.size_bytes
        latency = 100 * pick.latency_ms / run.scale.latency_ms
        return (
            f"the best in size and latency that is proven: {pick.recipe} with {pick.runtime}, "
            f"{size:.1f} % of the size and {latency:.1f} % of the latency of the model's own "
            f"ONNX file ({pick.latency_source}); {verdict.reason}"
        )
    near = nearest(found, run.options)
    if near is None:
        causes = reasons(journal, "FAIL") + reasons(journal, "PRUNED")
        return f"nothing found: no trial finished{': ' + causes[0] if causes else ' in time'}"
    if verdict:
        near = proving_order(found, run.scale)[0]
        lacking = f"its loss is not proven: it {verdict.reason}"
    else:
        lacking = lacks(near, run.options)
    tried = "1 trial" if len(found) == 1 else f"{len(found)} trials"
    return (
        f"not possible in {tried}: the nearest is {near.model} ({near.recipe}, {near.runtime}), "
        f"but {lacking}"
    )


def reasons(journal: Journal, state: str) -> list[str]:
    return [
        trial.user_attrs[REASON]
        for trial in journal.found
        if trial.state.name == state and REASON in trial.user_attrs
    ]


def candidates(journal: Journal) -> list[Candidate]:
    """Of every finished trial, in the order of their numbers."""
    names = [field.name for field in fields(Candidate)]
    stored = [trial.user_attrs[CANDIDATE] for trial in finished(journal)]
    return [Candidate(**{name: one[name] for name in names}) for one in stored]


def finished(journal: Journal) -> Iterator[Any]:
    return (trial for trial in journal.found if trial.state.name == "COMPLETE")
