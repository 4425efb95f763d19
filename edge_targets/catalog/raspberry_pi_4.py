"""Raspberry Pi 4 Model B (https://datasheets.raspberrypi.com/rpi4/raspberry-pi-4-datasheet.pdf).

Four Cortex-A72 at 1.8 GHz (1.5 GHz before revision 1.4). Its firmware slows it down from 80 °C on,
all it can from 85 °C
(https://www.raspberrypi.com/documentation/computers/raspberry-pi.html, "Thermal management").
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARM64
from edge_targets.places.published import CORTEX_A72_1_8, published


class RaspberryPi4(Board):
    """With the 64-bit Raspberry Pi OS, Bookworm or Trixie."""

    title: ClassVar = "Raspberry Pi 4"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = ARM64
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # the smallest sold
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a72",
        clock_hz=1.8e9,
        instructions_per_s=1.28e9,  # of ncnn, by its published times and our counts
        features=("fp", "asimd", "crc32"),
        qemu_cpu="cortex-a72",
        soft_c=80,
        throttle_c=85,
        boards=("Raspberry Pi 4", "Raspberry Pi Compute Module 4"),
        rates=published(CORTEX_A72_1_8),
    )
