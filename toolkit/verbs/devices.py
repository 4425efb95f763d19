"""Boards and other places with an agent."""

from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Report
from toolkit.results.updates import Followed
from toolkit.verbs.words import Flag, Folder, Given


def deploy(
    package: str, device: str, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Deployed:
    """Put a package on a device, which checks it, tries it and only then switches to it.

    A version that does not stay healthy for its probation is taken back by the device itself.

    Args:
        package: the name of a package.
        device: the name of a device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.deploy(Workspace.find(workspace), package, device, job)


def rollback(
    device: str, /, *, model: Given = None, workspace: Folder = None, job: Job = QUIET
) -> r.RolledBack:
    """Have a device serve the version before again, at once.

    Args:
        device: the name of a device.
        model: by the name it is served; needed only where a device serves several.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.rollback(Workspace.find(workspace), device, model or "")


def device_add(
    name: str,
    address: str | None = None,
    /,
    *,
    target: Given = None,
    ask_password: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.DeviceInfo:
    """Make a board one of your devices, or name a place that is one already.

    Over SSH all it needs is carried there: a runtime for its processor, the agent, a service that
    starts it. The board needs no internet. A password, where one is needed, is used once: after
    that, a key of the workspace is trusted there.

    Args:
        name: what to call it; or pi@HOST alone, and it is called after its host.
        address: pi@HOST or ssh://USER@HOST:PORT; http://HOST:PORT of an agent that runs; or, for
            the simulator and the browser, a folder.
        target: what it is; `sanderling list targets` names them. A board reached over SSH tells.
        ask_password: ask for the password of the board; without it, that in the variable
            SANDERLING_PASSWORD, or a key of yours.
    """
    from toolkit import devices, secrets
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    if address is None:
        name, address = devices.name_of(name), name
    return devices.add(shelves, name, address, target, secrets.password(ask_password), job)


def device_list(*, workspace: Folder = None, job: Job = QUIET) -> r.Devices:
    """Name all devices, each asked how it is."""
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.asked(Workspace.find(workspace), job)


def device_remove(
    name: str, /, *, uninstall: Flag = False, workspace: Folder = None, job: Job = QUIET
) -> r.Devices:
    """Forget a device. What runs there goes on, unless it is uninstalled.

    Args:
        name: of the device.
        uninstall: take the agent, its models and what it has not sent off the device.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    devices.remove(shelves, name, uninstall, job)
    return devices.asked(shelves, job)


def device_status(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Ask a device how it is, what it serves and what it has not sent yet.

    Args:
        name: of the device.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.status(Workspace.find(workspace), name)


def device_stop(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Stop the agent of a device; what it has not sent stays in its spool.

    Args:
        name: of the device.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.stop(Workspace.find(workspace), name)


def device_drop(
    name: str, model: str, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.DeviceInfo:
    """Have a device serve a model no longer; its other models go on.

    Args:
        name: of the device.
        model: by the name it is served.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.drop(Workspace.find(workspace), name, model)


def device_logs(
    name: str, /, *, lines: int = 50, workspace: Folder = None, job: Job = QUIET
) -> r.Logs:
    """Show the last lines that the agent of a device wrote.

    Args:
        name: of the device.
        lines: how many.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.logs(Workspace.find(workspace), name, lines)


def device_bench(
    name: str,
    package: str,
    /,
    *,
    threads: int = 1,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Benched:
    """Time a package on a device, in a process of its own; what it serves stays.

    Args:
        name: of the device.
        package: the name of a package.
        threads: that one prediction may use.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.bench(Workspace.find(workspace), name, package, threads, job)


def device_fastest(
    name: str, /, *artifacts: str, data: str, workspace: Folder = None, job: Job = QUIET
) -> Report:
    """Time files of a model on a device, with one thread and with more, and name the fastest.

    Args:
        name: of the device.
        artifacts: files made by `build`, such as an ONNX and a TFLite file of the same model.
        data: the dataset that inputs are taken from.
    """
    from toolkit import on_device
    from toolkit.workspace import Workspace

    return on_device.fastest(Workspace.find(workspace), artifacts, data, name, job).report


def device_probe(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.ProbedDevice:
    """Time a few small networks on a device, so that latency can be predicted for it.

    Args:
        name: of the device.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    return devices.probe(Workspace.find(workspace), name, job)


def device_shell(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> None:
    """Open a shell on a device that is reached over SSH.

    Args:
        name: of the device.
    """
    from toolkit import devices
    from toolkit.workspace import Workspace

    devices.shell(Workspace.find(workspace), name)


def device_follow(
    name: str,
    repository: str,
    /,
    *,
    channel: str = "stable",
    every: str = "1h",
    limit: Given = None,
    broker: Given = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> Followed:
    """Have a device look for updates by itself, in a repository that `publish` writes.

    Args:
        name: of the device.
        repository: its base address, http://… or https://…; `none` ends it.
        channel: of the repository.
        every: the time between two looks, such as 15min or 6h; each is moved by chance a little.
        limit: what a download may take, such as 200kB (a second); all there is unless given.
        broker: mqtt://HOST:PORT or mqtts://…, whose messages make it look at once.
    """
    from toolkit import following
    from toolkit.quantities import seconds, size_bytes
    from toolkit.workspace import Workspace

    return following.follow(
        Workspace.find(workspace),
        name,
        "" if repository == "none" else repository.rstrip("/"),
        job,
        channel,
        seconds(every, "--every"),
        size_bytes(limit, "--limit") if limit else 0,
        broker or "",
    )
