"""Answer with an unpacked package, and keep count of what was seen."""

import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from edge_targets.runtime.contract import Golden, Manifest, Profile, Record, Signature, Tensor
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.profiler import Profiler, milliseconds_since

NARROWEST = 0.01  # of a value's size; a ten-thousandth of that is eight roundings of a float32


class Predictor:
    """The model of one unpacked package folder. Calls from several threads take turns."""

    def __init__(self, folder: Path, device: str = "", threads: int = 1) -> None:
        self.manifest = Manifest.parse((folder / "manifest.json").read_bytes())
        self.golden = Golden.parse((folder / "golden.json").read_bytes())
        reference = Profile.parse((folder / "profile.json").read_bytes())
        self.profiler = Profiler(self.manifest, reference, device)
        self.engine = engines[self.manifest.format](
            folder / self.manifest.model, self.manifest.signature, threads
        )
        self.lock = threading.Lock()

    @property
    def signature(self) -> Signature:
        return self.manifest.signature

    def predict(self, inputs: Mapping[str, Tensor], counted: bool = True) -> dict[str, Tensor]:
        """Outputs by name for a batch; an `IntegrityError` says which input does not fit.

        What is not `counted` stays out of the window.
        """
        check(self.signature, inputs)
        with self.lock:
            start = time.perf_counter()
            outputs = self.engine.run(inputs)
            if counted:
                self.profiler.observe(inputs, outputs, milliseconds_since(start))
        return outputs

    def close_window(self) -> Record | None:
        with self.lock:
            return self.profiler.close()

    def replay(self) -> float:
        """Run the golden inputs; the largest difference to their outputs, in their spread.

        Raises:
            IntegrityError: the difference is above the manifest's tolerance.
        """
        with self.lock:
            outputs = self.engine.run(self.golden.inputs)
        worst = max(
            difference(outputs[name], expected) for name, expected in self.golden.outputs.items()
        )
        if not worst <= self.manifest.tolerance:
            raise IntegrityError(
                f"{self.manifest.name} answers its golden inputs {worst:.3g} off here, as a "
                f"share of their spread; {self.manifest.tolerance:.3g} is allowed.",
                "The runtime of this device computes differently: compare its version with "
                "`sanderling doctor`, or build another format.",
            )
        return worst


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the expected spread; infinite when any is no number."""
    wanted = [float(value) for value in expected.data]
    gaps = [abs(float(a) - b) for a, b in zip(found.data, wanted, strict=True)]
    if not all(math.isfinite(gap) for gap in gaps):
        return math.inf
    return max(gaps) / spread(min(wanted), max(wanted)) if gaps else 0.0


def spread(low: float, high: float) -> float:
    """What differences of an output are measured in, from its smallest and largest value.

    How far its values lie apart: 1 for the shares of classes, whatever the unit of numbers. But
    at least a hundredth of their size: nearer together, rounding alone would be a difference.
    """
    return max(high - low, NARROWEST * max(abs(low), abs(high))) or 1.0


def check(signature: Signature, inputs: Mapping[str, Tensor]) -> None:
    """Refuse inputs that are missing, unknown, empty or of another shape."""
    names = [spec.name for spec in signature.inputs]
    if sorted(names) != sorted(inputs):
        raise IntegrityError(
            f"The model takes {', '.join(names)}; it was given {', '.join(inputs) or 'nothing'}.",
            "Name every input as the model's metadata does.",
        )
    for spec in signature.inputs:
        shape = inputs[spec.name].shape
        fits = len(shape) == len(spec.shape) and all(
            size == wanted or (wanted == -1 and size > 0)
            for size, wanted in zip(shape, spec.shape, strict=False)
        )
        if not fits:
            raise IntegrityError(
                f"Input {spec.name} has shape {list(shape)}; the model takes {list(spec.shape)}.",
                "-1 stands for the number of items.",
            )
    if len({inputs[name].shape[0] for name in names}) != 1:
        raise IntegrityError("The inputs hold different numbers of items.", "Send equal batches.")
