"""Boards and other places with an agent."""

from pathlib import Path

from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.verbs.words import Folder


def deploy(
    package: str, device: str, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Deployed:
    """Put a package on a device, which checks it, tries it and only then switches to it.

    Args:
        package: the name of a package.
        device: the name of a device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.deploy(Workspace.find(workspace), package, device, job)


def device_add(
    name: str, address: str, /, *, target: str, workspace: Folder = None, job: Job = QUIET
) -> r.DeviceInfo:
    """Give a device a name. Nothing is sent to it yet.

    Args:
        name: what to call it.
        address: http://HOST:PORT of an agent that runs, or, for the simulator and the browser, a
            folder.
        target: what it is; `sanderling list targets` names them.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_add(Workspace.find(workspace), name, address, target)


def device_list(*, workspace: Folder = None, job: Job = QUIET) -> r.Devices:
    """Name all devices, each asked how it is."""
    from toolkit import shipping
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    names = job.track(shelves.names("devices"), "ask devices")
    return r.Devices(tuple(shipping.device_status(shelves, name) for name in names))


def device_remove(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Devices:
    """Forget a device. Nothing is sent to it: what runs there goes on.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    shipping.device_remove(shelves, name)
    return device_list(workspace=workspace, job=job)


def device_status(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Ask a device how it is, what it serves and what it has not sent yet.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_status(Workspace.find(workspace), name)


def device_stop(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Stop the agent of a device; what it has not sent stays in its spool.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_stop(Workspace.find(workspace), name)


def flash(image: Path, disk: Path, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Flashed:
    """Write a system image to a memory card and read it back to be sure.

    Args:
        image: .img, .img.xz or .img.gz.
        disk: the card's device, such as /dev/sdX, or the name of a new file; a disk in use is
            refused.
    """
    from edge_targets.flashing.image import write_image

    done = write_image(image, disk, job)
    return r.Flashed(str(disk), done.bytes_written, done.sha256)
