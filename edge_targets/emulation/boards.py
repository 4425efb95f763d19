"""What a Raspberry Pi says of itself in files that programs read.

A runtime's CPU detection (cpuinfo of PyTorch, in onnxruntime and XNNPACK) reads /proc/cpuinfo and
/sys/devices/system/cpu; with a desktop's there it ends in a segmentation fault under qemu.
Implementer and part numbers: Arm's MIDR_EL1; board revisions: Raspberry Pi's revision codes.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

CORES = 4
IDLE_TEMPERATURE = 48_312  # millidegrees Celsius: a Pi on a desk
V8_0 = "fp asimd evtstrm crc32 cpuid"
V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Board:
    """What one board tells.

    Attributes:
        model: as the device tree names it.
        revision: Raspberry Pi's code of the board.
        part, variant, stepping: of the core, as MIDR_EL1 has them.
        features: of the core, as Linux names them.
    """

    model: str
    revision: str
    part: str
    variant: str
    stepping: int
    features: str

    @property
    def cpuinfo(self) -> str:
        core = (
            "processor\t: {number}\n"
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\n"
            "CPU implementer\t: 0x41\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\n"
            f"CPU part\t: {self.part}\n"
            f"CPU revision\t: {self.stepping}\n"
            "\n"
        )
        cores = "".join(core.format(number=number) for number in range(CORES))
        return (
            f"{cores}Revision\t: {self.revision}\nSerial\t\t: 10000000abcdef01\n"
            f"Model\t\t: {self.model}\n"
        )


# By the name qemu has for the core.
BOARDS = MappingProxyType(
    {
        "cortex-a53": Board(
            "Raspberry Pi 3 Model B Plus Rev 1.3", "a020d3", "0xd03", "0x0", 4, V8_0
        ),
        "cortex-a72": Board("Raspberry Pi 4 Model B Rev 1.4", "c03114", "0xd08", "0x0", 3, V8_0),
        "cortex-a76": Board("Raspberry Pi 5 Model B Rev 1.0", "c04170", "0xd0b", "0x4", 1, V8_2),
    }
)


def write_sys(folder: Path, board: Board) -> None:
    """What of /sys a program on the board reads: its cores, its temperature, its name."""
    files = {
        **{
            f"devices/system/cpu/{name}": f"0-{CORES - 1}\n"
            for name in ("possible", "present", "online")
        },
        "class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "class/thermal/thermal_zone0/temp": f"{IDLE_TEMPERATURE}\n",
        "firmware/devicetree/base/model": f"{board.model}\0",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for number in range(CORES):
        (folder / f"devices/system/cpu/cpu{number}").mkdir(exist_ok=True)
