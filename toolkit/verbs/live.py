"""What runs and what it sees: the browser page, telemetry, drift."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from edge_targets.runtime.errors import UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Result
from toolkit.verbs.words import Flag, Folder, Folders, Given


def bundle(
    package: str,
    directory: Path,
    /,
    *,
    lite: Flag = False,
    accelerate: Flag = False,
    wheel: Annotated[Sequence[Path], Parameter(name="--with", show_default=False)] = (),
    build: Folders = (),
    after: Given = None,
    collector: Given = None,
    notice: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Bundled:
    """Write a folder of static files that runs a package in any browser.

    Args:
        package: a package for the browser target.
        directory: the folder to write; an older bundle there is replaced.
        lite: leave Python out: a third of the bytes, but no telemetry and no code of your own.
        accelerate: bring the engines for several threads and for WebGPU too; the page tries them,
            and keeps what is faster and gives the same.
        wheel: a wheel for the page's Python; may be repeated.
        build: a folder with a Python package of yours, made into such a wheel; may be repeated.
        after: a function of theirs, as MODULE:FUNCTION, that has the last word on answers.
        collector: where telemetry goes, such as https://fleet.example.org; the page's own host
            unless given.
        notice: what visitors read before they agree to telemetry, in place of our own words.
    """
    from edge_targets.bundling import Options
    from toolkit import bundles
    from toolkit.workspace import Workspace

    wheels, told = tuple(wheel), (after or "", collector or "", "", notice or "")
    if build and lite:
        raise UsageError(
            "Without Python no Python of yours can run.", "Leave out --lite or --build."
        )
    options = Options(lite, accelerate, wheels, *told)
    return bundles.bundle(Workspace.find(workspace), package, directory, job, options, build)


def serve(
    directory: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workspace: Folder = None,
    job: Job = QUIET,
) -> None:
    """Serve a browser bundle and take the telemetry of its visitors, until stopped.

    From a folder without a workspace, such as a USB stick, it is served without telemetry.

    Args:
        directory: the folder that `bundle` wrote, or one with several of these in it.
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit import serving
    from toolkit.telemetry import receiver, tokens
    from toolkit.telemetry.store import Store
    from toolkit.workspace import NotFoundError, Workspace

    try:
        shelves = Workspace.find(workspace)
    except NotFoundError:
        if workspace is not None:
            raise
        job.step("no workspace here: telemetry is not taken")
        serving.serve(directory, host, port, (), job)
        return
    routes = receiver.routes(Store(shelves.telemetry), tokens.file_of(shelves))
    serving.serve(directory, host, port, routes, job)


def collect(
    *, host: str = "127.0.0.1", port: int = 7733, workspace: Folder = None, job: Job = QUIET
) -> None:
    """Take telemetry from devices into the workspace, until stopped.

    Args:
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit.telemetry import receiver, tokens
    from toolkit.telemetry.store import Store
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    receiver.collect(Store(shelves.telemetry), host, port, job, tokens.file_of(shelves))


def watch(
    model: str,
    /,
    *,
    hours: float = 24,
    alpha: float = 0.01,
    workspace: Folder = None,
    job: Job = QUIET,
) -> Result:
    """Compare what devices have seen with the reference profile of their package.

    Exits with 3 when anything drifts.

    Args:
        model: a model, a package, or the name a model is served by.
        hours: how far back to look.
        alpha: how often a quiet window may raise a false alarm, over all features together.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.watch(Workspace.find(workspace), model, hours, alpha, job)
