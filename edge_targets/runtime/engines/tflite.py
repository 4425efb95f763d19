"""LiteRT, the TensorFlow Lite interpreter of today; `tflite_runtime` where only that is there."""

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.engines.base import Arrays, Engine
from edge_targets.runtime.errors import IntegrityError


class LiteRT(Engine):
    """Runs `.tflite` files item by item, as they are compiled; those with a free batch at once."""

    title = "LiteRT"
    package = "ai_edge_litert"

    def load(self, model: Path, signature: Signature, threads: int) -> None:
        import numpy as np

        self.concatenate = np.concatenate
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
            details = self.runner.get_input_details()
            takes = {d["name"]: d["index"] for d in details}
            gives = {d["name"]: d["index"] for d in self.runner.get_output_details()}
            self.inputs = [(s.name, takes[s.name]) for s in signature.inputs]
            self.outputs = [(s.name, gives[s.name]) for s in signature.outputs]
            self.is_free = all(tuple(d["shape_signature"])[:1] == (-1,) for d in details)
            self.size = 1  # items that the interpreter is ready for
        except (ValueError, RuntimeError, KeyError) as error:
            raise IntegrityError(
                f"LiteRT cannot load {model.name}: {error}",
                "Build the model again, or compare runtime versions with `sanderling doctor`.",
            ) from error

    def run_arrays(self, inputs: Arrays) -> dict[str, Any]:
        feeds = [(index, inputs[name]) for name, index in self.inputs]
        count = len(feeds[0][1])
        if self.is_free and count:
            self.resize(count)
        if count == self.size:
            return dict(self._invoke(feeds))
        items = []
        for start in range(0, count, self.size):
            some = [(index, values[start : start + self.size]) for index, values in feeds]
            items.append(dict(self._invoke(some)))
        return {name: self.concatenate([item[name] for item in items]) for name, _ in self.outputs}

    def _invoke(self, feeds: list[tuple[int, Any]]) -> Iterator[tuple[str, Any]]:
        for index, values in feeds:
            self.runner.set_tensor(index, values)
        self.runner.invoke()
        for name, index in self.outputs:
            yield name, self.runner.get_tensor(index)

    def resize(self, count: int) -> None:
        """Make room for so many items; it takes as long as a small network's answer."""
        if count == self.size:
            return
        for name, index in self.inputs:
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
