"""How well latency is predicted: published figures of four Raspberry Pis, and this machine.

    python benchmarks/bench_latency.py [--here] [--speeds]

Reached: median error at most 20 %, and an error bar that holds four of five. `published/ncnn.csv`
has the least milliseconds of each network from ncnn's table, on one thread and on four
(https://github.com/Tencent/ncnn/tree/master/benchmark, commit a4d2ea1); what the networks ask of a
processor, worked out from the layers' shapes in the same folder; and the instructions of ncnn
1.0.20261020 on one thread, counted with our plugin.

`--here` times probes and other networks on this machine; `--speeds` prints the boards' rates.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_targets.catalog import targets
from edge_targets.places.rates import FLOAT, INT8, Macs, Speed, Work
from toolkit.speeds import bar, columns, fitted

TABLE = Path(__file__).parent / "published" / "ncnn.csv"
BOARDS = {"zero_2w": "Zero 2 W", "3": "3 B+", "4": "4 B", "5": "5"}
CORES = {"zero_2w": "cortex_a72", "3": "cortex_a72", "4": "cortex_a72", "5": "cortex_a76"}
PROBED = ("mobilenet", "resnet18", "squeezenet")
# milliseconds on all four cores, https://github.com/google/XNNPACK, "Raspberry Pi"; of the
# Raspberry Pi 4 the column for ARM64, of the 3+ there is one for 32 bits only
XNNPACK = (
    ("mobilenet", FLOAT, {"3": 114, "4": 77}),
    ("mobilenet_v2", FLOAT, {"3": 79, "4": 46}),
    ("mobilenet_v3", FLOAT, {"3": 67, "4": 40}),
    ("mobilenet", INT8, {"3": 46, "4": 24}),
    ("mobilenet_v2", INT8, {"3": 30, "4": 17}),
)
REACH, COVERED = 0.2, 0.8


@dataclass(frozen=True)
class Row:
    network: str
    number_type: str
    work: Work
    ms: Mapping[tuple[str, int], float]
    instructions: Mapping[str, float]


def rows() -> list[Row]:
    with TABLE.open(newline="") as file:
        return [row_of(line) for line in csv.DictReader(file)]


def row_of(line: Mapping[str, str]) -> Row:
    macs = Macs(*(float(line[name]) for name in ("window", "point", "depth")))
    number_type = line["number_type"]
    in_int8 = number_type == INT8
    work = Work(
        Macs() if in_int8 else macs,
        macs if in_int8 else Macs(),
        float(line["values"]),
        float(line["weights"]) * (1 if in_int8 else 4),
        int(line["operators"]),
    )
    ms = {
        (board, threads): float(line[f"{board}_{threads}_ms"])
        for board in BOARDS
        for threads in (1, 4)
        if line[f"{board}_{threads}_ms"]
    }
    counted = {core: float(line[core]) for core in set(CORES.values()) if line[core]}
    return Row(line["network"], number_type, work, ms, counted)


def median(errors: Sequence[float]) -> float:
    """Of the relative errors of an estimate, from logarithms."""
    return float(np.median(np.abs(np.expm1(errors))))


def held(errors: Sequence[float]) -> float:
    """How many lie within the bar that the others make."""
    inside = [
        abs(error) <= np.log(bar([*errors[:i], *errors[i + 1 :]])) for i, error in enumerate(errors)
    ]
    return float(np.mean(inside))


def line_of(name: str, errors: Sequence[float]) -> list[str]:
    return [
        name, str(len(errors)), f"{median(errors):.1%}", f"{bar(errors):.2f}", f"{held(errors):.0%}"
    ]  # fmt: skip


def left_out(found: list[Row], print_speeds: bool) -> dict[str, list[float]]:
    """Each network predicted from the others of its board, type and threads."""
    errors: dict[str, list[float]] = {}
    for board, name in BOARDS.items():
        for number_type in (FLOAT, INT8):
            for threads in (1, 4):
                here = [r for r in found
                        if r.number_type == number_type and (board, threads) in r.ms]  # fmt: skip
                seconds = [r.ms[board, threads] / 1e3 for r in here]
                fit = fitted([r.work for r in here], seconds, number_type)
                errors[f"Raspberry Pi {name}, {number_type}, {threads} threads"] = [*fit.errors]
                if print_speeds:
                    shares = ", ".join(f"{share:.3g}" for share in astuple(fit.speed))
                    print(f"{name} {number_type} {threads}: Speed({shares})")
    return errors


def from_probes(found: list[Row]) -> list[float]:
    """All networks of a board predicted from three of them."""
    errors: list[float] = []
    for board in BOARDS:
        for number_type in (FLOAT, INT8):
            for threads in (1, 4):
                here = [r for r in found
                        if r.number_type == number_type and (board, threads) in r.ms]  # fmt: skip
                known = [r for r in here if r.network in PROBED]
                seconds = [r.ms[board, threads] / 1e3 for r in known]
                speed = fitted([r.work for r in known], seconds, number_type).speed
                errors += [
                    float(np.log(ms_of(speed, r) / r.ms[board, threads]))
                    for r in here
                    if r.network not in PROBED
                ]
    return errors


def ms_of(speed: Speed, row: Row) -> float:
    return float(columns(row.work, row.number_type) @ np.array(astuple(speed))) / 1e6


def by_instructions(found: list[Row]) -> dict[str, list[float]]:
    """One thread: instructions over the one rate that the other networks have."""
    errors = {}
    for board, name in BOARDS.items():
        here = [r for r in found if CORES[board] in r.instructions and (board, 1) in r.ms]
        rates = np.array([r.instructions[CORES[board]] / r.ms[board, 1] * 1e3 for r in here])
        logs = np.log(rates)
        errors[f"Raspberry Pi {name}, {np.median(rates) / 1e9:.2f} G/s"] = [
            float(logs[i] - np.median(np.delete(logs, i))) for i in range(len(logs))
        ]
    return errors


def by_engine(found: list[Row]) -> list[float]:
    """What the catalog says of LiteRT on four threads, against XNNPACK's own table."""
    known = {(r.network, r.number_type): r.work for r in found}
    errors = []
    for network, number_type, measured in XNNPACK:
        work = known.get((network, number_type)) or known[network, FLOAT].in_int8()
        for board, ms in measured.items():
            rates = targets[f"raspberry_pi_{board}"].facts.rates
            assert rates
            errors.append(float(np.log(rates.seconds(work, "tflite", 4) * 1e3 / ms)))
    return errors


