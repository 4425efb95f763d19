"""ONNX graphs: from torch, and in the clean form that every later step expects."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.quiet import quiet

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from toolkit.model import Model  # which needs this module: its weights may lie in a graph

OPSET = 20
IR_VERSION = 9  # of the file format: the first that knows our opset; weights need not be inputs
BATCH = "batch"


def graph_of(model: "Model", job: Job) -> bytes:
    """The model as an ONNX graph, class shares as output; a network is exported."""
    return export(model, job) if model.network else model.graph


def export(model: "Model", job: Job) -> bytes:
    import onnx

    job.step("export to ONNX", 0, 1)
    module = answering(model)
    [taken], [given] = model.signature.inputs, model.signature.outputs
    try:
        graph = traced(module, taken, given.name)
    except Exception as error:  # the exporter's errors share no other base
        job.step("export to ONNX", 0, 1)  # it wraps an interruption as well: then this stops
        reason = first_line(error.__cause__ or error)
        raise UnsupportedError(
            f"This network cannot be exported to ONNX: {reason}.",
            "Build it from standard torch layers, without branches that depend on values.",
        ) from error
    onnx.checker.check_model(graph, full_check=True)
    job.step("export to ONNX", 1, 1)
    return written(graph)


def answering(model: "Model") -> "nn.Module":
    """The torch network as it is exported: with class shares as output."""
    from torch import nn

    head = nn.Softmax(dim=1) if model.signature.labels else nn.Identity()
    # not nested: the weights keep the names that the network gave them
    return nn.Sequential(*model.module().children(), head).eval()


def traced(module: "nn.Module", taken: TensorSpec, given: str) -> "onnx.ModelProto":
    """A torch module as a clean graph that takes `taken` and gives an output with that name.

    Raises:
        Exception: of the exporter's own, where it cannot.
    """
    import torch

    # two items: with one, torch.export would take the batch for a constant
    example = torch.zeros((2, *taken.shape[1:]), dtype=getattr(torch, taken.dtype))
    with quiet(), torch.no_grad():  # the exporter warns about its own internals
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            verbose=False,
            external_data=False,
            opset_version=OPSET,
            input_names=[taken.name],
            output_names=[given],
            dynamic_shapes=({0: torch.export.Dim(BATCH, min=1)},),
        )
    if program is None:
        raise AssertionError("the exporter gives a program unless it is told a file")
    return clean(program.model_proto)


def clean(graph: "onnx.ModelProto") -> "onnx.ModelProto":
    """Without what only the exporter needed: a third of a small file, and paths of this machine.

    Weights are no inputs either, as they are in files of ir_version 3.
    """
    import onnx

    slim = onnx.ModelProto()
    slim.CopyFrom(graph)
    slim.ir_version = max(slim.ir_version, IR_VERSION)
    stored = {tensor.name for tensor in slim.graph.initializer}
    taken = [value for value in slim.graph.input if value.name not in stored]
    del slim.graph.input[:]
    slim.graph.input.extend(taken)
    slim.producer_name, slim.producer_version, slim.doc_string = "sanderling", "", ""
    del slim.metadata_props[:]
    del slim.graph.value_info[:]  # shapes that the quantizer would hold against its own
    del slim.graph.metadata_props[:]
    used = {node.domain for node in nodes_of(slim.graph)} | {"", "ai.onnx"}
    kept = [opset for opset in slim.opset_import if opset.domain in used]
    del slim.opset_import[:]
    slim.opset_import.extend(kept)
    for index, node in enumerate(slim.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*slim.graph.input, *slim.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
        del value.metadata_props[:]
    for tensor in slim.graph.initializer:
        del tensor.metadata_props[:]
    return slim


def cleaned(graph: bytes) -> bytes:
    return written(clean(parse(graph)))


def written(graph: "onnx.ModelProto") -> bytes:
    """The same graph gives the same bytes."""
    return bytes(graph.SerializeToString(deterministic=True))


def parse(graph: bytes) -> "onnx.ModelProto":
    """The graph as an object, its form checked.

    Raises:
        IntegrityError: the bytes are no complete ONNX model.
    """
    model = decode(graph)
    check(model)
    return model


def decode(graph: bytes) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(graph)
    except (DecodeError, ValueError) as error:
        raise incomplete(error) from error


def check(model: "onnx.ModelProto") -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise incomplete(error) from error


def incomplete(error: Exception) -> IntegrityError:
    reason = (str(error).splitlines() or ["it cannot be decoded"])[0].rstrip(".")
    return IntegrityError(
        f"This is not a complete ONNX model: {reason}.", "Copy or export the file again."
    )


def nodes_of(graph: Any) -> Iterator[Any]:
    """Every node, those in the branches and bodies of others included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def attribute(node: Any, name: str, default: Any) -> Any:
    """Of a node; words as text, not bytes."""
    from onnx import helper

    for given in node.attribute:
        if given.name == name:
            value = helper.get_attribute_value(given)
            return value.decode() if isinstance(value, bytes) else value
    return default


def parameter_count(graph: bytes) -> int:
    """How many numbers the graph stores, scalars left out."""
    return sum(math.prod(t.dims) for t in parse(graph).graph.initializer if len(t.dims))


def operators(graph: bytes) -> dict[str, int]:
    """How often each operator occurs."""
    counts: dict[str, int] = {}
    for node in parse(graph).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a graph input or output; -1 where it is free."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)
