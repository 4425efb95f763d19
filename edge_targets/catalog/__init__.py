"""Places a model can go to; one file per class of places."""

from edge_targets.catalog.base import Target
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.registry import Registry

__all__ = ["Target", "recognise", "targets"]

WORD = {"arm64": "aarch64", "amd64": "x86_64", "armv8l": "armv7l"}  # other names of processors

targets = Registry(__name__, Target)


def recognise(machine: str, board: str = "", bits: int = 64) -> str:
    """The name of the target that a computer is, the narrowest that fits.

    Args:
        machine: what `uname -m` says there.
        board: what `/proc/device-tree/model` says; empty where there is no such file.
        bits: of its programs: a 64-bit kernel may have a 32-bit system.

    Raises:
        UnsupportedError: no runtime exists for its processor.
    """
    machine = WORD.get(machine, machine)
    if machine == "armv6l":
        raise UnsupportedError(
            f"{board or 'This device'} is ARMv6: no runtime exists for its processor.",
            "Neither ONNX Runtime nor TFLite nor numpy is built for ARMv6 (Raspberry Pi 1, Zero, "
            "Zero W). The Zero 2 W has the same size, and runs both.",
        )
    if machine == "aarch64" and bits == 32:
        machine = "armv7l"
    suited = [name for name in targets.names() if targets[name].runtime.machine == machine]
    for name in suited:
        if any(board.startswith(known) for known in targets[name].facts.boards):
            return name
    for name in suited:
        if not targets[name].facts.boards:
            return name
    raise UnsupportedError(
        f"{board or 'This device'} has a processor of the kind {machine!r}, which none of our "
        "runtimes is built for.",
        "Use a computer with 64-bit ARM (aarch64) or Intel (x86_64).",
    )