def here() -> dict[str, list[float]]:
    """Networks of our own on this machine, predicted from the probes that ran here."""
    from benchmarks.bench_cost import files
    from benchmarks.compile_subjects import subjects
    from edge_targets.runtime.contract import Signature, TensorSpec
    from edge_targets.runtime.events import QUIET
    from toolkit.data import Dataset
    from toolkit.latency import Clock, Finished, Here, work_of
    from toolkit.probes import probe

    def clock_of(world: Dataset) -> Clock:
        return Here(world.part("validation")[0])

    target = targets["simulator"]()
    rates = probe(target, clock_of, [1], QUIET).rates
    errors: dict[str, list[float]] = {}
    for name in ("mlp", "small_cnn", "resnet8", "ds_cnn", "mobilenet-like"):
        subject = subjects()[name]
        signature = Signature(
            (TensorSpec("x", (-1, *subject.shape)),),
            (TensorSpec("y", (-1, 4 if name == "mlp" else 10)),),
        )
        inputs = np.random.default_rng(0).random((8, *subject.shape), np.float32)
        for form, number_type, data, graph in files(subject):
            file = Finished(graph, data, form, number_type == "int8", signature)
            measured = Here(inputs)(file, 1, QUIET).latency_ms
            estimate = rates[form].seconds(work_of(graph), form, 1) * 1e3
            print(
                f"{name} {form} {number_type}: {estimate:.3f} ms for {measured:.3f} ms", flush=True
            )
            errors.setdefault(f"this machine, {form}", []).append(
                float(np.log(estimate / measured))
            )
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--speeds", action="store_true")
    options = parser.parse_args()
    found = rows()
    alone = left_out(found, options.speeds)
    counted = by_instructions(found)
    table = Table("predicted", "networks", "median error", "bar: times off", "held by others' bar")
    for name, errors in alone.items():
        table.add_row(*line_of(name, errors))
    everything = [error for errors in alone.values() for error in errors]
    table.add_row(*line_of("each left out, together", everything), style="bold", end_section=True)
    table.add_row(
        *line_of(f"from three: {', '.join(PROBED)}", from_probes(found)), end_section=True
    )
    for name, errors in counted.items():
        table.add_row(*line_of(name, errors))
    together = [error for errors in counted.values() for error in errors]
    table.add_row(*line_of("by instructions, together", together), style="bold", end_section=True)
    table.add_row(*line_of("LiteRT by the catalog, 4 threads", by_engine(found)), end_section=True)
    if options.here:
        for name, errors in here().items():
            table.add_row(*line_of(name, errors))
    Console(width=120).print(table)
    good = median(everything) <= REACH and held(everything) >= COVERED - 0.01
    print(f"median at most {REACH:.0%} and bar holds {COVERED:.0%}: {'yes' if good else 'NO'}")


if __name__ == "__main__":
    main()
