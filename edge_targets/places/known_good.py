"""Versions that were seen to run together, and where their wheels are for each processor.

onnxruntime 1.21 died of an illegal instruction on a Raspberry Pi 4
(https://github.com/microsoft/onnxruntime/issues/23957 and 24112), so a version is named here only
after it has been imported and has answered on every core that a target names, in QEMU.
"""

from edge_targets.places.facts import Runtime, manylinux

BOOKWORM, TRIXIE = "3.11", "3.13"  # what /usr/bin/python3 is in Debian 12 and 13
PINS = {
    "numpy": "2.4.6",
    "onnxruntime": "1.31.1",
    "ai-edge-litert": "2.3.0",
    "cryptography": "50.0.2",
    "zstandard": "0.25.0",
    "bsdiff4": "1.3.2",
    "tuf": "7.0.1",
    "securesystemslib": "1.6.0",
    "paho-mqtt": "2.2.0",
}
# Debian 12 has glibc 2.36
ARM64 = Runtime(PINS, (BOOKWORM, TRIXIE), "aarch64", manylinux("aarch64", 36))
X86_64 = Runtime(PINS, (BOOKWORM, "3.12", TRIXIE), "x86_64", manylinux("x86_64", 36))
# the last tflite-runtime for 32 bits: built for numpy 1, of which only Debian has a package
ARMV7 = Runtime(
    {"tflite-runtime": "2.14.0"},
    (BOOKWORM,),
    "armv7l",
    manylinux("armv7l", 36),
    ("python3-numpy", "python3-cryptography", "python3-zstandard", "python3-paho-mqtt"),
)
