"""What runs and what it sees: the browser page, telemetry, drift."""

from pathlib import Path

from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Result
from toolkit.verbs.words import Folder


def bundle(
    package: str, directory: Path, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Bundled:
    """Write a folder of static files that runs a package in any browser.

    Args:
        package: a package for the browser target.
        directory: the folder to write.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.bundle(Workspace.find(workspace), package, directory, job)


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

    Args:
        directory: the folder that `bundle` wrote.
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit import serving
    from toolkit.telemetry import receiver
    from toolkit.telemetry.store import Store
    from toolkit.workspace import Workspace

    store = Store(Workspace.find(workspace).telemetry)
    serving.serve(directory, host, port, receiver.routes(store), job)


def collect(
    *, host: str = "127.0.0.1", port: int = 7733, workspace: Folder = None, job: Job = QUIET
) -> None:
    """Take telemetry from devices into the workspace, until stopped.

    Args:
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit.telemetry import receiver
    from toolkit.telemetry.store import Store
    from toolkit.workspace import Workspace

    receiver.collect(Store(Workspace.find(workspace).telemetry), host, port, job)


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
