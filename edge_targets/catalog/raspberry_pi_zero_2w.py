"""Raspberry Pi Zero 2 W.

https://datasheets.raspberrypi.com/rpizero2/raspberry-pi-zero-2-w-product-brief.pdf: four
Cortex-A53 at 1 GHz, 512 MB. Its firmware slows it down from 80 °C on, all it can from 85 °C
(https://www.raspberrypi.com/documentation/computers/raspberry-pi.html, "Thermal management").
The Zero and Zero W before it are ARMv6, for which no runtime exists.
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARM64
from edge_targets.places.published import CORTEX_A53_1_0, published


class RaspberryPiZero2W(Board):
    """With the 64-bit Raspberry Pi OS, Bookworm or Trixie."""

    title: ClassVar = "Raspberry Pi Zero 2 W"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = ARM64
    facts: ClassVar = Facts(
        ram_bytes=512 << 20,
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a53",
        clock_hz=1e9,
        instructions_per_s=0.39e9,  # of ncnn, by its published times and our counts
        features=("fp", "asimd", "crc32"),
        qemu_cpu="cortex-a53",
        soft_c=80,
        throttle_c=85,
        boards=("Raspberry Pi Zero 2",),
        rates=published(CORTEX_A53_1_0),
    )
