"""Graphs of models for tables: one float input, one output, standard names; and their proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.foreign import proof
from toolkit.foreign.plain import plain
from toolkit.onnx_graph import BATCH, OPSET, check, clean, written

INPUT = "input"
ALIKE = 0.999  # of rows that must agree: in single precision a threshold may be on the other side
CLOSE = 1e-5  # of the largest answer
LOOSE = 1e-4  # where a library computes in double precision and the graph in single


@dataclass(frozen=True)
class Table:
    """What a library says of its model: the columns it takes, the classes it tells apart."""

    columns: tuple[str, ...]
    width: int
    labels: tuple[str, ...] = ()


def kept(graph: Any, output: str) -> Any:
    """The graph with one output, and nothing that this one does not need."""
    import onnx

    slim = onnx.ModelProto()
    slim.CopyFrom(graph)
    needed, nodes = {output}, []
    for node in reversed(slim.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    stored = [tensor for tensor in slim.graph.initializer if tensor.name in needed]
    del slim.graph.node[:], slim.graph.initializer[:], slim.graph.value_info[:]
    slim.graph.node.extend(reversed(nodes))
    slim.graph.initializer.extend(stored)
    shown = onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
    del slim.graph.output[:]
    slim.graph.output.append(shown)
    return slim


def finished(graph: Any, table: Table, output: str, width: int) -> tuple[bytes, Signature]:
    """The graph in its last form, with the signature that belongs to it."""
    import onnx

    [made] = graph.graph.output
    made.CopyFrom(
        onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [BATCH, width])
    )
    graph = raised(single_opsets(plain(graph)))
    check(graph)
    signature = Signature(
        (TensorSpec(INPUT, (-1, table.width), columns=table.columns),),
        (TensorSpec(output, (-1, width)),),
        table.labels,
    )
    return written(clean(graph)), signature


def single_opsets(graph: Any) -> Any:
    """Converters may list a domain twice; the newest is meant."""
    import onnx

    versions: dict[str, int] = {}
    for one in graph.opset_import:
        versions[one.domain] = max(one.version, versions.get(one.domain, 0))
    versions.setdefault("", OPSET)
    del graph.opset_import[:]
    graph.opset_import.extend(onnx.helper.make_opsetid(*pair) for pair in versions.items())
    return graph


def raised(graph: Any) -> Any:
    """At our opset where the converter can; as it is where it cannot."""
    import onnx

    try:
        return onnx.version_converter.convert_version(graph, OPSET)
    except (RuntimeError, ValueError):
        return graph  # the runtime reads older opsets too


def prove(
    graph: bytes,
    expected: Callable[[NDArray[Any]], NDArray[Any]],
    samples: Sequence[NDArray[Any]],
    file: Path,
    close: float = CLOSE,
) -> tuple[str, ...]:
    """Whether the graph answers as the library; notes where it does not with values missing.

    Args:
        samples: rows, then the same rows with gaps.
        close: what counts as the same, as a share of the largest answer.

    Raises:
        UnsupportedError: less than 999 rows in a thousand agree.
    """
    whole, gaps = samples
    share = agreement(proof.answers(graph, {INPUT: whole}, file)[0], expected(whole), close)
    if share < ALIKE:
        raise UnsupportedError(
            f"{file} would answer differently here than where it was made, in "
            f"{1 - share:.1%} of {len(whole)} rows.",
            "Report this model; until then use another kind of model.",
        )
    notes = []
    if share < 1:
        notes.append(f"{1 - share:.2%} of rows differ in single precision.")
    try:
        wanted = expected(gaps)
    except Exception:  # noqa: BLE001 - the library takes no gaps, and says so in its own way
        return tuple(notes)
    if agreement(proof.answers(graph, {INPUT: gaps}, file)[0], wanted, close) < ALIKE:
        notes.append("It answers differently where values are missing (NaN): fill them in first.")
    return tuple(notes)


def agreement(found: NDArray[Any], expected: NDArray[Any], close: float = LOOSE) -> float:
    """The share of rows that are the same, within a share of the largest answer."""
    wanted = np.asarray(expected, np.float64).reshape(len(expected), -1)
    made = np.asarray(found, np.float64).reshape(len(found), -1)
    if made.shape != wanted.shape:
        return 0.0
    scale = max(1.0, float(np.nanmax(np.abs(wanted), initial=0)))
    alike = np.isclose(made, wanted, rtol=0, atol=close * scale, equal_nan=True).all(axis=1)
    return float(alike.mean())
