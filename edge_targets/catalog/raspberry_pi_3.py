"""Raspberry Pi 3 Model B, B+ and A+.

https://datasheets.raspberrypi.com/rpi3/raspberry-pi-3-b-plus-product-brief.pdf: four Cortex-A53 at
1.4 GHz (1.2 GHz without the plus); the A+ has 512 MB. The B+ and A+ slow down to 1.2 GHz from
60 °C on, all of them as far as they can from 85 °C
(https://www.raspberrypi.com/documentation/computers/config_txt.html, "temp_soft_limit").
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARM64
from edge_targets.places.published import CORTEX_A53_1_4, published


class RaspberryPi3(Board):
    """With the 64-bit Raspberry Pi OS, Bookworm or Trixie."""

    title: ClassVar = "Raspberry Pi 3"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = ARM64
    facts: ClassVar = Facts(
        ram_bytes=512 << 20,  # the smallest sold
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a53",
        clock_hz=1.4e9,
        instructions_per_s=0.72e9,  # of ncnn, by its published times and our counts
        features=("fp", "asimd", "crc32"),
        qemu_cpu="cortex-a53",
        soft_c=60,
        throttle_c=85,
        boards=("Raspberry Pi 3", "Raspberry Pi Compute Module 3"),
        rates=published(CORTEX_A53_1_4),
    )
