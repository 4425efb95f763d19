"""MLPerf Tiny's float models, compressed here, beside the int8 files that MLPerf distributes.

The inputs are made up: label agreement with the float model says what quantization changed, and
nothing about accuracy. Sizes and the ratios of latencies are what to look at.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import SHARED
from edge_targets.runtime.engines.tflite import quiet
from edge_targets.runtime.events import QUIET
from toolkit.data.dataset import Dataset, Facts
from toolkit.formats import formats
from toolkit.importers import Given, read_model
from toolkit.model import Model
from toolkit.passes import passes

DATA = SHARED / "mlperf_tiny"
ITEMS, CALIBRATION, ROUNDS, RUNS = 600, 300, 7, 60

Items = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A float file, the int8 file made from it (or from a sister of it), and inputs for both."""

    name: str
    inputs: Callable[[np.random.Generator], Items]


def pictures(rng: np.random.Generator) -> Items:
    """Clouds with the spectrum of photographs (amplitude 1/f), in colour, 0 to 255."""
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None])
    frequency[0, 0] = 1 / 32
    noise = np.fft.fft2(rng.standard_normal((ITEMS, 3, 32, 32))) / frequency
    clouds = np.fft.ifft2(noise).real
    mixed = np.einsum("ncij,kc->nijk", clouds, np.array([[1, 0.3, 0], [1, 0, 0], [1, -0.3, 0.2]]))
    spread = mixed.std(axis=(1, 2, 3), keepdims=True)
    centre = rng.uniform(80, 170, (ITEMS, 1, 1, 1))
    found = (centre + 55 * mixed / spread).clip(0, 255).round()
    return np.asarray(found, np.float32)


def cepstra(rng: np.random.Generator) -> Items:
    """Ten coefficients, the first far below zero; the int8 file's input holds -123 to 26."""
    scale = np.array([30, 12, 9, 7, 6, 5, 4, 4, 3, 3])
    level = np.array([-50, 4, 0, 0, 0, 0, 0, 0, 0, 0]) + rng.standard_normal((ITEMS, 1, 10)) * scale
    steps = rng.standard_normal((ITEMS, 49, 10)) * scale
    smooth = sum(np.roll(steps, shift, axis=1) for shift in range(4)) / 2
    return np.asarray((level + smooth).clip(-123, 26)[..., None], np.float32)


CASES = (Case("resnet", pictures), Case("kws", cepstra))
RECIPES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "float": (),
    "quantize_int8": (("quantize_int8", {}),),
    "quantize_weights": (("quantize_weights", {}),),
    "quantize_dynamic, quantize_weights": (("quantize_dynamic", {}), ("quantize_weights", {})),
    "quantize_weights bits=4": (("quantize_weights", {"bits": 4}),),
    "half_precision": (("half_precision", {}),),
}
"""Passes with their fields, by the name of the row. Convolutions have no dynamic form: LiteRT's
own (float input, int8 weights) takes as long as floats, and five times as long depthwise."""


def main() -> int:
    if not DATA.is_dir():
        print(f"Skipped: {DATA.name} is not beside this checkout; see docs for where it is from.")
        return 0
    print("| model | file | bytes | of the reference | labels like float | latency, float = 1 |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        rows(case)
    return 0


def rows(case: Case) -> None:
    model = read_model(DATA / f"{case.name}_fp32.tflite", Given(), QUIET).model
    items = case.inputs(np.random.default_rng(7))
    model = model.with_data(dataset(model, items))
    files = {name: compiled(model, name) for name in RECIPES}
    files["reference int8"] = (DATA / f"{case.name}_int8.tflite").read_bytes()
    found = {name: Interpreter(data) for name, data in files.items()}
    tried = items[CALIBRATION:]
    labels = {name: one.outputs(tried).argmax(axis=1) for name, one in found.items()}
    rounds = [{name: one.latency(tried) for name, one in found.items()} for _ in range(ROUNDS)]
    best = {name: min(one[name] for one in rounds) for name in found}
    for name in found:
        size, agreed = len(files[name]), float((labels[name] == labels["float"]).mean())
        print(
            f"| {case.name} | {name} | {size:,} | {size / len(files['reference int8']):.3f} "
            f"| {agreed:.1%} | {best[name] / best['float']:.2f} |"
        )


def dataset(model: Model, items: Items) -> Dataset:
    """Calibration items first, then those that are compared."""
    facts = Facts("made up", model.signature.inputs[0], model.signature.labels)
    split = np.where(np.arange(ITEMS) < CALIBRATION, 0, 2).astype(np.uint8)
    return Dataset("made-up", facts, items, np.zeros(ITEMS, np.int64), split)


def compiled(model: Model, name: str) -> bytes:
    """A TFLite file, after the passes of a recipe."""
    for word, fields in RECIPES[name]:
        model = passes[word](**fields).apply(model, QUIET)
    return formats["tflite"]().build(model.graph, model.signature, QUIET).data


class Interpreter:
    """LiteRT on one thread; float inputs and outputs, also where the file takes int8."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter as LiteRT

        with quiet():
            self.runner = LiteRT(model_content=data, num_threads=1)
            self.runner.allocate_tensors()
        self.taken, self.given = (
            d[0] for d in (self.runner.get_input_details(), self.runner.get_output_details())
        )

    def outputs(self, items: Items) -> Items:
        return np.array([self.one(item) for item in items])

    def one(self, item: Items) -> Items:
        self.runner.set_tensor(self.taken["index"], self.stored(item)[None])
        self.runner.invoke()
        scale, zero = self.given["quantization"]
        found = self.runner.get_tensor(self.given["index"])[0].astype(np.float32)
        return np.asarray((found - zero) * (scale or 1), np.float32)

    def stored(self, item: Items) -> NDArray[Any]:
        scale, zero = self.taken["quantization"]
        if not scale:
            return item
        return np.asarray((np.rint(item / scale) + zero).clip(-128, 127).astype(np.int8))

    def latency(self, items: Items) -> float:
        """Median seconds of a prediction."""
        durations = []
        for item in items[:RUNS]:
            self.runner.set_tensor(self.taken["index"], self.stored(item)[None])
            start = time.perf_counter()
            self.runner.invoke()
            durations.append(time.perf_counter() - start)
        return float(np.median(durations))


if __name__ == "__main__":
    sys.exit(main())
