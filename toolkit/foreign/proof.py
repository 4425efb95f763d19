"""Whether a graph answers as the library that made the model does, on seeded inputs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError, first_line

SEED = 20260101
ITEMS = 4  # more than one, and not the two that an exporter may have taken for a constant
CLOSE = 1e-5  # largest difference, as a share of the largest answer where that is above 1


def answers(graph: bytes, feeds: Mapping[str, NDArray[Any]], file: Path) -> list[NDArray[Any]]:
    """What the runtime makes of a graph.

    Raises:
        UnsupportedError: it does not run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return [np.asarray(answer) for answer in session.run(None, dict(feeds))]
    except Exception as error:  # onnxruntime's errors share no other base
        raise UnsupportedError(
            f"{file} was translated, but the runtime refuses the graph: {reason(error)}.",
            "Export the model to ONNX where it was made.",
        ) from error


def reason(error: Exception) -> str:
    """What onnxruntime says, without the places in its source code that stand before it."""
    said = first_line(error).rpartition("Status Message: ")[2].rpartition(" : ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", said)[:300].rstrip(". ")


def agree(
    graph: bytes,
    feeds: Mapping[str, NDArray[Any]],
    expected: Sequence[NDArray[Any]],
    file: Path,
) -> None:
    """Refuse a graph that answers differently.

    Raises:
        UnsupportedError: says by how much.
    """
    apart = difference(answers(graph, feeds, file), expected)
    if apart > CLOSE:
        raise UnsupportedError(
            f"{file} would answer differently here than where it was made: by {apart:.2g}.",
            "Report this model; until then export it to ONNX where it was made.",
        )


def difference(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    """The largest, as a share of the largest answer where that is above 1; infinite in shape."""
    if [one.shape for one in found] != [one.shape for one in expected]:
        return float("inf")
    return max((apart(a, b) for a, b in zip(found, expected, strict=True)), default=0.0)


def apart(found: NDArray[Any], expected: NDArray[Any]) -> float:
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    both = np.isfinite(b)
    if not both.any():
        return 0.0
    return float(np.abs(a[both] - b[both]).max() / max(1.0, np.abs(b[both]).max()))
