"""Whether a rewritten graph is still the graph it was: its form, its names and its answers."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import EdgeError, UnsupportedError, first_line
from toolkit.anatomy import WEIGHT, weighted_nodes
from toolkit.onnx_graph import nodes_of, parse, shape_of

ROUNDING = 1e-5  # of the largest value of an output: float sums in another order differ by less
ITEMS = 32  # that are compared of many; 4 are made where there are none
LARGE = 1e6  # beyond every sensor, and far from where float32 ends
DENORMAL = 1e-40  # smaller than any normal float32
WORDS = 200  # characters of a reason that a person still reads
QUANTIZING = ("QuantizeLinear", "DequantizeLinear")

Feeds = dict[str, NDArray[Any]]
Answers = list[NDArray[Any]]


class Equivalence:
    """A graph that others are compared with, and what it answers.

    Args:
        samples: items to compare on, by input, each of shape (N, ...); seeded noise without.
        fused: whether the runtime may use kernels of this machine's kind of processor, some of
            which round otherwise.
    """

    def __init__(
        self,
        graph: bytes,
        signature: Signature,
        samples: Mapping[str, NDArray[Any]] | None,
        fused: bool = True,
    ) -> None:
        self.signature = signature
        self.names = [spec.name for spec in signature.outputs]
        self.model = parse(graph)
        self.session = session_of(graph, fused)
        self.samples = {
            spec.name: (np.asarray(samples[spec.name])[:ITEMS].astype(spec.dtype))
            if samples
            else noise(spec)
            for spec in signature.inputs
        }

    @cached_property
    def cases(self) -> list[tuple[str, Feeds, Answers]]:
        """Inputs that the graph answers, each with what they are; it may refuse odd ones."""
        tried = [
            (what, feeds, answers(self.session, self.names, feeds))
            for what, feeds in inputs_of(self.signature, self.samples)
        ]
        return [(what, feeds, found) for what, feeds, found in tried if found is not None]

    def fault(self, graph: bytes) -> str:
        """What is wrong with `graph` in its place; empty where nothing is."""
        import onnx

        try:
            model = parse(graph)
            onnx.checker.check_model(model, full_check=True)
        except (EdgeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
            return f"it is no valid graph: {first_line(e)}"
        return self._changed(model) or self.differing(graph)

    def _changed(self, model: Any) -> str:
        for kind, before, after in (
            ("inputs", self.model.graph.input, model.graph.input),
            ("outputs", self.model.graph.output, model.graph.output),
        ):
            if [form(value) for value in before] != [form(value) for value in after]:
                return f"its {kind} are others"
        for op in QUANTIZING:
            if count(self.model, op) != count(model, op):
                return f"it has not the same {op} nodes"
        if lost := stems(self.model) - stems(model):
            return f"layer {min(lost)} has lost its name"
        return ""

    def differing(self, graph: bytes) -> str:
        """How the answers of a file that the runtime loads differ; empty where they do not."""
        if not self.cases:
            return "it cannot be compared, for nothing that was tried is answered"
        try:
            session = session_of(graph)
        except UnsupportedError as error:
            return f"it does not load: {first_line(error)}"
        for what, feeds, expected in self.cases:
            found = answers(session, self.names, feeds)
            if found is None:
                return f"it does not answer {what}"
            for name, one, other in zip(self.names, expected, found, strict=True):
                if why := unlike(one, other):
                    return f"for {what}, {name} {why}"
            labelled = bool(self.signature.labels) and what == "samples"
            if labelled and (expected[0].argmax(axis=-1) != found[0].argmax(axis=-1)).any():
                return "it gives other labels"
        return ""


def answers(session: Any, names: Sequence[str], feeds: Feeds) -> Answers | None:
    """What a loaded graph answers; None where it refuses."""
    try:
        found: Answers = session.run(list(names), feeds)
    except Exception:  # noqa: BLE001 - onnxruntime's errors share no other base
        return None
    return found


def reason(error: Exception) -> str:
    """What onnxruntime says, without the places in its source code."""
    said = first_line(error).rpartition("] ")[2].rpartition(" : ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", said)[:WORDS].rstrip(". ")


def session_of(graph: bytes, fused: bool = True) -> Any:
    """A graph, loaded as devices load it, or with nothing but basic optimisations.

    Raises:
        UnsupportedError: the runtime refuses it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is said once, by us
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no other base
        raise UnsupportedError(
            f"ONNX Runtime refuses this graph: {reason(error)}.",
            "Update onnxruntime, or make the model from standard operators.",
        ) from error


def noise(spec: TensorSpec) -> NDArray[Any]:
    """Four items: about the size that most inputs have, and the same every time."""
    rng = np.random.default_rng(0)
    shape = (4, *spec.shape[1:])
    if np.dtype(spec.dtype).kind == "f":
        return rng.normal(size=shape).astype(spec.dtype)
    return rng.integers(0, 2 if spec.dtype == "bool" else 100, shape).astype(spec.dtype)


def inputs_of(signature: Signature, samples: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Samples, one alone, and what nobody sends on purpose."""
    yield "samples", samples
    yield "one item", {name: values[:1] for name, values in samples.items()}
    two = {name: values[:2] for name, values in samples.items()}
    yield "zeros", {name: np.zeros_like(values) for name, values in two.items()}
    yield "extremes", {name: extreme(values) for name, values in two.items()}
    if all(np.dtype(spec.dtype).kind == "f" for spec in signature.inputs):
        yield "denormals", {name: np.full_like(v, DENORMAL) for name, v in two.items()}
        yield "not-a-number", {name: np.full_like(v, math.nan) for name, v in two.items()}


def extreme(values: NDArray[Any]) -> NDArray[Any]:
    """The samples, far larger; the largest whole numbers."""
    if values.dtype.kind == "f":
        return (values * LARGE).astype(values.dtype)
    top = True if values.dtype.kind == "b" else np.iinfo(values.dtype).max
    return np.full_like(values, top)


def unlike(one: NDArray[Any], other: NDArray[Any]) -> str:
    """How two answers differ by more than rounding; empty where they do not."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"is {other.dtype}{list(other.shape)}, not {one.dtype}{list(one.shape)}"
    if one.dtype.kind != "f":
        return "" if np.array_equal(one, other) else "has other values"
    known = np.isfinite(one)
    if (known != np.isfinite(other)).any():
        return "is not-a-number or infinite elsewhere"
    if not known.any():
        return ""
    gap = float(np.abs(one[known].astype(np.float64) - other[known]).max())
    size = float(np.abs(one[known]).max())
    return f"differs by {gap:.2g} where it is up to {size:.2g}" if gap > ROUNDING * size else ""


def form(value: Any) -> tuple[str, int, tuple[int, ...]]:
    return value.name, value.type.tensor_type.elem_type, shape_of(value)


def count(model: Any, op: str) -> int:
    return sum(node.op_type == op for node in nodes_of(model.graph))


def stems(model: Any) -> set[str]:
    """Names of layers that their weights carry."""
    names = (tensor.name for _, tensor in weighted_nodes(model))
    return {name.partition(WEIGHT)[0] for name in names if WEIGHT in name}
