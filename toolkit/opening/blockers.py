"""What of a graph the runtime does not know: every operator at once, not only the first."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import nodes_of

STANDARD = frozenset({"", "ai.onnx"})
MOST = 8  # that an error names; the others are counted
CONTRIB = "com.microsoft"


@dataclass(frozen=True)
class Blocker:
    """One node that stands in the way.

    Attributes:
        op: its operator, with the domain where it is no standard one.
        why: it cannot be taken over.
        todo: about it.
    """

    op: str
    node: str
    why: str
    todo: str

    def __str__(self) -> str:
        return f"{self.op} (node {self.node!r}), {self.why}"


def refuse_unknown(model: Any, file: Path) -> None:
    """Operators by name: standard ones, those of functions in the file, those of the runtime."""
    blockers = list(unknown(model))
    if not blockers:
        return
    said = "; ".join(str(blocker) for blocker in blockers[:MOST])
    more = f"; and {len(blockers) - MOST} more" if len(blockers) > MOST else ""
    raise UnsupportedError(
        f"{file} uses {said}{more}.", " ".join(dict.fromkeys(b.todo for b in blockers))
    )


def unknown(model: Any) -> Iterable[Blocker]:
    own = {(function.domain, function.name) for function in model.functions}
    runtime = known_to_runtime()
    functions = [node for function in model.functions for node in nodes_of(function)]
    for node in [*nodes_of(model.graph), *functions]:
        domain = "" if node.domain in STANDARD else node.domain
        if (node.domain, node.op_type) in own or (domain, node.op_type) in runtime:
            continue
        if not domain:
            yield Blocker(
                node.op_type, node.name, "which is no ONNX operator",
                "Export the model with standard operators.",
            )  # fmt: skip
        elif domain == CONTRIB:
            yield Blocker(
                f"{domain}.{node.op_type}", node.name, "which this onnxruntime does not know",
                "Update onnxruntime, or export the model with standard operators.",
            )  # fmt: skip
        else:
            yield Blocker(
                f"{domain}.{node.op_type}", node.name,
                "an operator that needs a library of its own",
                "Export the model with standard operators in place of custom ones.",
            )  # fmt: skip


@cache
def known_to_runtime() -> frozenset[tuple[str, str]]:
    """Domain and name of every operator that onnxruntime, or the standard, has a schema of."""
    import onnx
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    standard = {("", schema.name) for schema in onnx.defs.get_all_schemas() if not schema.domain}
    return frozenset(
        standard | {(one.domain, one.name) for one in runtime.get_all_operator_schema()}
    )


def remarks(graph: Any) -> list[str]:
    """What runs here, and may not run everywhere."""
    contrib: dict[str, int] = {}
    quantized: dict[str, int] = {}
    trees: set[str] = set()
    for node in nodes_of(graph):
        if node.domain == CONTRIB:
            contrib[node.op_type] = contrib.get(node.op_type, 0) + 1
        elif node.domain == "ai.onnx.ml":
            trees.add(node.op_type)
        elif node.op_type.startswith("QLinear") or node.op_type.endswith("Integer"):
            quantized[node.op_type] = quantized.get(node.op_type, 0) + 1
    found = []
    if contrib:
        found.append(
            f"It uses {counted(contrib)} of onnxruntime's own operators: TensorFlow Lite and the "
            "browser may not run them."
        )
    if quantized:
        found.append(f"It is quantized already ({counted(quantized)}) and is kept as it is.")
    if trees:
        found.append(
            f"It uses {', '.join(sorted(trees))} of ai.onnx.ml: it runs in onnxruntime, not in "
            "TensorFlow Lite."
        )
    return found


def counted(names: dict[str, int]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in sorted(names.items()))
