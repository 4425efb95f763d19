"""What the in-process Predictor costs beside the bare runtime, with its profiling on.

    python -m benchmarks.bench_predictor [--rounds 15]

A tiny network, one of about a millisecond and one of large images, in ONNX Runtime and LiteRT:
bare, through the Predictor uncounted, counted, and counted by plain Python. All of a row come from
one run, the best of rounds in turns; a round is long enough to hold whole flushes of the counts.
Times are the process's processor time; the last column compares wall times.
"""

import argparse
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.common import untrained
from edge_targets.package import SigningKey
from edge_targets.runtime import Predictor
from edge_targets.runtime.contract import Profile, TensorSpec
from edge_targets.runtime.engines.onnx import OnnxRuntime
from edge_targets.runtime.engines.tflite import LiteRT
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.profiler import Profiler
from toolkit.data import Dataset, Facts
from toolkit.formats import formats
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.resnet8 import Resnet8
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, write_package

CLASSES = 10
WAYS = ("bare", "uncounted", "counted", "plain")
Run = Callable[[], Any]


@dataclass(frozen=True)
class Subject:
    title: str
    network: Network
    shape: tuple[int, ...]  # of one item
    calls: int  # a round: some flushes of the counts


SUBJECTS = (
    Subject("tiny: 8 columns", Mlp(hidden=(8,)), (8,), 3000),
    Subject("1 ms: 3×32×32", Resnet8(channels=28), (3, 32, 32), 220),
    Subject("large: 3×160×160", Resnet8(channels=8), (3, 160, 160), 110),
)


def dataset(subject: Subject) -> Dataset:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(60, *subject.shape)).astype(np.float32)
    labels = tuple(f"class {index}" for index in range(CLASSES))
    facts = Facts("random", TensorSpec("x", (-1, *subject.shape)), labels)
    split = np.tile(np.array([0, 1, 2], np.uint8), 20)
    return Dataset("random", facts, inputs, np.arange(60) % CLASSES, split)


def packed(subject: Subject, format_name: str, folder: Path) -> Path:
    """An unpacked package of the untrained network; its speed is that of a trained one."""
    torch.manual_seed(0)
    data = dataset(subject)
    model = untrained(subject.network, data)
    graph = graph_of(model, QUIET)
    file = formats[format_name]().build(graph, model.signature, QUIET).data
    contents = Contents("m", format_name, file, model.signature, "simulator", False, "", "")
    write_package(contents, data, SigningKey.from_seed(bytes(32)), folder / "m.sndl", QUIET)
    with zipfile.ZipFile(folder / "m.sndl") as archive:
        archive.extractall(folder / "m")
    return folder / "m"


def bare(predictor: Predictor, item: NDArray[np.float32]) -> Run:
    """What a user's loop would do without us, on the very same session."""
    engine = predictor.engine
    if isinstance(engine, OnnxRuntime):
        session, names = engine.session, engine.outputs
        return lambda: session.run(names, {"x": item})
    assert isinstance(engine, LiteRT)
    runner, [(_, taken)], [(_, given)] = engine.runner, engine.inputs, engine.outputs

    def invoke() -> Any:
        runner.set_tensor(taken, item)
        runner.invoke()
        return runner.get_tensor(given)

    return invoke


def ways(folder: Path, item: NDArray[np.float32]) -> list[Run]:
    predictor, slow = Predictor(folder), Predictor(folder)
    reference = Profile.parse((folder / "profile.json").read_bytes())
    slow.profiler = Profiler(slow.manifest, reference, "", plain=True)
    slow.engine = predictor.engine
    return [
        bare(predictor, item),
        lambda: predictor(item, counted=False),
        lambda: predictor(item),
        lambda: slow(item),
    ]


def race(runs: list[Run], calls: int, rounds: int) -> tuple[list[float], list[float]]:
    """Microseconds a call, of processor and of wall: the best of rounds in turns."""
    cpu: list[list[float]] = [[] for _ in runs]
    wall: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for place, run in enumerate(runs):
            began, start = time.process_time(), time.perf_counter()
            for _ in range(calls):
                run()
            wall[place].append((time.perf_counter() - start) / calls * 1e6)
            cpu[place].append((time.process_time() - began) / calls * 1e6)
    return [min(one) for one in cpu], [min(one) for one in wall]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    table = Table("model", "runtime", *(f"{way} µs" for way in WAYS), "× bare", "+ µs", "× wall")
    for subject in SUBJECTS:
        item = np.random.default_rng(1).normal(size=(1, *subject.shape)).astype(np.float32)
        for format_name in ("onnx", "tflite"):
            with tempfile.TemporaryDirectory() as name:
                runs = ways(packed(subject, format_name, Path(name)), item)
                cpu, wall = race(runs, subject.calls, options.rounds)
            table.add_row(
                subject.title,
                format_name,
                *(f"{one:,.1f}" for one in cpu),
                f"{cpu[2] / cpu[0]:.3f}",
                f"{cpu[2] - cpu[0]:.1f}",
                f"{wall[2] / wall[0]:.3f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
