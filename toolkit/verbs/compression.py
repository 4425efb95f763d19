"""Smaller and faster models, and what that costs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edge_targets.runtime.errors import UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.verbs.words import SURE, Columns, Drop, Flag, Folder, Size, gate_if, gate_of


def compress(
    model: str,
    /,
    *,
    name: str,
    passes: str | None = None,
    recipe: Path | None = None,
    data: str | None = None,
    max_drop: Drop = None,
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    strict: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Compressed:
    """Make a model smaller or faster, pass by pass, and tell what each one did to every layer.

    Exits with 3, and keeps nothing, when it may lose more than --max-drop.

    Args:
        model: the model to start from; it stays as it is.
        name: what to call the new model.
        passes: names of passes with their defaults, in order, with commas between them.
        recipe: a TOML file of passes with parameters, instead of --passes.
        data: calibrate with this dataset instead of the one the model learned from.
        max_drop: what it may lose, such as 1%: of accuracy, or of R² for numbers.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
        strict: exit with 3 also when a pass changed nothing.
    """
    from toolkit import compression
    from toolkit.recipe import Recipe
    from toolkit.workspace import Workspace

    if (passes is None) == (recipe is None):
        raise UsageError("Say either --passes or --recipe.", "For example: --passes quantize_int8.")
    steps = Recipe.from_file(recipe) if recipe else Recipe.of_names(passes or "")
    gate = gate_if(max_drop, confidence, slice)
    return compression.compress(
        Workspace.find(workspace), model, steps, data, name, job, gate, slice, strict
    )


def diagnose(
    model: str,
    /,
    *,
    data: str,
    recipe: Path | None = None,
    repair: Flag = False,
    name: str | None = None,
    max_drop: str = "1%",
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    max_size: Size = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Diagnosed:
    """Tell which layers int8 quantization hurts, the worst first, and mend just those.

    With --repair it exits with 3, and keeps nothing, when it may still lose more than --max-drop.

    Args:
        model: the float model.
        data: the dataset to measure on.
        recipe: a TOML file whose quantize_int8 is looked into; its defaults unless given.
        repair: lift the guilty layers one after another until no more than --max-drop is lost.
        name: with --repair: what to call the repaired model; MODEL-repaired unless given.
        max_drop: what the repaired model may lose, such as 1%.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
        max_size: with --repair: of the repaired model's ONNX graph, such as 60kB.
    """
    from toolkit import diagnosis
    from toolkit.quantities import size_bytes
    from toolkit.recipe import Recipe
    from toolkit.workspace import Workspace

    return diagnosis.diagnose(
        Workspace.find(workspace),
        model,
        data,
        Recipe.from_file(recipe) if recipe else None,
        gate_of(max_drop, confidence),
        repair,
        name,
        size_bytes(max_size, "--max-size") if max_size else None,
        slice,
        job,
    )


def search(
    model: str,
    /,
    *,
    data: str,
    target: str = "simulator",
    device: str | None = None,
    cost: str = "auto",
    max_size: Size = None,
    max_latency: Annotated[str | None, Parameter(help="of one prediction, such as 5ms.")] = None,
    max_ram: Size = None,
    max_drop: str = "1%",
    confidence: str = SURE,
    trials: int = 40,
    time: Annotated[str | None, Parameter(help="to stop after, such as 10min.")] = None,
    name: str | None = None,
    families: str | None = None,
    seed: int = 0,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Searched:
    """Search for the best recipe and runtime within a budget.

    Typed again it goes on where it was; typed in a second terminal, both share the work.

    Exits with 3 when nothing fits.

    Args:
        model: the model to start from.
        data: the dataset to measure on.
        target: what the model is for; `sanderling list targets` names them.
        device: a device of the workspace to measure on, instead of an estimate.
        cost: how latency is told: measured, or estimated from published figures (`estimated`), or
            from the counted instructions of the target's processor (`instructions`); auto is the
            best there is.
        max_size: of the compiled file, such as 200kB.
        max_ram: that the runtime may need for the model, such as 8MB.
        max_drop: what may be lost, such as 1%.
        confidence: how sure it must be that no more is lost.
        trials: models to try in all.
        name: of the study; MODEL-TARGET unless given.
        families: names of passes to choose from, with commas between them; all unless given.
        seed: of the search.
    """
    from toolkit import search as searching
    from toolkit.quantities import milliseconds, seconds, size_bytes
    from toolkit.workspace import Workspace

    options = searching.Options(
        target=target,
        device=device,
        cost=cost,
        max_size=size_bytes(max_size, "--max-size") if max_size else None,
        max_latency_ms=milliseconds(max_latency, "--max-latency") if max_latency else None,
        max_ram=size_bytes(max_ram, "--max-ram") if max_ram else None,
        gate=gate_of(max_drop, confidence),
        trials=trials,
        time_s=seconds(time, "--time") if time else None,
        study=name,
        families=tuple(name.strip() for name in families.split(",")) if families else (),
        seed=seed,
    )
    return searching.search(Workspace.find(workspace), model, data, options, job)
