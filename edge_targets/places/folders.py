"""Addresses that are folders of this machine."""

import os
from pathlib import Path

from edge_targets.runtime.errors import DeviceError

FOLDER = "Give a folder of yours, such as ./desk."


def folder_at(address: str) -> Path:
    """The folder that an address names, absolute; it need not be there.

    Raises:
        DeviceError: it names none.
    """
    if not address.strip():
        raise DeviceError("The address is empty.", FOLDER)
    try:
        return Path(os.path.realpath(Path(address).expanduser()))
    except (ValueError, RuntimeError) as error:  # a null byte; ~ of nobody
        raise DeviceError(f"{address!r} is not the path of a folder.", FOLDER) from error


def check_folder(address: str) -> Path:
    """The same, of a folder that is there or can be made."""
    if "@" in address and os.sep not in address:
        raise DeviceError(
            f"{address!r} is the address of a board.",
            f"Leave --target out, or name the board; for a folder write ./{address}.",
        )
    folder = folder_at(address)
    above = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not above.is_dir():
        raise DeviceError(f"{above} is not a folder.", FOLDER)
    if not os.access(above, os.W_OK | os.X_OK):
        raise DeviceError(f"You may not write in {above}.", FOLDER)
    return folder
