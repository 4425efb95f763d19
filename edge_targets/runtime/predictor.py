"""Answer with an unpacked package, and keep count of what was seen."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edge_targets.runtime.answer import Answer
from edge_targets.runtime.arrays import Inputs
from edge_targets.runtime.contract import Golden, Manifest, Profile, Record, Signature, Tensor
from edge_targets.runtime.engines import engines
from edge_targets.runtime.engines.base import tensors
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.profiler import Profiler, milliseconds_since
from edge_targets.runtime.unpacking import unpacked

if TYPE_CHECKING:
    from edge_targets.runtime.reporting import Reporter, Reporting

NARROWEST = 0.01  # of a value's size; a ten-thousandth of that is eight roundings of a float32


class Predictor:
    """The model of one package, with the watching that a device's agent does.

    ```python
    from edge_targets.runtime import Predictor

    with Predictor("digits.sndl", home="/var/lib/digits") as predictor:
        answer = predictor(image)  # an array or plain lists; by name where there are several
        if not answer.abstained:
            print(answer.label, answer.confidence)
    ```

    Calls from several threads take turns.

    Args:
        path: an unpacked package, or a `.sndl` file. Its files are compared with its manifest;
            its signature is not: that is checked where packages are installed.
        device: the name in telemetry; that of the home's settings where it is empty.
        threads: that one prediction may use.
        home: a folder for telemetry, as the agent's root folder is: windows are closed into its
            spool every so often, and sent to the collector that its `settings.json` names. None
            counts all the same, for whoever calls `close_window`.
    """

    def __init__(
        self,
        path: Path | str,
        device: str = "",
        threads: int = 1,
        home: Path | str | None = None,
    ) -> None:
        with unpacked(Path(path)) as folder:
            self.manifest = Manifest.parse((folder / "manifest.json").read_bytes())
            self.golden = Golden.parse((folder / "golden.json").read_bytes())
            reference = Profile.parse((folder / "profile.json").read_bytes())
            self.engine = engines[self.manifest.format](
                folder / self.manifest.model, self.manifest.signature, threads
            )
        self.inputs = Inputs(self.signature)
        self.profiler = Profiler(self.manifest, reference, device)
        self.checked: list[tuple[str, tuple[int, ...]]] = []  # fitted: a loop's stay the same
        self.lock = threading.Lock()
        self.reporter = reporting(Path(home), self.close_window) if home else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End telemetry; the last window is on the disk then."""
        reporter, self.reporter = self.reporter, None
        if reporter:
            reporter.flush()  # what does not go now waits for the next run
            reporter.stop()
            reporter.spool.close()

    def __call__(self, inputs: Any, counted: bool = True) -> Answer:
        """Answer one item, or a batch of them, as arrays or plain lists.

        Raises:
            DataError: what cannot become numbers of the input's kind.
            IntegrityError: an input is missing, unknown or of another shape.
        """
        arrays, alone = self.inputs.read(inputs)
        outputs = self._run(arrays, counted)
        if alone:
            outputs = {name: values[0] for name, values in outputs.items()}
        return Answer(outputs, self.signature, self.manifest.abstention, alone)

    @property
    def signature(self) -> Signature:
        return self.manifest.signature

    def predict(self, inputs: Mapping[str, Tensor], counted: bool = True) -> dict[str, Tensor]:
        """Outputs by name for a batch; an `IntegrityError` says which input does not fit.

        What is not `counted` stays out of the window.
        """
        self._check(inputs)
        return tensors(self._run(self.engine.arrays(inputs), counted))

    def _check(self, inputs: Mapping[str, Any]) -> None:
        shapes = [(name, getattr(value, "shape", ())) for name, value in inputs.items()]
        if shapes != self.checked:
            check(self.signature, dict(shapes))
            self.checked = shapes

    def _run(self, arrays: Mapping[str, Any], counted: bool) -> dict[str, Any]:
        self._check(arrays)
        with self.lock:
            start = time.perf_counter()
            outputs = self.engine.run_arrays(arrays)
            if counted:
                self.profiler.observe_arrays(arrays, outputs, milliseconds_since(start))
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


def reporting(home: Path, close_window: Callable[[], Record | None]) -> "Reporter[Reporting]":
    """Telemetry at work in that folder."""
    # only here: its spool needs sqlite3, which Python in a browser is without
    from edge_targets.runtime.reporting import reporter_in

    reporter = reporter_in(home, close_window)
    reporter.start()
    return reporter


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


def check(signature: Signature, inputs: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse shapes of inputs that are missing, unknown, empty or others than the model's."""
    names = [spec.name for spec in signature.inputs]
    if sorted(names) != sorted(inputs):
        raise IntegrityError(
            f"The model takes {', '.join(names)}; it was given {', '.join(inputs) or 'nothing'}.",
            "Name every input as the model's metadata does.",
        )
    for spec in signature.inputs:
        shape = inputs[spec.name]
        fits = len(shape) == len(spec.shape) and all(
            size == wanted or (wanted == -1 and size > 0)
            for size, wanted in zip(shape, spec.shape, strict=False)
        )
        if not fits:
            raise IntegrityError(
                f"Input {spec.name} has shape {list(shape)}; the model takes {list(spec.shape)}.",
                "-1 stands for the number of items.",
            )
    if len({inputs[name][0] for name in names}) != 1:
        raise IntegrityError("The inputs hold different numbers of items.", "Send equal batches.")
