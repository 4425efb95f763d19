"""The workspace and the program themselves."""

from pathlib import Path
from typing import Literal

from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Result
from toolkit.verbs.words import Folder


def init(
    directory: Path | None = None, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Initialised:
    """Make a workspace: the folder that keeps models, data, packages and telemetry.

    Args:
        directory: the folder, the current one unless given; one that is a workspace already is
            left as it is.
    """
    from toolkit.workspace import Workspace

    root = Workspace.create(directory or workspace or Path()).root
    where = f"--workspace {root}"
    return r.Initialised(
        str(root), next=(f"sanderling data add digits --name digits {where}", "sanderling doctor")
    )


def list_(kind: str | None = None, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Listing:
    """Name what there is.

    Args:
        kind: datasets, models, artifacts, packages or devices of the workspace; or networks,
            passes, formats, targets, sources, importers, drift_tests. Without it, all of the
            workspace.
    """
    from toolkit.describe import listing

    return listing(kind, workspace)


def show(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Shown:
    """Tell all about one thing, and what it was made from, back to the data.

    Args:
        name: of a dataset, model, artifact, package or device; KIND/NAME where two share it, and
            for what can be chosen, such as passes/quantize_int8: its parameters.
    """
    from toolkit.describe import shown

    return shown(name, workspace)


def doctor(*, workspace: Folder = None, job: Job = QUIET) -> Result:
    """Tell what is installed, what is missing, and the command that mends it."""
    from toolkit.doctor import examine

    return examine(workspace)


def demo(directory: Path | None = None, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Demo:
    """Run the whole line once on real data: train, compress, deploy, watch, retrain.

    Args:
        directory: the folder to do it in, `demo` unless given; it may not hold anything else.
    """
    from toolkit.demo import run

    return run(directory or workspace or Path("demo"), job)


def gui(
    *,
    workspace: Folder = None,
    theme: Literal["system", "light", "dark"] = "system",
    job: Job = QUIET,
) -> None:
    """Open the window.

    Args:
        theme: the window's colours; system is what was last chosen in it.
    """
    import subprocess
    import sys
    from importlib.util import find_spec

    if not find_spec("PySide6") or not find_spec("gui"):
        raise EdgeError("The window is not installed.", "pip install 'sanderling[gui]'")
    # a program of its own: `toolkit` does not know `gui`
    words = ["--workspace", str(workspace)] if workspace else []
    done = subprocess.run([sys.executable, "-m", "gui", "--theme", theme, *words], check=False)
    if done.returncode:
        raise EdgeError(
            f"The window ended with code {done.returncode}; what it said stands above.",
            "Is there a screen? `sanderling doctor` names the libraries it needs.",
        )
