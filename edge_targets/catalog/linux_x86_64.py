"""Any 64-bit Intel or AMD computer with Linux: a gateway, an industrial PC, a server.

How fast it is nobody knows beforehand; this very machine stands for it, or a device is asked.
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import X86_64


class LinuxX8664(Board):
    """A computer of which nothing is known but that it runs 64-bit Intel code."""

    title: ClassVar = "Linux on x86-64"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = X86_64
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,
        flash_bytes=4 << 30,
        cores=2,
        cpu="x86-64",
        features=("sse2",),  # what x86-64 always has
    )
