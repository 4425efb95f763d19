"""Raspberry Pi 4 Model B (https://datasheets.raspberrypi.com/rpi4/raspberry-pi-4-datasheet.pdf)."""

from typing import ClassVar

from edge_targets.catalog.base import AgentTarget, Facts


class RaspberryPi4(AgentTarget):
    """A board on the network whose agent has been started: enrolment over SSH is not there yet."""

    title: ClassVar = "Raspberry Pi 4"
    formats: ClassVar = ("onnx", "tflite")
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # the smallest sold
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a72",
    )
