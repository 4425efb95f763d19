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
    """Runs `.tflite` files item by item, as they are compiled; those with a free batch at once."""

    title = "LiteRT"
    package = "ai_edge_litert"

    def __init__(self, model: Path, signature: Signature, threads: int = 1) -> None:
        import numpy as np

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
            # worked out once: of a small network's microseconds this would be a third
            details = self.runner.get_input_details()
            takes = {d["name"]: d["index"] for d in details}
            gives = {d["name"]: d["index"] for d in self.runner.get_output_details()}
            self.inputs = [(s.name, takes[s.name], np.dtype(s.dtype)) for s in signature.inputs]
            self.outputs = [(s.name, gives[s.name]) for s in signature.outputs]
            self.is_free = all(tuple(d["shape_signature"])[:1] == (-1,) for d in details)
            self.size = 1  # items that the interpreter is ready for
        except (ValueError, RuntimeError, KeyError) as error:
            raise IntegrityError(
                f"LiteRT cannot load {model.name}: {error}",
                "Build the model again, or compare runtime versions with `sanderling doctor`.",
            ) from error

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import numpy as np

        feeds = [
            (index, np.asarray(inputs[name].data, dtype).reshape(inputs[name].shape))
            for name, index, dtype in self.inputs
        ]
        items = []
        count = len(feeds[0][1])
        if self.is_free and count:
            self.resize(count)
        for start in range(0, count, self.size):
            for index, values in feeds:
                self.runner.set_tensor(index, values[start : start + self.size])
            self.runner.invoke()
            items.append([self.runner.get_tensor(index) for _, index in self.outputs])
        stacked = items[0] if len(items) == 1 else map(np.concatenate, zip(*items, strict=True))
        return {
            name: Tensor(value.shape, value.reshape(-1))
            for (name, _), value in zip(self.outputs, stacked, strict=True)
        }

    def resize(self, count: int) -> None:
        """Make room for so many items; it takes as long as a small network's answer."""
        if count == self.size:
            return
        for name, index, _ in self.inputs:
            shape = next(spec.shape for spec in self.signature.inputs if spec.name == name)
            self.runner.resize_tensor_input(index, (count, *shape[1:]))
        self.runner.allocate_tensors()
        self.size = count


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
