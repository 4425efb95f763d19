"""What eight networks cost an arm64 core, in instructions: int8 against fp32, ORT against LiteRT.

    python benchmarks/bench_cost.py [--cores cortex-a72,cortex-a76] [--repeats 3] [--only NAME,…]

Each count is made anew `--repeats` times, and must be the same to the last instruction. Needs
qemu-user and gcc; the boards' packages are fetched once.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bench_compile import raw_onnx, signature_of
from benchmarks.compile_subjects import Subject, subjects
from edge_targets.emulation.counting import PACKAGES, Instructions, count
from edge_targets.places.known_good import ARM64
from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import clean, parse, written
from toolkit.passes.quantize_int8 import QuantizeInt8

CHOSEN = (
    "mlp", "small_cnn", "resnet8", "ds_cnn", "mobilenet-like", "transformer",
    "LSTM, 28 steps, last", "autoencoder",
)  # fmt: skip
ITEMS = 48
TYPES = ("fp32", "int8")


@dataclass(frozen=True)
class Cell:
    """One file on one core; `counts` are the same, or it is a fault."""

    network: str
    runtime: str
    number_type: str
    core: str
    counts: tuple[Instructions, ...]

    @property
    def total(self) -> int:
        return self.counts[0].total


def chosen(names: tuple[str, ...]) -> dict[str, Subject]:
    wide = Mlp(hidden=(128, 128, 8, 128, 128)).build((640,), 640)  # MLPerf Tiny's, arXiv:2106.07597
    made = {**subjects(), "autoencoder": Subject(wide.eval(), (640,))}
    return {name: made[name] for name in names}


def files(subject: Subject) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Format, number type, file, and the graph that it was made from."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((ITEMS, *subject.shape)).astype(np.float32)
    facts = Facts("bench", TensorSpec("x", (-1, *subject.shape)))
    targets, split = np.zeros(ITEMS, np.float32), np.zeros(ITEMS, np.uint8)
    world = Dataset("bench", facts, inputs, targets, split)
    graph = written(clean(parse(raw_onnx(subject))))
    plain = Model(signature_of(subject), graph=graph, data=world)
    for number_type in TYPES:
        model = plain if number_type == "fp32" else QuantizeInt8().apply(plain, QUIET)
        for name in PACKAGES:
            built = formats[name]().build(model.graph, model.signature, QUIET)
            yield name, number_type, built.data, model.graph


def counted(file: Path, format_name: str, core: str, repeats: int) -> tuple[Instructions, ...]:
    needed = ARM64.requirements("numpy", PACKAGES[format_name])
    return tuple(
        count(file, format_name, core, needed, ARM64.platforms, anew=True) for _ in range(repeats)
    )


def cells(subject: Subject, name: str, cores: tuple[str, ...], repeats: int) -> Iterator[Cell]:
    with tempfile.TemporaryDirectory() as folder:
        for format_name, number_type, data, _ in files(subject):
            path = Path(folder) / f"model.{format_name}"
            path.write_bytes(data)
            for core in cores:
                found = counted(path, format_name, core, repeats)
                yield Cell(name, format_name, number_type, core, found)


def ratio(over: Cell | None, under: Cell | None) -> str:
    return f"{over.total / under.total:.2f}" if over and under else "–"


def shown(network: str, core: str, found: list[Cell]) -> list[str]:
    here = {(c.runtime, c.number_type): c for c in found if (c.network, c.core) == (network, core)}
    millions = [
        f"{here[key].total / 1e6:.2f}" if key in here else "–"
        for key in (("onnx", "fp32"), ("onnx", "int8"), ("tflite", "fp32"), ("tflite", "int8"))
    ]
    return [
        network,
        core.removeprefix("cortex-"),
        *millions,
        ratio(here.get(("onnx", "int8")), here.get(("onnx", "fp32"))),
        ratio(here.get(("tflite", "int8")), here.get(("tflite", "fp32"))),
        ratio(here.get(("onnx", "fp32")), here.get(("tflite", "fp32"))),
        ratio(here.get(("onnx", "int8")), here.get(("tflite", "int8"))),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="cortex-a72,cortex-a76")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="parts of names, with commas between")
    options = parser.parse_args()
    cores = tuple(options.cores.split(","))
    only = options.only.split(",")
    names = tuple(name for name in CHOSEN if any(part in name for part in only))
    found: list[Cell] = []
    for name, subject in chosen(names).items():
        try:
            for cell in cells(subject, name, cores, options.repeats):
                found.append(cell)
                one, totals = cell.counts[0], sorted({count.total for count in cell.counts})
                print(name, cell.number_type, one.cpu, one.runtime, *totals, flush=True)
        except EdgeError as error:
            print(f"{name}: {error}")
    table = Table("network", "core", "ORT fp32", "ORT int8", "LiteRT fp32", "LiteRT int8",
                  "int8/fp32 ORT", "LiteRT", "ORT/LiteRT fp32", "int8")  # fmt: skip
    for name in names:
        for core in cores:
            table.add_row(*shown(name, core, found))
    Console(width=130).print("million instructions of one prediction", table)
    same = all(len(set(cell.counts)) == 1 for cell in found)
    print(f"each counted {options.repeats} times: {'identical' if same else 'NOT identical'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
