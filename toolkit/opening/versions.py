"""The version of its language a graph is written in: ours, where that gives the same answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from toolkit.onnx_graph import IR_VERSION, OPSET, incomplete
from toolkit.opening.running import RefusedError, Tolerance, alike, loaded, run, tolerance_of, tried

STANDARD = frozenset({"", "ai.onnx"})
CORNERS = 10  # the last opset in which Resize had but one way


def version_of(model: Any) -> int:
    """The opset of the standard operators; ours where the file names none."""
    return next((o.version for o in model.opset_import if o.domain in STANDARD), OPSET)


def refuse_unborn(model: Any, file: Path) -> None:
    """An opset that not even the standard's own tools know cannot be lowered either."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not 0 < version_of(model) <= newest:
        raise UnsupportedError(
            f"{file} is written in opset {version_of(model)}; the newest known here is {newest}.",
            f"Export the model with opset {OPSET}, or update onnx and onnxruntime.",
        )


def fit_file_version(model: Any) -> None:
    """The version of the file format that its opsets need: the runtime lags behind new ones."""
    import onnx

    needed = onnx.helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True)
    model.ir_version = min(model.ir_version, max(needed, IR_VERSION))


def at_ours(
    model: Any, specs: Sequence[TensorSpec], items: int, file: Path
) -> tuple[Any, list[str]]:
    """The graph at our opset where the converter can and every answer stays; and what to know.

    Raises:
        UnsupportedError: the runtime does not take the graph, at no opset.
    """
    written_in = version_of(model)
    try:
        feeds, expected = tried(loaded(model), specs, items)
    except RefusedError as error:
        if written_in <= OPSET:
            raise refused(file, str(error)) from error
        return lowered(model, specs, items, file, str(error))
    if written_in == OPSET:
        return model, []
    changed = converted(model)
    if changed is None:
        return model, [f"It stays at opset {written_in}: it cannot be converted to {OPSET}."]
    try:
        found = run(loaded(changed), feeds)
    except RefusedError:
        found = {}  # the graph as it is runs
    bound = Tolerance(share=tolerance_of(model.graph).share)  # the same items at once
    same = all(name in found and alike(found[name], expected[name], bound) for name in expected)
    if not same:
        return model, [
            f"It stays at opset {written_in}: converted to {OPSET} it would answer differently."
        ]
    return changed, []


def lowered(
    model: Any, specs: Sequence[TensorSpec], items: int, file: Path, why: str
) -> tuple[Any, list[str]]:
    """An opset newer than the runtime's has to become ours; there is nothing to compare with."""
    changed = converted(model)
    if changed is None:
        raise refused(file, why)
    try:
        tried(loaded(changed), specs, items)
    except RefusedError as error:
        raise refused(file, why) from error
    return changed, [
        f"Its opset {version_of(model)} is newer than onnxruntime's: it was lowered to {OPSET}."
    ]


def converted(model: Any) -> Any:
    """At our opset; None where the converter cannot."""
    import onnx
    from onnx import version_converter

    try:
        changed = version_converter.convert_version(model, OPSET)
        fit_file_version(changed)
        if version_of(model) <= CORNERS:
            from_corners(changed.graph)
        onnx.checker.check_model(changed)
    except Exception:  # noqa: BLE001 - a C++ library: its errors share no base
        return None
    del changed.metadata_props[:]
    changed.metadata_props.extend(model.metadata_props)
    return changed


def from_corners(graph: Any) -> None:
    """Until opset 10 places were counted from the corner; the converter leaves that unsaid."""
    from onnx import helper

    for node in graph.node:
        if node.op_type == "Resize" and not any(
            a.name == "coordinate_transformation_mode" for a in node.attribute
        ):
            asked = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            node.attribute.extend(helper.make_attribute(*pair) for pair in asked.items())


def refused(file: Path, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"{file} is ONNX, but the runtime refuses it: {why}.",
        "Update onnxruntime, or export the model with standard operators.",
    )


def inlined(model: Any) -> Any:
    """Functions of the file's own, written out where they are used."""
    if not model.functions:
        return model
    import onnx.inliner

    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # a C++ library: its errors share no base
        raise incomplete(error) from error
