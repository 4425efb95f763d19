"""The way from a file to a graph: what the outputs need, operator by operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.layout import Layout
from toolkit.onnx_graph import IR_VERSION, OPSET
from toolkit.tflite_graph import pointwise, windows
from toolkit.tflite_graph.builder import QUANTIZED_HINT, Builder, Translation
from toolkit.tflite_graph.flat import File, Operation, Tensor, damaged
from toolkit.tflite_graph.names import value_name

if TYPE_CHECKING:
    import onnx

TRANSLATIONS: Mapping[str, Translation] = {**windows.TRANSLATIONS, **pointwise.TRANSLATIONS}
SHAPES = {"EXPAND_DIMS", "RESHAPE", "SQUEEZE"}
"""Their second input says a shape that the file knows already."""


@dataclass(frozen=True)
class Ends:
    """Name and shape of what a graph takes and gives."""

    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]


def translate(file: File, job: Job) -> tuple["onnx.ModelProto", Ends]:
    """The graph with a free batch, channels first inside, the file's own shapes outside.

    Raises:
        UnsupportedError: an operator, or a way of using it, that is not read.
    """
    operations = needed(file)
    refuse_unknown(file, operations)
    builder = Builder(file)
    taken = [(end_name(builder, file.tensors[i], "input"), i) for i in file.inputs]
    given = [(end_name(builder, file.tensors[i], "output"), i) for i in file.outputs]
    for name, place in taken:
        builder.values[place, Layout.LAST] = name
    for operation in job.track(operations, "import TFLite"):
        builder.scope = ""
        TRANSLATIONS[operation.code](builder, operation)
    builder.scope = ""
    for name, place in given:
        close(builder, name, place)
    ends = Ends(*(tuple((n, file.tensors[i].shape[1:]) for n, i in end) for end in (taken, given)))
    model = made(builder, ends)
    refuse_other_shapes(model, builder.shapes)
    return model, ends


def needed(file: File) -> list[Operation]:
    """What the outputs depend on, in order of execution; not what computes shapes only."""
    wanted, kept = set(file.outputs), []
    for operation in reversed(file.operations):
        if wanted.isdisjoint(operation.outputs):
            continue
        kept.append(operation)
        inputs = operation.inputs[:1] if operation.code in SHAPES else operation.inputs
        wanted |= set(inputs)
    return kept[::-1]


def refuse_unknown(file: File, operations: Sequence[Operation]) -> None:
    """Name what is not read before any work is done."""
    if not file.inputs or not file.outputs:
        raise UnsupportedError(
            "The TFLite file holds a graph that takes or gives nothing.",
            "Export a model with an input and an output.",
        )
    unknown: dict[str, Operation] = {}
    for operation in operations:
        if operation.code not in TRANSLATIONS:
            unknown.setdefault(operation.code, operation)
    if "QUANTIZE" in unknown:
        raise UnsupportedError("The TFLite file computes on integers.", QUANTIZED_HINT)
    if unknown:
        named = ", ".join(
            f"{code} (making {file.tensors[operation.outputs[0]].name!r})" if operation.outputs
            else code
            for code, operation in sorted(unknown.items())
        )  # fmt: skip
        raise UnsupportedError(
            f"TFLite import knows no operator {named}.",
            "Export the model with standard layers, or as ONNX from where it was made.",
        )
    for operation in operations:
        if len(operation.outputs) != 1:
            raise damaged(f"{operation.code} gives {len(operation.outputs)} results")
    for place in (*file.inputs, *file.outputs):
        refuse_end(file.tensors[place])


def refuse_end(tensor: Tensor) -> None:
    if tensor.quantized:
        raise UnsupportedError(
            f"The TFLite file is quantized: {tensor.name!r} holds {tensor.dtype.lower()}.",
            QUANTIZED_HINT,
        )
    if tensor.dtype != "FLOAT32":
        raise UnsupportedError(
            f"The TFLite file takes or gives {tensor.dtype.lower()} in {tensor.name!r}.",
            "Export a model that takes float32 numbers, and gives some.",
        )
    if tensor.shape[:1] != (1,) or 0 in tensor.shape:
        raise UnsupportedError(
            f"{tensor.name!r} has the shape {list(tensor.shape)}: the first axis must be a batch.",
            "Export the model with a batch of one as first axis.",
        )


def end_name(builder: Builder, tensor: Tensor, otherwise: str) -> str:
    return builder.unique(value_name(tensor.name) or otherwise)


def close(builder: Builder, name: str, place: int) -> None:
    """The output under its own name, in the file's layout."""
    from onnx import helper

    reading = Operation("the output", (place,), (place,), None)
    if builder.is_constant(place):
        raise reading.unsupported("is a constant", "Export a model that computes something.")
    source = builder.take(reading, 0)
    last = builder.nodes[-1] if builder.nodes else None
    read = any(source in node.input for node in builder.nodes)
    if last is not None and last.output[0] == source and not read:
        last.output[0] = name
    else:
        node = builder.unique("output")
        builder.nodes.append(helper.make_node("Identity", [source], [name], name=node))
    builder.shapes[name] = builder.file.tensors[place].shape


def made(builder: Builder, ends: Ends) -> "onnx.ModelProto":
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    graph = helper.make_graph(
        builder.nodes,
        "main",
        [value(*end) for end in ends.inputs],
        [value(*end) for end in ends.outputs],
        [numpy_helper.from_array(array, name) for name, array in builder.stored.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


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
            for size, wanted in zip(found[1:], expected[1:], strict=True)
        ):
            raise damaged(f"it says {list(expected)} of a value that has another shape")
