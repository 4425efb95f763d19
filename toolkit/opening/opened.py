"""From an ONNX graph made elsewhere to a model of ours: the road that every such graph goes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_targets.runtime.contract import DTYPES, Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, labelled, layout_of
from toolkit.model import Model
from toolkit.onnx_graph import IR_VERSION, check, clean, written
from toolkit.opening import batch, blockers, ends, external, metadata, sizes, versions
from toolkit.opening.running import RefusedError, loaded, tried

STEPS = 4  # that are reported


def taken_over(graph: Any, file: Path, given: Given, job: Job) -> Found:
    """A model with a free batch that answers as the graph of the file does.

    Raises:
        IntegrityError: the graph is damaged.
        UnsupportedError: names the operator, input or output that cannot be taken over.
    """
    job.step("check the graph", 0, STEPS)
    opset = versions.version_of(graph)
    model, notes = settled(graph, file, given)
    specs = [ends.spec_of(value) for value in model.graph.input]
    job.step("raise the opset", 1, STEPS)
    items = batch.size_of(model, file)
    model, said = versions.at_ours(model, specs, max(items, 1), file)
    notes += said
    job.step("free the batch", 2, STEPS)
    model, said = batch.freed(model, specs, items, file)
    notes += said
    job.step("take over the graph", 3, STEPS)
    data, signature = finished(model, specs, file)
    facts = metadata.metadata_of(graph)
    labels, said = metadata.named(signature, facts, graph)
    notes += [*said, *metadata.hints(facts), *blockers.remarks(model.graph)]
    signature = replace(signature, labels=labels) if labels else labelled(signature)
    job.step("take over the graph", STEPS, STEPS)
    return Found(Model(signature, graph=data), layout_of(signature), opset, facts, tuple(notes))


def settled(graph: Any, file: Path, given: Given) -> tuple[Any, list[str]]:
    """A copy with weights inside, known operators only, and inputs whose sizes are known."""
    if not readable(graph):
        raise IntegrityError(
            f"{file} is damaged: it holds a name that is no text.",
            "Copy or export the file again.",
        )
    model = type(graph)()
    model.CopyFrom(graph)
    notes = []
    if held := external.inline(model, file):
        notes.append(f"Its {held:,} bytes of weights in another file are inside now.")
    ends.name_nodes(model.graph)
    blockers.refuse_unknown(model, file)
    versions.refuse_unborn(model, file)
    versions.fit_file_version(model)
    sizes.add_missing(model.graph, given.shapes)
    check(model)
    model = versions.inlined(model)
    ends.name_nodes(model.graph)  # once more: the bodies of functions repeat theirs
    notes += ends.settle(model.graph, str(file))
    model.ir_version = max(model.ir_version, IR_VERSION)  # before, weights had to be inputs
    notes += sizes.fix(model.graph, given.shapes, str(file))
    return model, notes


def readable(message: Any) -> bool:
    """Whether every text in a protobuf message is one; others are handed over as bytes."""
    for field, value in message.ListFields():
        if field.type not in {field.TYPE_STRING, field.TYPE_MESSAGE}:
            continue
        single = isinstance(value, str | bytes) or hasattr(value, "ListFields")
        for one in [value] if single else value:
            if isinstance(one, bytes) or (hasattr(one, "ListFields") and not readable(one)):
                return False
    return True


def finished(model: Any, specs: list[TensorSpec], file: Path) -> tuple[bytes, Signature]:
    """The clean graph; its outputs have the shapes that two items gave, whatever was written."""
    from onnx import helper

    model = with_zero_points(model)
    try:
        _, answers = tried(loaded(model), specs, 2)
    except RefusedError as error:
        raise batch.unfree(file, str(error), error.where) from error
    outputs = []
    for value in model.graph.output:
        answer = answers[value.name]
        shape, dtype = answer.shape, np.dtype(answer.dtype).name
        if not shape or shape[0] != 2:
            raise batch.unfree(file, f"two items give {value.name!r} shape {list(shape)}", "")
        if dtype not in DTYPES.values():
            raise UnsupportedError(
                f"{value.name!r} has type {dtype}.", "Cast it to float32 inside the graph."
            )
        if math.prod(shape[1:]) > sizes.MOST_VALUES or 0 in shape:
            raise UnsupportedError(
                f"{value.name!r} has shape {list(shape[1:])}: no values, or too many.",
                "Export the model with smaller inputs and outputs.",
            )
        kind = helper.np_dtype_to_tensor_dtype(answer.dtype)
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, [None, *shape[1:]]))
        outputs.append(TensorSpec(value.name, (-1, *shape[1:]), dtype))
    return written(clean(model)), Signature(tuple(specs), tuple(outputs))


def with_zero_points(model: Any) -> Any:
    """Weights that are stored as integers get the zero point that a file may leave out.

    Asked for exact sums, onnxruntime moves stored weights by it, and fails where there is none.
    """
    from onnx import helper, numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or any(node.input[2:]):
            continue
        weights, scale = (stored.get(name) for name in node.input[:2])
        if weights is None or scale is None:
            continue
        dtype = helper.tensor_dtype_to_np_dtype(weights.data_type)
        name = f"{weights.name}_zero"
        zeros = numpy_helper.from_array(np.zeros(tuple(scale.dims), dtype), name)
        if name not in stored:
            stored[name] = zeros
            model.graph.initializer.append(zeros)
        del node.input[2:]
        node.input.append(name)
    return model
