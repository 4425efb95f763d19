"""The inputs that a compiled file is proven on: a dataset's, or made-up ones without one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.data.dataset import Dataset
from toolkit.inference import Runner
from toolkit.model import Model

MADE_UP, FEW = 64, 16  # items: enough to show an output's spread; fewer where each is large
LARGE = 20_000  # numbers of an item: a photograph has more, a sound or a row of a table has less
FREE = 4  # of an axis other than the batch that the model leaves free
BYTES = {"int8", "uint8"}  # pixels, and what a quantized network takes: any of them
WHOLE = (100, 10, 2)  # whole numbers end below: an index must stay inside its table


@dataclass(frozen=True)
class Proof:
    """Items for every input of a model.

    Attributes:
        inputs: by name, each of shape (N, ...) and of the input's dtype.
        source: where they are from, in words.
        made_up: whether nobody has seen such items.
    """

    inputs: Mapping[str, NDArray[Any]]
    source: str
    made_up: bool

    @property
    def note(self) -> str:
        """What should be known of a file that was proven on them; empty when nothing."""
        if not self.made_up:
            return ""
        return f"Proven on {self.source}: name real ones with --data."


def proof_inputs(model: Model) -> Proof:
    """All items of the data that a model has; without data, seeded made-up ones."""
    if model.data is not None and len(model.signature.inputs) == 1:
        return of_dataset(model.data, model.signature.inputs[0])
    return made_up(model)


def of_dataset(data: Dataset, spec: TensorSpec) -> Proof:
    inputs = {spec.name: data.inputs.astype(spec.dtype, copy=False)}
    return Proof(inputs, f"{len(data.inputs)} items of {data.name}", made_up=False)


def made_up(model: Model) -> Proof:
    """Numbers that fit the signature; where they are whole, such as the model takes."""
    specs = model.signature.inputs
    whole = any(spec.dtype in {"int32", "int64"} for spec in specs)
    runner = Runner.of_model(model, QUIET) if whole else None
    count = FEW if sum(math.prod(sizes(spec)) for spec in specs) > LARGE else MADE_UP
    for end in WHOLE if runner else WHOLE[:1]:
        rng = np.random.default_rng(0)
        inputs = {spec.name: drawn(spec, end, count, rng) for spec in specs}
        if runner is None or takes(runner, inputs):
            break
    return Proof(inputs, f"{count} made-up items", made_up=True)


def takes(runner: Runner, inputs: Mapping[str, NDArray[Any]]) -> bool:
    try:
        runner.outputs(inputs, QUIET)
    except Exception:  # noqa: BLE001 - onnxruntime's errors share no other base
        return False
    return True


def sizes(spec: TensorSpec) -> tuple[int, ...]:
    """Of one item."""
    return tuple(FREE if size < 0 else size for size in spec.shape[1:])


def drawn(spec: TensorSpec, end: int, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Items for one input; whole numbers are small and not negative, but bytes are any."""
    shape = (count, *sizes(spec))
    if spec.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if spec.dtype in BYTES:
        ends = np.iinfo(spec.dtype)
        return rng.integers(ends.min, ends.max, shape, dtype=np.dtype(spec.dtype), endpoint=True)
    if np.dtype(spec.dtype).kind in "iu":
        return rng.integers(0, end, shape).astype(spec.dtype)
    return rng.normal(size=shape).astype(spec.dtype)
