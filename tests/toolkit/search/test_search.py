"""Searches as a user makes them, in this process."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    IntegrityError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import Event, Job
from tests.toolkit.search.conftest import Run
from toolkit import shelf
from toolkit.evaluation.gate import Gate
from toolkit.recipe import Recipe
from toolkit.results import Candidate
from toolkit.workspace import Workspace


def told(events: list[Event]) -> list[dict[str, Any]]:
    return [dict(e.facts["candidate"]) for e in events if "candidate" in e.facts]


def figures(events: list[Event]) -> list[tuple[Any, ...]]:
    keys = ("trial", "recipe", "runtime", "size_bytes", "latency_ms", "drop")
    return [tuple(one[key] for key in keys) for one in told(events)]


def test_every_finished_trial_is_a_model_with_lineage(
    run: Run, shelves: Workspace, job: Job, events: list[Event]
) -> None:
    found = run("lineage", job)

    assert found.ok
    assert found.trials == 4
    assert found.gate
    assert found.gate.passed
    for one in told(events):
        entry = shelves.get("models", one["model"])
        assert entry.verb == "search"
        assert shelves.entry(entry.parents[0]).name == "g"
        assert entry.parameters["study"] == "lineage"
    names = [one["model"] for one in told(events)]
    assert found.pick in names
    assert names == sorted(names)


def test_a_search_reports_candidates_as_they_come(run: Run, job: Job, events: list[Event]) -> None:
    run("reporting", job)

    assert told(events)
    for one in told(events):
        assert set(one) == {field.name for field in fields(Candidate)}
    assert (events[-1].done, events[-1].total) == (4, 4)
    assert {event.total for event in events} == {4}
    done = [event.done for event in events]
    assert done == sorted(done)


def test_the_recipe_of_the_pick_makes_the_pick(
    run: Run, shelves: Workspace, tmp_path: Path
) -> None:
    found = run("recipe", max_size=10_000)
    file = tmp_path / "recipe.toml"
    file.write_text(found.recipe)

    model = shelf.load_model(shelves, shelves.get("models", "g"))
    again = Recipe.from_file(file).apply(model, Job())

    picked = shelf.load_model(shelves, shelves.get("models", found.pick))
    assert again.stored() == picked.stored()


def test_the_pick_keeps_to_the_budget(run: Run, job: Job, events: list[Event]) -> None:
    found = run("budget", job, max_size=10_000)

    [pick] = [one for one in told(events) if one["model"] == found.pick]
    assert pick["size_bytes"] <= 10_000
    assert found.pick in [one.model for one in found.front]
    assert any(one["size_bytes"] > 10_000 and not one["fits"] for one in told(events))


def test_an_impossible_budget_names_what_is_nearest(run: Run) -> None:
    found = run("impossible", max_size=5_000)

    assert not found.ok
    assert not found.pick
    assert not found.recipe
    assert re.match(r"not possible in \d+ trials?: the nearest is impossible-t0", found.reason)
    assert "too large" in found.reason


def test_a_drop_that_no_item_could_show_is_refused_before_any_work(
    run: Run, shelves: Workspace
) -> None:
    with pytest.raises(DataError, match="unseen items cannot show"):
        run("unprovable", gate=Gate(max_drop=0.001))

    assert not (shelves.root / "searches" / "unprovable").exists()


def test_the_same_seed_finds_the_same(run: Run) -> None:
    found: list[list[Event]] = [[], []]

    for i, events in enumerate(found):
        run(f"seeded-{i}", Job(events.append), trials=9)

    assert figures(found[0]) == figures(found[1])


def test_a_search_that_goes_on_finds_what_an_unbroken_one_finds(run: Run) -> None:
    found: list[list[Event]] = [[], []]

    run("unbroken", Job(found[0].append), trials=9)
    for trials in (5, 9):
        run("broken", Job(found[1].append), trials=trials)

    assert figures(found[0]) == figures(found[1])


def test_a_finished_study_is_only_judged_again(run: Run, job: Job, events: list[Event]) -> None:
    first = run("finished")

    again = run("finished", job)

    assert not told(events)
    assert (again.pick, again.trials, again.front) == (first.pick, first.trials, first.front)


@pytest.mark.parametrize("message", ["trial 0: compile for TFLite", "trial 2: compile for TFLite"])
def test_a_cancelled_trial_is_done_again(
    run: Run, shelves: Workspace, message: str, job: Job, events: list[Event]
) -> None:
    study = "cancelled-" + message[6]

    def stop(event: Event) -> None:
        if event.message == message:
            stopped.cancel()

    stopped = Job(stop)
    with pytest.raises(Cancelled):
        run(study, stopped)
    kept = [name for name in shelves.names("models") if name.startswith(study)]
    found = run(study, job)

    assert len(kept) == int(message[6])  # those before it, and no half of it
    assert found.trials == 4
    assert found.failed == 0
    assert len(told(events)) == 4 - len(kept) - found.stopped


def test_without_time_nothing_is_tried(run: Run) -> None:
    found = run("timeless", time_s=1e-6)

    assert (found.trials, found.pick) == (0, "")
    assert "no trial finished" in found.reason
    assert Path(found.picture).is_file()


def test_when_time_is_up_the_trial_at_hand_is_put_back(
    run: Run, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]  # stands still until a trial is at work, then time is over
    monkeypatch.setattr("toolkit.search.run.time.monotonic", lambda: clock[0])

    def late(event: Event) -> None:
        if event.message.startswith("trial 1:"):
            clock[0] = 100.0

    early = run("late", Job(late), time_s=10)
    found = run("late", job)

    assert early.trials == 1
    assert (found.trials, found.failed) == (4, 0)


def test_a_study_of_another_model_is_refused(run: Run) -> None:
    run("taken", trials=1)

    with pytest.raises(RecipeError, match=r"model g \(.*\) and not m-int8 \(") as caught:
        run("taken", model="m-int8", families=())

    assert "--name" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"max_size": 50_000}, "--max-size None and not 50000"),
        ({"target": "raspberry_pi_4"}, "--target browser and not raspberry_pi_4"),
        ({"seed": 1}, "--seed 0 and not 1"),
    ],
)
def test_a_study_with_other_options_is_refused(
    run: Run, changes: dict[str, Any], named: str
) -> None:
    run("options", trials=1)

    with pytest.raises(RecipeError, match=named):
        run("options", trials=1, **changes)


def test_a_journal_that_a_kill_cut_short_is_mended(run: Run, shelves: Workspace) -> None:
    run("cut", trials=2)
    journal = shelves.root / "searches" / "cut" / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 5, "trial_id"')

    assert run("cut", trials=4).trials == 4


def test_a_damaged_journal_is_told(run: Run, shelves: Workspace) -> None:
    run("damaged", trials=1)
    journal = shelves.root / "searches" / "damaged" / "journal.log"
    journal.write_bytes(b"no JSON at all\n" + journal.read_bytes())

    with pytest.raises(IntegrityError, match="is damaged"):
        run("damaged")


def test_a_hopeless_network_is_stopped_before_it_is_compiled(
    run: Run, job: Job, events: list[Event]
) -> None:
    found = run("hopeless", job, model="m", families=("prune_channels",), trials=3)

    assert found.stopped
    assert any("the network itself loses" in event.message for event in events)
    assert found.trials == len(told(events)) + found.stopped


def test_weights_that_cannot_fit_are_stopped_before_they_are_trained(
    run: Run, job: Job, events: list[Event]
) -> None:
    found = run("heavy", job, families=("low_rank",), max_size=1_000)

    assert found.stopped
    assert any("its weights alone would take" in event.message for event in events)
    assert "too large" in found.reason


def test_a_family_that_needs_the_network_is_refused_for_a_graph(run: Run) -> None:
    with pytest.raises(UnsupportedError, match="needs the trainable network"):
        run("graph", model="m-int8", families=("distill",))


def test_an_unknown_family_gets_a_suggestion(run: Run) -> None:
    with pytest.raises(UnknownNameError) as caught:
        run("unknown", families=("quantize_int",))

    assert "quantize_int8" in caught.value.hint
