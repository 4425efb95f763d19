"""The search itself: trials until there are enough or time is up, then proof of the pick."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import DataError, EdgeError
from edge_targets.runtime.events import Job
from toolkit import shelf
from toolkit.evaluation.gate import refuse_unprovable
from toolkit.evaluation.held_out import held_out
from toolkit.latency import Finished, clock_for
from toolkit.results import Candidate, Searched
from toolkit.search.conclude import Search, candidates, concluded, study_folder
from toolkit.search.front import Scale, figures, proving_order, with_front
from toolkit.search.journal import Journal
from toolkit.search.options import Options
from toolkit.search.shrunk import Shrunk
from toolkit.search.space import Space
from toolkit.search.trial import HopelessError, Made, Origin, Workshop, over
from toolkit.workspace import Workspace, check_name


class TimeUp(BaseException):
    """Ends a trial wherever it is; like a cancelled job no `except Exception` swallows it."""


class InnerJob(Job):
    """The job of a part of the search: it has the search's progress, and stops with it."""

    def __init__(
        self, outer: Job, tell: Callable[[str], None], scratch: Path | None = None
    ) -> None:
        super().__init__(lambda event: tell(event.message), scratch)
        self._stopped = outer._stopped


def search(
    shelves: Workspace, model_name: str, data_name: str, options: Options, job: Job
) -> Searched:
    """Try recipes and runtimes; prove the best that fits the budget on the unseen test items.

    The study lies in the workspace under `searches/`: the same call goes on with it.

    Raises:
        RecipeError: the study is of something else.
        DataError: no item to validate with, or too few unseen ones to prove anything.
    """
    name = options.study or f"{model_name}-{options.target}"
    check_name(name)
    check_name(f"{name}-t000")  # which may be too long
    until = time.monotonic() + (options.time_s or float("inf"))
    job.step("search", 0, options.trials)
    entry, model, _ = shelf.loaded(shelves, model_name, data_name)
    data = model.need_data("A search")
    if not data.count("validation"):
        raise DataError(
            f"{data_name} has no validation items to compare candidates with.",
            "Add it again with a split that leaves some.",
        )
    learned = shelf.learned_data(shelves, entry)
    unseen = held_out(data, [learned] if learned else [])
    refuse_unprovable(options.gate, unseen.targets)
    clock = clock_for(shelves, options.target, options.device, data, options.cost)
    prepare = InnerJob(job, lambda message: job.step(message, 0, options.trials))
    origin = Origin.of(shelves, model_name, data_name, prepare)
    space = Space.of(model, origin.graph, options)
    folder = study_folder(shelves, name)
    journal = Journal(
        folder, identity(shelves, model_name, data_name, options, space), space,
        options.trials, options.seed,
    )  # fmt: skip
    try:
        file = Finished(origin.graph, origin.graph, "onnx", False, model.signature)
        scale = Scale(len(origin.graph), clock(file, 1, prepare).latency_ms)
        shrunk = Shrunk(folder / "shrunk")
        workshop = Workshop(shelves, name, options, origin, clock, shrunk)
        run = Search(model_name, workshop, unseen, scale, job, until)
        run_trials(run, journal)
        done = min(journal.counted(), options.trials)
        prove = InnerJob(job, lambda message: job.step(f"prove: {message}", done, options.trials))
        return concluded(run, journal, prove)
    finally:
        journal.close()


def identity(
    shelves: Workspace, model_name: str, data_name: str, options: Options, space: Space
) -> dict[str, Any]:
    """What must be the same for trials to be compared, by names that people know."""
    model, data = shelves.get("models", model_name), shelves.get("datasets", data_name)
    return {
        "model": f"{model_name} ({model.digest[:12]})",
        "data": f"{data_name} ({data.digest[:12]})",
        "--target": options.target,
        "--device": options.device,
        **({"--cost": options.cost} if options.cost != "auto" else {}),
        **options.budget,
        "--families": list(space.families),
        "--seed": options.seed,
        "epochs": options.epochs,
    }


def run_trials(run: Search, journal: Journal) -> None:
    """Until the study has enough, or the time is over: then what was begun is put back."""
    while time.monotonic() < run.until and (asked := journal.ask()):
        trial, plan = asked
        title = f"trial {trial.number}"
        if (twin := journal.twin(trial, plan)) is not None:
            journal.end(trial, f"the same as trial {twin}", "PRUNED")
            told(run, journal, f"{title}: stopped, the same as trial {twin}")
            continue
        try:
            made = run.workshop.make(trial.number, plan, trial_job(run, journal, title))
        except HopelessError as error:
            journal.end(trial, str(error), "PRUNED")
            told(run, journal, f"{title}: stopped, {error}")
        except EdgeError as error:
            journal.end(trial, str(error), "FAIL")
            told(run, journal, f"{title}: failed, {error}")
        except TimeUp:
            journal.put_back(trial)
            return
        except Exception:
            journal.end(trial, "a fault of ours", "FAIL")
            raise
        except BaseException:  # cancelled
            journal.put_back(trial)
            raise
        else:
            complete(run, journal, trial, made)


def trial_job(run: Search, journal: Journal, title: str) -> Job:
    done = journal.counted() - 1

    def tell(message: str) -> None:
        if time.monotonic() > run.until:
            raise TimeUp
        run.job.step(f"{title}: {message}", done, run.options.trials)

    return InnerJob(run.job, tell, run.shelves.runs())


def complete(run: Search, journal: Journal, trial: Any, made: Made) -> None:
    one = made.candidate
    stored = {**asdict(one), "digest": made.digest, "toml": made.recipe}
    journal.complete(trial, stored, figures(one), over(one, run.options))
    told(run, journal, f"trial {one.trial}: {one.recipe}, {one.runtime}", one)


def told(run: Search, journal: Journal, message: str, one: Candidate | None = None) -> None:
    """Report the end of a trial, with its figures for whoever draws them."""
    facts: dict[str, Any] = {}
    if one:
        found = with_front(candidates(journal))
        [now] = [other for other in found if other.trial == one.trial]
        order = proving_order(found, run.scale)
        facts = {"candidate": asdict(now), "best": order[-1].model if order else ""}
    run.job.step(message, min(journal.counted(), run.options.trials), run.options.trials, facts)
