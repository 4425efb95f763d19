"""Static int8 by quantize_int8, by onnxruntime's own quantizer, and by NNCF and Olive if there.

Same float graphs, same calibration items, same runtime, one table. Peers run in environments of
their own: see benchmarks/peers. `--quick` leaves out all but the digits.
"""

import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quantization_subjects import SAMPLES, Subject, subjects
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.passes.equalize_layers import EqualizeLayers
from toolkit.passes.quantize_int8 import QuantizeInt8

Array = NDArray[Any]
PEERS = Path(__file__).parent / "peers"
ROUNDS, RUNS = 5, 60  # of all files in turn: a machine that gets busy slows all of them alike


@dataclass(frozen=True)
class Row:
    method: str
    graph: bytes
    seconds: float


def ours(subject: Subject, **fields: Any) -> bytes:
    """Calibrated with exactly the subject's items."""
    facts = Facts("bench", subject.model.signature.inputs[0], subject.model.signature.labels)
    count = len(subject.calibration)
    data = Dataset(
        "c", facts, subject.calibration, np.zeros(count, np.int64), np.zeros(count, np.uint8)
    )
    model = subject.model.with_data(data)
    if fields.pop("equalize", False):
        model = EqualizeLayers().apply(model, QUIET)
    return QuantizeInt8(samples=SAMPLES, **fields).apply(model, QUIET).graph


def onnxruntimes(subject: Subject, **options: Any) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            name = subject.model.signature.inputs[0].name
            self.items = iter([{name: item[None]} for item in subject.calibration])

        def get_next(self) -> Any:
            return next(self.items, None)

    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (str(Path(folder, f"{n}.onnx")) for n in ("a", "b", "c"))
        Path(source).write_bytes(subject.model.graph)
        logging.disable(logging.WARNING)
        try:
            quant_pre_process(source, ready, skip_symbolic_shape=True)
            quantize_static(ready, target, Reader(), **options)
        finally:
            logging.disable(logging.NOTSET)
        return Path(target).read_bytes()


METHODS: Mapping[str, Callable[[Subject], bytes]] = {
    "quantize_int8": lambda s: ours(s),
    "… percentile": lambda s: ours(s, calibration="percentile"),
    "… entropy": lambda s: ours(s, calibration="entropy"),
    "… mse": lambda s: ours(s, calibration="mse"),
    "… one scale a tensor": lambda s: ours(s, per_channel=False),
    "… equalized, a tensor": lambda s: ours(s, per_channel=False, equalize=True),
    "… corrected bias": lambda s: ours(s, correct_bias=True),
    "… unsigned": lambda s: ours(s, activations="unsigned"),
    "onnxruntime, defaults": lambda s: onnxruntimes(s),
    "onnxruntime, per channel": lambda s: onnxruntimes(s, per_channel=True),
}
COMPARED = ("quantize_int8", "onnxruntime, defaults")
PEER_SCRIPTS = {"NNCF": "nncf_ptq.py", "Olive": "olive_static.py"}


def peer(name: str, subject: Subject) -> Row | str:
    """What a peer made of the subject in its own environment, or why nothing."""
    default = PEERS / f".venv-{name.lower()}" / "bin" / "python"
    python = Path(os.environ.get(f"SANDERLING_{name.upper()}_PYTHON", default))
    if not python.is_file():
        return f"no environment at {python}; see benchmarks/peers/README.md"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "float.onnx").write_bytes(subject.model.graph)
        np.save(Path(folder, "calibration.npy"), subject.calibration)
        command = [str(python), str(PEERS / PEER_SCRIPTS[name]), folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["it failed"])[-1]
        seconds = float(json.loads(Path(folder, "done.json").read_text())["seconds"])
        return Row(name, Path(folder, "int8.onnx").read_bytes(), seconds)


def session(graph: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # without it int8 sums overflow on x86 with AVX2 and no VNNI, whoever quantized
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def answers(found: Any, items: Array) -> Array:
    name = found.get_inputs()[0].name
    return np.concatenate([found.run(None, {name: items[i : i + 1]})[0] for i in range(len(items))])


def latencies(sessions: Mapping[str, Any], item: Array) -> dict[str, float]:
    """The best median of several rounds, milliseconds."""
    best = dict.fromkeys(sessions, float("inf"))
    for _ in range(ROUNDS):
        for name, found in sessions.items():
            feed, times = {found.get_inputs()[0].name: item[None]}, np.empty(RUNS)
            for i in range(RUNS):
                start = time.perf_counter()
                found.run(None, feed)
                times[i] = time.perf_counter() - start
            best[name] = min(best[name], float(np.median(times)) * 1e3)
    return best


def bench(subject: Subject) -> bool:
    """Print the subject's table; whether ours is not provably worse than onnxruntime's default."""
    rows = [Row("float", subject.model.graph, 0.0)]
    for name, quantize in METHODS.items():
        start = time.perf_counter()
        try:
            graph = quantize(subject)
        except Exception as error:  # noqa: BLE001 - a peer's failure is a result
            print(f"({subject.name}: {name} failed: {str(error).splitlines()[0][:120]})")
            continue
        rows.append(Row(name, graph, time.perf_counter() - start))
    for name in PEER_SCRIPTS:
        found = peer(name, subject)
        if isinstance(found, str):
            print(f"({subject.name}: {name} skipped: {found})")
        else:
            rows.append(found)
    sessions = {row.method: session(row.graph) for row in rows}
    timed = latencies(sessions, subject.items[0])
    given = {name: answers(found, subject.items) for name, found in sessions.items()}
    truth = given["float"]
    print(f"\n### {subject.name}, {len(subject.items)} items\n")
    print("| method | accuracy | agrees | SQNR dB | bytes | smaller | time/float | made in s |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        labels = given[row.method].argmax(axis=1)
        known = "" if subject.targets is None else f"{(labels == subject.targets).mean():.4f}"
        agrees = (labels == truth.argmax(axis=1)).mean()
        noise = np.square(given[row.method] - truth).sum()
        ratio = f"{10 * np.log10(np.square(truth).sum() / noise):.1f}" if noise else ""
        print(
            f"| {row.method} | {known} | {agrees:.4f} | {ratio} | {len(row.graph):,} "
            f"| {len(rows[0].graph) / len(row.graph):.2f}× "
            f"| {timed[row.method] / timed['float']:.2f} | {row.seconds:.2f} |"
        )
    mine, theirs = (given[name].argmax(axis=1) == truth.argmax(axis=1) for name in COMPARED)
    lost, won = int((theirs & ~mine).sum()), int((mine & ~theirs).sum())
    print(
        f"\nAgainst onnxruntime's default: {won} labels won, {lost} lost; with equal chances as "
        f"many or more are lost with p = {chance(lost, won):.2f}."
    )
    return chance(lost, won) > 0.05


def chance(lost: int, won: int) -> float:
    """That at least `lost` of all differences are losses if both are equally good (McNemar)."""
    count = lost + won
    return float(sum(math.comb(count, k) for k in range(lost, count + 1)) / 2**count)


def main() -> int:
    verdicts = {each.name: bench(each) for each in subjects("--quick" in sys.argv)}
    worse = [name for name, fine in verdicts.items() if not fine]
    named = f": {', '.join(worse)}" if worse else ""
    print(f"\nWorse than onnxruntime's default on {len(worse)} of {len(verdicts)} models{named}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
