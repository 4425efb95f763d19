"""Any 64-bit ARM computer with Debian 12 or 13, Ubuntu of their age, or Raspberry Pi OS.

Its facts are those of the slowest there are: a Cortex-A53, as in a Raspberry Pi 3. A faster one
only needs less than is estimated.
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARM64
from edge_targets.places.published import CORTEX_A53_1_4, published


class LinuxArm64(Board):
    """A computer of which nothing is known but that it runs 64-bit ARM code."""

    title: ClassVar = "Linux on 64-bit ARM"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = ARM64
    facts: ClassVar = Facts(
        ram_bytes=512 << 20,
        flash_bytes=4 << 30,
        cores=4,
        cpu="cortex-a53",
        features=("fp", "asimd"),  # what ARMv8 always has
        qemu_cpu="cortex-a53",
        rates=published(CORTEX_A53_1_4),
    )
