"""Raspberry Pi 4 Model B (https://datasheets.raspberrypi.com/rpi4/raspberry-pi-4-datasheet.pdf)."""

from typing import ClassVar

from edge_targets.places.agents import AgentTarget
from edge_targets.places.facts import Facts, Rates

# https://github.com/Tencent/ncnn/tree/master/benchmark, "Raspberry Pi 4 Model B": mobilenet, which
# has 569 million multiply-accumulate operations (Howard et al. 2017, arXiv:1704.04861), takes
# 124 ms in float and 85 ms in int8 on one thread; 61 and 34 ms on four.
MOBILENET = 569e6
RATES = Rates(
    float_macs=MOBILENET / 124e-3,
    int8_macs=MOBILENET / 85e-3,
    bytes_per_s=4e9,  # what one core copies of its LPDDR4 memory
    parallel=0.7,  # 0.68 in float, 0.80 in int8: from the times of one and of four threads
    operator_s=4e-6,  # ours on x86-64, times four, the ratio of single threads
    call_s=40e-6,  # likewise
    # a small network takes 5.90 million arm64 instructions in ONNX Runtime, 4.22 in LiteRT
    engines={"onnx": 1.4, "tflite": 1.0},
    off=3.0,  # the same network takes 88 ms in ncnn and 317 ms in TFLite on a Raspberry Pi 5
    source="ncnn's table of mobilenet",
)


class RaspberryPi4(AgentTarget):
    """A board on the network whose agent has been started: enrolment over SSH is not there yet."""

    title: ClassVar = "Raspberry Pi 4"
    formats: ClassVar = ("onnx", "tflite")
    facts: ClassVar = Facts(
        ram_bytes=1 << 30,  # the smallest sold
        flash_bytes=4 << 30,  # of an 8 GB card beside the system
        cores=4,
        cpu="cortex-a72",
        rates=RATES,
    )
