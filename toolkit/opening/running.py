"""Run a graph of a stranger on seeded inputs, and compare what two graphs answer.

The inputs are drawn, not zeros: a graph that mixes its items, or a converter that changes an
answer, shows only where items differ.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import written

Arrays = dict[str, NDArray[Any]]

WORDS = 300  # characters of a reason that a person still reads
IDS = (100, 4, 2, 1)  # below which integers are drawn: they may count into a table of any size
STARVED = re.compile(r"bad_alloc|Failed to allocate memory")


@dataclass(frozen=True)
class Tolerance:
    """When two answers are the same.

    Attributes:
        close: largest difference, as a share of an output's spread.
        share: of the values that must be so close.
    """

    close: float = 1e-4  # kernels sum in another order for another number of items
    share: float = 1.0


EXACT = Tolerance()
ROUNDED = Tolerance(share=0.99)  # of a quantized graph: some values fall on the next step
# rounded by the largest value of all items that are given at once
SCALED = Tolerance(close=0.1, share=0.99)


def starved(error: Exception) -> UnsupportedError | None:
    """What to say where the memory that a reader may take was not enough."""
    if not STARVED.search(str(error)):
        return None
    return UnsupportedError(
        f"The model needs more memory to run than it may take here: {reason(error)}.",
        "It is too large for a device, or damaged: make it smaller, or export it again.",
    )


class RefusedError(Exception):
    """The runtime does not load a graph, or stops in it; its own errors share no base.

    Attributes:
        where: the operator it stopped at: `Reshape (node 'a')`; empty where unsaid.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(reason(error))
        self.where = culprit(error)


def session(data: bytes, optimised: bool = True) -> Any:
    """The runtime with a graph loaded.

    Raises:
        RefusedError: it does not take the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    options.intra_op_num_threads = 1
    if not optimised:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise starved(error) or RefusedError(error) from error


def loaded(graph: Any, optimised: bool = True) -> Any:
    return session(written(graph), optimised)


def drawn(specs: Sequence[TensorSpec], items: int, ids: int, seed: int = 0) -> Arrays:
    """As many items for each input; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    found: Arrays = {}
    for spec in specs:
        shape = (items, *spec.shape[1:])
        if spec.dtype.startswith("float"):
            values = rng.standard_normal(shape).astype(spec.dtype)
        elif spec.dtype == "bool":
            values = rng.integers(0, 2, shape).astype(bool)
        elif spec.dtype in {"uint8", "int8"}:
            bounds = np.iinfo(spec.dtype)
            values = rng.integers(bounds.min, bounds.max, shape, spec.dtype, endpoint=True)
        else:
            values = rng.integers(0, ids, shape).astype(spec.dtype)
        found[spec.name] = values
    return found


def run(runtime: Any, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
    names = [output.name for output in runtime.get_outputs()]
    known = {taken.name for taken in runtime.get_inputs()}
    taken = {name: values for name, values in feeds.items() if name in known}
    try:
        return dict(zip(names, runtime.run(names, taken), strict=True))
    except Exception as error:
        raise starved(error) or RefusedError(error) from error


def tried(runtime: Any, specs: Sequence[TensorSpec], items: int) -> tuple[Arrays, Arrays]:
    """Inputs that a graph takes, and its answers.

    Raises:
        RefusedError: it takes none of those that were tried.
    """
    counted = any(spec.dtype in {"int32", "int64"} for spec in specs)
    for ids in IDS[:-1] if counted else ():
        feeds = drawn(specs, items, ids)
        try:
            return feeds, run(runtime, feeds)
        except RefusedError:
            continue  # perhaps larger than the table it counts into
    feeds = drawn(specs, items, IDS[-1])
    return feeds, run(runtime, feeds)


def alike(found: NDArray[Any], expected: NDArray[Any], bound: Tolerance = EXACT) -> bool:
    """Whether two answers are the same, but for the order in which numbers were summed."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if not expected.size or found.dtype.kind not in "fiu":
        return bool(np.array_equal(found, expected))
    known = expected[np.isfinite(expected)].astype(np.float64)
    spread = float(np.abs(known).max()) if known.size else 0.0
    close = np.isclose(
        found.astype(np.float64),
        expected.astype(np.float64),
        rtol=bound.close,
        atol=bound.close * spread,
        equal_nan=True,
    )
    return float(close.mean()) >= bound.share


def tolerance_of(graph: Any) -> Tolerance:
    """How closely the answers of a graph to several items are those to each of them."""
    used = {node.op_type for node in graph.node}
    if any("DynamicQuantize" in name for name in used):
        return SCALED
    rounds = any("Quantize" in name or "QLinear" in name for name in used)
    return ROUNDED if rounds else EXACT


def reason(error: BaseException) -> str:
    """What onnxruntime says, without the places in its source code that stand before it."""
    first = (str(error).strip().splitlines() or ["it does not say why"])[0]
    said = first.rpartition(" : ")[2].rpartition("Status Message: ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", said)[:WORDS].rstrip(". ")


def culprit(error: BaseException) -> str:
    """The operator at which onnxruntime stopped: `Reshape (node 'a')`; empty where unsaid."""
    found = re.search(r"running (\w+) node\. Name:'([^']*)'", str(error))
    return f"{found[1]} (node {found[2]!r})" if found else ""
