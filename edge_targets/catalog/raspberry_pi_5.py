"""Raspberry Pi 5 (https://datasheets.raspberrypi.com/rpi5/raspberry-pi-5-product-brief.pdf).

Four Cortex-A76 at 2.4 GHz, the first with the dot product of int8 (`asimddp`), which makes
convolutions in int8 worth while. Sold with 1 GB since December 2025. Its firmware slows it down
from 80 °C on, all it can from 85 °C
(https://www.raspberrypi.com/documentation/computers/raspberry-pi.html, "Thermal management").
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARM64
from edge_targets.places.published import CORTEX_A76_2_4, published


class RaspberryPi5(Board):
    """With the 64-bit Raspberry Pi OS, Bookworm or Trixie."""

    title: ClassVar = "Raspberry Pi 5"
    formats: ClassVar = ("onnx", "tflite")
    runtime: ClassVar = ARM64
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # the smallest sold
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a76",
        clock_hz=2.4e9,
        instructions_per_s=4.26e9,  # of ncnn, by its published times and our counts
        features=(
            "fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp",
            "asimdrdm", "lrcpc", "dcpop", "asimddp",
        ),
        qemu_cpu="cortex-a76",
        soft_c=80,
        throttle_c=85,
        boards=("Raspberry Pi 5", "Raspberry Pi Compute Module 5"),
        rates=published(CORTEX_A76_2_4),
    )  # fmt: skip
