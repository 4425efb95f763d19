"""Our ONNX file against the one that torch's exporter writes, and against other forms of it.

    python benchmarks/bench_onnx.py [--only LSTM] [--slim]

Latencies are of one item on one thread, in turns with those of the exporter's file; the ratio is
that of the least times of the rounds, in processor time: others may keep the machine busy. Files
that are optimised for this machine's processor, and those in ORT format, are compared in what
they take to load and to predict. `--slim` has onnxslim, where it is installed, stand beside our
own steps.
"""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import onnx
import onnxruntime
import torch

from benchmarks.bench_compile import (
    Array,
    Run,
    item_of,
    onnx_runner,
    raw_onnx,
    signature_of,
)
from benchmarks.compile_subjects import Subject, subjects
from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import QUIET
from toolkit.formats.ort import Ort
from toolkit.optimising import OPTIMISERS, Optimiser, folded, optimised

ROUNDS, ROUND_S = 21, 0.01
LOADS = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    parser.add_argument("--slim", action="store_true", help="compare with onnxslim")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: one for name, one in subjects().items() if given.only in name}
    files = {name: (raw_onnx(one), signature_of(one)) for name, one in found.items()}
    print("| network | nodes | size | latency | seconds to write |\n|---|---|---|---|---|")
    for name, subject in found.items():
        ours, seconds = timed(partial(written, files[name]))
        row(name, files[name][0], ours, item_of(subject), f"{seconds:.2f}")
    if given.slim:
        slim(found, files)
    other_forms(found, files)
    return 0


def written(file: tuple[bytes, Signature], optimisers: Sequence[Optimiser] = OPTIMISERS) -> bytes:
    return optimised(*file, None, QUIET, optimisers=optimisers).data


def row(name: str, raw: bytes, ours: bytes, x: Array, last: str) -> None:
    before, after = (len(onnx.load_from_string(data).graph.node) for data in (raw, ours))
    (run, _), (plain, _) = (onnx_runner(data, x) for data in (ours, raw))
    print(
        f"| {name} | {before} to {after} | {len(ours) / len(raw):.2f} | {ratio(run, plain):.3f} "
        f"| {last} |"
    )


def timed(make: Callable[[], bytes]) -> tuple[bytes, float]:
    """What is made, and the seconds that making it again took: the first time imports."""
    make()
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def ratio(one: Run, other: Run) -> float:
    """Time of one over the other's, each the best of rounds in which each goes first in turn."""
    runs = [(run, max(1, int(ROUND_S / spent(run, 3)))) for run in (one, other)]
    times: list[list[float]] = [[], []]
    for i in range(ROUNDS):
        for k in (0, 1) if i % 2 else (1, 0):
            times[k].append(spent(*runs[k]))
    return min(times[0]) / min(times[1])


def spent(run: Run, count: int) -> float:
    """Seconds of this thread's processor time a run."""
    start = time.thread_time()
    for _ in range(count):
        run()
    return (time.thread_time() - start) / count


def slim(found: Mapping[str, Subject], files: Mapping[str, tuple[bytes, Signature]]) -> None:
    """The same with onnxslim in place of our own step, or behind all."""
    step = Optimiser("onnxslim", importlib.import_module("onnxslim").slim)
    for title, steps in (
        ("onnxslim alone", [step]),
        ("fold, then onnxslim", [Optimiser("fold", folded), step]),
        ("ours, then onnxslim", [*OPTIMISERS, step]),
    ):
        print(f"\n## {title}\n")
        print("| network | nodes | size | latency | seconds |\n|---|---|---|---|---|")
        for name, subject in found.items():
            data, seconds = timed(partial(written, files[name], steps))
            row(name, files[name][0], data, item_of(subject), f"{seconds:.2f}")


def other_forms(found: Mapping[str, Subject], files: Mapping[str, tuple[bytes, Signature]]) -> None:
    print("\n## Other forms of our file: ms to load, and latency beside ONNX\n")
    print("| network | ONNX loads | for this processor | ORT format |\n|---|---|---|---|")
    for name, subject in found.items():
        ours, x = written(files[name]), item_of(subject)
        forms = [for_this_processor(ours), Ort().build(*files[name], QUIET).data]
        run, _ = onnx_runner(ours, x)
        cells = [
            f"{load_ms(form, x):.2f}, {ratio(onnx_runner(form, x)[0], run):.2f}×" for form in forms
        ]
        print(f"| {name} | {load_ms(ours, x):.2f} | {' | '.join(cells)} |")


def for_this_processor(graph: bytes) -> bytes:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return file.read_bytes()


def load_ms(data: bytes, x: Array) -> float:
    found = []
    for _ in range(LOADS):
        start = time.perf_counter()
        onnx_runner(data, x)
        found.append(time.perf_counter() - start)
    return 1e3 * min(found)


if __name__ == "__main__":
    sys.exit(main())
