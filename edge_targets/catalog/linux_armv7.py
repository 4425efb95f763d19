"""A 32-bit ARM computer, or a Raspberry Pi with the 32-bit system: TFLite only.

No wheel of onnxruntime, numpy or ai-edge-litert exists for armv7; `tflite-runtime` 2.14 does, for
Python 3.11 and numpy 1, which Debian 12 has (`apt install python3-numpy`). It computes in int8 far
slower than LiteRT. The 64-bit system runs on every board that is newer than the Raspberry Pi 2,
and is the better choice there.
"""

from typing import ClassVar

from edge_targets.places.boards import Board
from edge_targets.places.facts import Facts
from edge_targets.places.known_good import ARMV7
from edge_targets.places.rates import FLOAT, INT8, Macs, Rates, Work, usual_speed

# MobileNet (Howard et al. 2017, arXiv:1704.04861) in ncnn on a Banana Pi M2 Zero, a Cortex-A7 at
# 1.2 GHz as in a Raspberry Pi 2 (https://github.com/Tencent/ncnn/tree/master/benchmark)
MACS, NONE = Macs(window=10.8e6, point=540e6, depth=17.4e6), Macs()
FLOATS = Work(MACS, NONE, values=10.3e6, weight_bytes=16.8e6, operators=30)
IN_INT8 = Work(NONE, MACS, values=10.3e6, weight_bytes=4.2e6, operators=30)
RATES = Rates(
    {
        (FLOAT, 1): usual_speed(FLOAT, FLOATS, 0.972),
        (FLOAT, 4): usual_speed(FLOAT, FLOATS, 0.328),
        (INT8, 1): usual_speed(INT8, IN_INT8, 0.557),
        (INT8, 4): usual_speed(INT8, IN_INT8, 0.167),
    },
    engines={"tflite": 1.0},
    off=3.0,  # one network, and not in the engine that runs here
    source="ncnn's figures for MobileNet on a Cortex-A7",
)


class LinuxArmv7(Board):
    """With Debian 12 (Bookworm) for `armhf`, or the 32-bit Raspberry Pi OS of its time."""

    title: ClassVar = "Linux on 32-bit ARM"
    formats: ClassVar = ("tflite",)
    runtime: ClassVar = ARMV7
    facts: ClassVar = Facts(
        ram_bytes=512 << 20,
        flash_bytes=4 << 30,
        cores=4,
        cpu="cortex-a7",
        features=("vfpv4", "neon"),
        qemu_cpu="cortex-a7",
        rates=RATES,
    )
