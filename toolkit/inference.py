"""Run a model or a compiled file on this machine, with the engines that devices use."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, Tensor
from edge_targets.runtime.durable import storing
from edge_targets.runtime.engines import Engine, engines
from edge_targets.runtime.events import QUIET, Job
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.report import Latency

BATCH = 256  # items an engine is given at once: bounds memory, hides the cost of a call
RUNS, ROUNDS = 30, 3  # of a quick comparison: a tenth of a second for a small network
TEMPORARY = Path("the folder for temporary files")  # as an error names it before it has a path

Inputs = NDArray[Any] | Mapping[str, NDArray[Any]]
"""Items for a model, each array of shape (N, ...): by name, or alone for its first input."""


class Runner:
    """One compiled file, loaded; takes and gives arrays."""

    def __init__(
        self, data: bytes, format_name: str, signature: Signature, threads: int = 1
    ) -> None:
        self.signature = signature
        self.threads = threads
        with storing(TEMPORARY):
            folder = tempfile.TemporaryDirectory()
        with folder:
            kind = formats[format_name]
            path = Path(folder.name) / f"model{kind.suffix}"
            with storing(path):
                path.write_bytes(data)
            self.engine: Engine = engines[kind.engine](path, signature, threads)

    @classmethod
    def of_model(cls, model: Model, job: Job) -> "Runner":
        return cls(graph_of(model, job), "onnx", model.signature)

    def outputs(self, inputs: Inputs, job: Job) -> dict[str, NDArray[Any]]:
        """Every output for all items."""
        items = named(inputs, self.signature)
        found: dict[str, list[NDArray[Any]]] = {spec.name: [] for spec in self.signature.outputs}
        for start in job.track(range(0, item_count(items), BATCH), "run the model"):
            batch = {name: values[start : start + BATCH] for name, values in items.items()}
            answers = self.engine.run({name: tensor(values) for name, values in batch.items()})
            for key, answer in answers.items():
                found[key].append(np.asarray(answer.data).reshape(answer.shape))
        return {key: np.concatenate(parts) for key, parts in found.items()}

    def first_output(self, inputs: Inputs, job: Job) -> NDArray[Any]:
        return self.outputs(inputs, job)[self.signature.outputs[0].name]

    def latency(self, inputs: Inputs, job: Job = QUIET, runs: int = 200) -> Latency:
        """Of one item at a time, after a tenth of the runs as warm-up."""
        given = named(inputs, self.signature)
        items = [
            {name: tensor(values[i : i + 1]) for name, values in given.items()}
            for i in range(min(runs, item_count(given)))
        ]
        durations = timed(lambda i: self.engine.run(items[i % len(items)]), runs, job)
        p50, p90, p99 = np.quantile(durations, (0.5, 0.9, 0.99)) * 1e3
        return Latency(float(p50), float(p90), float(p99), self.threads, runs)


def named(inputs: Inputs, signature: Signature) -> Mapping[str, NDArray[Any]]:
    """Inputs by name."""
    return inputs if isinstance(inputs, Mapping) else {signature.inputs[0].name: inputs}


def item_count(items: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(items.values())))


def side_by_side(
    runners: Sequence[Runner],
    inputs: Inputs,
    job: Job,
    runs: int = RUNS,
    rounds: int = ROUNDS,
) -> list[float]:
    """The best median of a prediction by each, ms; in turn: a busy machine slows all alike."""
    medians = [[r.latency(inputs, job, runs).p50_ms for r in runners] for _ in range(rounds)]
    return [min(found) for found in zip(*medians, strict=True)]


def tensor(values: NDArray[Any]) -> Tensor:
    return Tensor(values.shape, cast("Sequence[float]", values.reshape(-1)))


def timed(call: Callable[[int], object], runs: int, job: Job) -> NDArray[np.float64]:
    """Seconds of each call, after a tenth more as warm-up."""
    message, warm_up = "time single predictions", max(runs // 10, 5)
    durations = np.empty(warm_up + runs)
    job.step(message, 0, 1)
    for i in range(len(durations)):
        if job.cancelled:  # asked, not told: a report between two calls would cool the caches
            job.step(message, 0, 1)
        start = time.perf_counter()
        call(i)
        durations[i] = time.perf_counter() - start
    job.step(message, 1, 1)
    return durations[warm_up:]
