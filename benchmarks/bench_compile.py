"""What our compilers make of networks: how long they take, how large and how fast it is.

With `--litert PYTHON`, the interpreter of an environment that has litert-torch, its files stand
beside ours; all latencies of a row come from one run, round by round in turns.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from benchmarks.common import SHARED
from benchmarks.compile_subjects import Subject, subjects
from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.engines.tflite import quiet
from edge_targets.runtime.events import QUIET
from toolkit.formats import formats
from toolkit.importers import Given, read_model

PEER = Path(__file__).parent / "peers" / "litert_torch_convert.py"
ROUNDS, ROUND_S = 15, 0.01
CLOSE = 1e-4  # of the spread: between two right files

Array = NDArray[Any]
Run = Callable[[], Any]


def raw_onnx(subject: Subject) -> bytes:
    """As torch's exporter writes it."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            subject.module, (torch.zeros(2, *subject.shape),), dynamo=True, verbose=False,
            external_data=False, input_names=["x"], output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )  # fmt: skip
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def item_of(subject: Subject) -> Array:
    return np.random.default_rng(0).standard_normal((1, *subject.shape)).astype(np.float32)


def signature_of(subject: Subject) -> Signature:
    with torch.no_grad():
        found = subject.module(torch.zeros(2, *subject.shape))
    return Signature(
        (TensorSpec("x", (-1, *subject.shape)),), (TensorSpec("y", (-1, *found.shape[1:])),)
    )


def tflite_runner(data: bytes, x: Array) -> tuple[Run, Array]:
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        runner = Interpreter(model_content=data, num_threads=1)
        runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], x)
    runner.invoke()
    found: Array = runner.get_tensor(runner.get_output_details()[0]["index"]).copy()
    return runner.invoke, found


def onnx_runner(data: bytes, x: Array) -> tuple[Run, Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return (lambda: session.run(None, {"x": x})), session.run(None, {"x": x})[0]


def race(runs: list[Run]) -> list[float]:
    """Seconds of processor time a run: the best of rounds in turns, each of many runs."""
    times: list[list[float]] = [[] for _ in runs]
    counts = [max(1, int(ROUND_S / once(run, 3))) for run in runs]
    for _ in range(ROUNDS):
        for run, count, found in zip(runs, counts, times, strict=True):
            found.append(once(run, count))
    return [min(found) for found in times]


def once(run: Run, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        run()
    return (time.process_time() - start) / count


def peers(python: str, found: Mapping[str, Subject], folder: Path) -> dict[str, float]:
    """Have litert-torch convert every subject; gives the seconds it took by name."""
    for index, subject in enumerate(found.values()):
        x = item_of(subject)
        program = torch.export.export(subject.module, (torch.from_numpy(x),))
        torch.export.save(program, folder / f"{index}.pt2")
        np.save(folder / f"{index}.npy", x)
    subprocess.run([python, str(PEER), str(folder)], check=True, capture_output=True)
    seconds = json.loads((folder / "seconds.json").read_text())
    return {name: seconds.get(str(index), 0.0) for index, name in enumerate(found)}


def compile_times(raws: Mapping[str, tuple[bytes, Signature]]) -> None:
    print("\n## How long our TFLite compiler takes\n")
    print("| model | ONNX kB | seconds |\n|---|---|---|")
    for name, (raw, signature) in raws.items():
        start = time.perf_counter()
        formats["tflite"]().build(raw, signature, QUIET)
        print(f"| {name} | {len(raw) / 1e3:.0f} | {time.perf_counter() - start:.2f} |")


def imported() -> dict[str, tuple[bytes, Signature]]:
    """MLPerf Tiny's files, as far as they are here, read back into graphs."""
    found = {}
    for path in sorted((SHARED / "mlperf_tiny").glob("*_fp32.tflite")):
        model = read_model(path, Given(), QUIET).model
        found[path.name] = model.graph, model.signature
    return found


def against_litert(python: str, found: Mapping[str, Subject], raws: Mapping[str, Any]) -> None:
    print("\n## TFLite: ours against litert-torch's\n")
    print("| model | kB | its kB | size | µs | its µs | latency | compiled in s | its s |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seconds = peers(python, found, folder)
        for index, (name, subject) in enumerate(found.items()):
            raw, signature = raws[name]
            start = time.perf_counter()
            ours = formats["tflite"]().build(raw, signature, QUIET).data
            taken = time.perf_counter() - start
            file = folder / f"{index}.peer.tflite"
            if not file.exists():
                reason = (folder / f"{index}.failed").read_text().splitlines()[0]
                print(f"| {name} | {len(ours) / 1e3:.1f} | refused: {reason} |")
                continue
            theirs, x = file.read_bytes(), item_of(subject)
            (run, answer), (peer, expected) = (tflite_runner(d, x) for d in (ours, theirs))
            assert np.abs(answer - expected).max() <= CLOSE * max(1.0, np.ptp(expected)), name
            mine, its = race([run, peer])
            print(
                f"| {name} | {len(ours) / 1e3:.1f} | {len(theirs) / 1e3:.1f} "
                f"| {len(ours) / len(theirs):.2f} | {mine * 1e6:.0f} | {its * 1e6:.0f} "
                f"| {mine / its:.2f} | {taken:.2f} | {seconds[name]:.1f} |"
            )


def against_raw(found: Mapping[str, Subject], raws: Mapping[str, Any]) -> None:
    print("\n## ONNX: our file against the exporter's\n")
    print("| model | size | latency |\n|---|---|---|")
    for name, subject in found.items():
        raw, signature = raws[name]
        x = item_of(subject)
        ours = formats["onnx"]().build(raw, signature, QUIET, {"x": x}).data
        (run, answer), (plain, expected) = (onnx_runner(data, x) for data in (ours, raw))
        assert np.abs(answer - expected).max() <= CLOSE * max(1.0, np.ptp(expected)), name
        mine, its = race([run, plain])
        print(f"| {name} | {len(ours) / len(raw):.2f} | {mine / its:.2f} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litert", metavar="PYTHON", help="of an environment with litert-torch")
    parser.add_argument("--only", default="", help="models whose name holds this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: one for name, one in subjects().items() if given.only in name}
    raws = {name: (raw_onnx(one), signature_of(one)) for name, one in found.items()}
    compile_times(raws | (imported() if not given.only else {}))
    if given.litert:
        against_litert(given.litert, found, raws)
    against_raw(found, raws)
    return 0


if __name__ == "__main__":
    sys.exit(main())
