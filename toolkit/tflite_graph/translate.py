"""The way from a file to a graph: what the outputs need, operator by operator."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.events import Job
from toolkit.onnx_graph import IR_VERSION, OPSET
from toolkit.tflite_graph import (
    activations,
    choosing,
    dense,
    elementwise,
    recurrent,
    reductions,
    resizing,
    shaping,
    windows,
)
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.dilation import joined
from toolkit.tflite_graph.ends import Ends, close_output, open_input, opened
from toolkit.tflite_graph.folding import folded
from toolkit.tflite_graph.parts import File, Operation, damaged
from toolkit.tflite_graph.refusing import refuse_unknown

if TYPE_CHECKING:
    import onnx

TRANSLATIONS: Mapping[str, Translation] = {
    **activations.TRANSLATIONS,
    **choosing.TRANSLATIONS,
    **dense.TRANSLATIONS,
    **elementwise.TRANSLATIONS,
    **recurrent.TRANSLATIONS,
    **reductions.TRANSLATIONS,
    **resizing.TRANSLATIONS,
    **shaping.TRANSLATIONS,
    **windows.TRANSLATIONS,
}
UNREAD: Mapping[str, int] = {
    **dict.fromkeys(("BROADCAST_TO", "EXPAND_DIMS", "FILL", "RESHAPE", "SQUEEZE"), 1),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 1),
    "TRANSPOSE_CONV": 0,
}
"""The input that says a shape, which the file knows already."""

NEW_IR = 10  # of the file format, that goes with opset 21


def translate(file: File, job: Job) -> tuple["onnx.ModelProto", Ends, list[str]]:
    """The graph with a free batch, channels first inside, the file's own shapes outside; notes.

    Raises:
        UnsupportedError: an operator, or a way of using it, that is not read.
    """
    known = folded(file)
    file = joined(file, known)
    operations = needed(file, known)
    refuse_unknown(file, operations, TRANSLATIONS)
    builder = Builder(file, known)
    ends = opened(builder)
    for end in ends.inputs:
        open_input(builder, end)
    for operation in job.track(operations, "import TFLite"):
        builder.scope = ""
        TRANSLATIONS[operation.code](builder, operation)
    builder.scope = ""
    closed: set[str] = set()
    for end in ends.outputs:
        close_output(builder, end, closed)
    model = made(builder, ends)
    refuse_other_shapes(model, builder.shapes)
    return model, ends, list(dict.fromkeys(builder.notes))


def needed(file: File, known: Mapping[int, Any]) -> list[Operation]:
    """What the outputs depend on, in order of execution; not what computes shapes only."""
    wanted, kept = set(file.outputs), []
    for operation in reversed(file.operations):
        if wanted.isdisjoint(operation.outputs) or set(operation.outputs) <= set(known):
            continue
        kept.append(operation)
        unread = UNREAD.get(operation.code, -1)
        wanted |= {place for i, place in enumerate(operation.inputs) if i != unread}
    return kept[::-1]


def made(builder: Builder, ends: Ends) -> "onnx.ModelProto":
    from onnx import helper, numpy_helper

    def value(end: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(end.numpy)
        return helper.make_tensor_value_info(end.name, kind, ["batch", *end.shape])

    graph = helper.make_graph(
        builder.nodes,
        "main",
        [value(end) for end in ends.inputs],
        [value(end) for end in ends.outputs],
        [numpy_helper.from_array(array, name) for name, array in builder.stored.items()],
    )
    ir_version = IR_VERSION if builder.opset == OPSET else NEW_IR
    opset = helper.make_opsetid("", builder.opset)
    return helper.make_model(graph, opset_imports=[opset], ir_version=ir_version)


def refuse_other_shapes(model: "onnx.ModelProto", said: Mapping[str, tuple[int, ...]]) -> None:
    """Hold what the file says of its values against what its operators give."""
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise damaged("the shapes of its tensors contradict each other") from error
    for value in inferred.graph.value_info:
        dims = value.type.tensor_type.shape.dim
        expected = said.get(value.name)
        if expected is None or not value.type.tensor_type.HasField("shape"):
            continue
        found = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        if len(found) != len(expected) or any(
            size is not None and size != wanted
            for size, wanted in zip(found, expected, strict=True)
        ):
            raise damaged(f"it says {list(expected)} of a value that has another shape")
