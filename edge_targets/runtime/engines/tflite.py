"""LiteRT, the TensorFlow Lite interpreter of today; `tflite_runtime` where only that is there."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edge_targets.runtime.contract import Signature, Tensor
from edge_targets.runtime.engines.base import Engine
from edge_targets.runtime.errors import IntegrityError


class LiteRT(Engine):
    """Runs `.tflite` files item by item: a compiled TFLite file has a fixed batch of one."""

    title = "LiteRT"
    package = "ai_edge_litert"

    def __init__(self, model: Path, signature: Signature, threads: int = 1) -> None:
        # armv7 devices have the older package only
        package = "ai_edge_litert" if find_spec("ai_edge_litert") else "tflite_runtime"
        interpreter = import_module(f"{package}.interpreter")
        self.signature = signature
        try:
            # the interpreter reads the file while it runs: give it bytes of its own
            with quiet():
                self.runner = interpreter.Interpreter(
                    model_content=model.read_bytes(), num_threads=threads
                )
                self.runner.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise IntegrityError(
                f"LiteRT cannot load {model.name}: {error}",
                "Build the model again, or compare runtime versions with `sanderling doctor`.",
            ) from error
        self.inputs = {d["name"]: d["index"] for d in self.runner.get_input_details()}
        self.outputs = {d["name"]: d["index"] for d in self.runner.get_output_details()}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import numpy as np

        feeds = {
            spec.name: np.asarray(inputs[spec.name].data, spec.dtype).reshape(
                inputs[spec.name].shape
            )
            for spec in self.signature.inputs
        }
        batch = len(next(iter(feeds.values())))
        rows: dict[str, list[np.ndarray]] = {spec.name: [] for spec in self.signature.outputs}
        for item in range(batch):
            for name, values in feeds.items():
                self.runner.set_tensor(self.inputs[name], values[item : item + 1])
            self.runner.invoke()
            for name, found in rows.items():
                found.append(self.runner.get_tensor(self.outputs[name]))
        stacked = {name: np.concatenate(found) for name, found in rows.items()}
        return {name: Tensor(value.shape, value.reshape(-1)) for name, value in stacked.items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the line that LiteRT's C++ prints for every model; its errors are raised anyway."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
