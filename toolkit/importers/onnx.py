"""ONNX files."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import DTYPES, Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source, labelled, layout_of
from toolkit.model import Model
from toolkit.onnx_graph import OPSET, check, clean, decode, nodes_of, shape_of, written

FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}  # tags of ModelProto's fields 2 to 8
WORDS = 300  # characters of a reason that a person still reads
MOST_VALUES = 1 << 26  # an item: 268 MB in float32; more fits on no device
ITEMS = 2  # that the graph is tried with: one would not show a fixed batch


class Onnx(Importer):
    """Any graph the runtime loads whose first axes are a batch; opsets are raised to ours."""

    title = "ONNX"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        head = source.head
        # protobuf: field 1 (ir_version), a small number, then another known field of ModelProto
        return len(head) > 3 and head[0] == 0x08 and head[1] < 0x20 and head[2] in FIELDS

    def read(self, source: Source, given: Given, job: Job) -> Found:
        file = source.path
        job.step("import ONNX", 0, 1)
        graph = decode(file.read_bytes())
        if not readable(graph):
            raise IntegrityError(
                f"{file} is damaged: it holds a name that is no text.",
                "Copy or export the file again.",
            )
        refuse_outside(graph, file)
        refuse_unknown(graph, file)
        check(graph)
        stored = {tensor.name for tensor in graph.graph.initializer}
        inputs = [value for value in graph.graph.input if value.name not in stored]
        if not inputs or not graph.graph.output:
            raise UnsupportedError(
                f"{file} holds a graph that takes or gives nothing.",
                "Export a model with an input and an output.",
            )
        signature = Signature(
            tuple(spec(value) for value in inputs), tuple(spec(v) for v in graph.graph.output)
        )
        data = written(clean(with_zero_points(raised(graph))))
        refuse_unrunnable(data, signature, file)
        job.step("import ONNX", 1, 1)
        model = Model(labelled(signature), graph=data)
        return Found(model, layout_of(signature), version_of(graph))


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


def spec(value: Any) -> TensorSpec:
    import onnx

    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    except (KeyError, TypeError, AttributeError) as error:
        raise UnsupportedError(
            f"{value.name!r} is no tensor.", "Export the model with tensors in and out."
        ) from error
    shape = shape_of(value)
    if dtype not in DTYPES.values():
        raise UnsupportedError(
            f"{value.name!r} has type {dtype}.", "Cast it to float32 inside the graph."
        )
    if not shape or any(size < 1 for size in shape[1:]):
        raise UnsupportedError(
            f"{value.name!r} has shape {list(shape)}: only the first axis may be free.",
            "Export the model with fixed sizes after the batch.",
        )
    if math.prod(shape[1:]) > MOST_VALUES:
        raise UnsupportedError(
            f"{value.name!r} has shape {list(shape)}: more than {MOST_VALUES:,} values an item.",
            "Export the model with smaller inputs and outputs.",
        )
    return TensorSpec(value.name, (-1, *shape[1:]), dtype)


def refuse_outside(model: Any, file: Path) -> None:
    """A weight in another file would be read from wherever the model says."""
    if any(tensor.external_data for tensor in tensors_of(model.graph)):
        raise UnsupportedError(
            f"{file} keeps its weights in another file.",
            "Save it with the weights inside: onnx.save(model, path) after onnx.load(path).",
        )


def tensors_of(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in nodes_of(graph):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from inner.initializer


def refuse_unknown(model: Any, file: Path) -> None:
    """Standard operators are known by name; others the runtime is asked for."""
    import onnx

    known = {(function.domain, function.name) for function in model.functions}
    for node in nodes_of(model.graph):
        standard = node.domain in {"", "ai.onnx"} and (node.domain, node.op_type) not in known
        if standard and not onnx.defs.has(node.op_type):
            raise UnsupportedError(
                f"{file} uses {node.op_type} (node {node.name!r}), which is no ONNX operator.",
                "Export the model with standard operators.",
            )


def version_of(graph: Any) -> int:
    """The opset a graph is written in."""
    return next((o.version for o in graph.opset_import if o.domain in {"", "ai.onnx"}), OPSET)


def raised(graph: Any) -> Any:
    """At our opset where the converter can; as it is where it cannot."""
    import onnx

    if version_of(graph) >= OPSET:
        return graph
    try:
        return onnx.version_converter.convert_version(graph, OPSET)
    except (RuntimeError, ValueError):
        return graph  # the runtime reads older opsets too


def with_zero_points(graph: Any) -> Any:
    """Weights that are stored as integers get the zero point that a file may leave out.

    Asked for exact sums, onnxruntime moves stored weights by it, and fails where there is none.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    stored = {tensor.name: tensor for tensor in graph.graph.initializer}
    for node in graph.graph.node:
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
            graph.graph.initializer.append(zeros)
        del node.input[2:]
        node.input.append(name)
    return graph


def refuse_unrunnable(data: bytes, signature: Signature, file: Path) -> None:
    """Load the graph and give it two items: the proof that it takes batches of any size."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no other base
        raise UnsupportedError(
            f"{file} is ONNX, but the runtime refuses it: {reason(error)}.",
            "Update onnxruntime, or export the model with standard operators.",
        ) from error
    try:
        feeds = {s.name: np.zeros((ITEMS, *s.shape[1:]), s.dtype) for s in signature.inputs}
        answers = session.run([s.name for s in signature.outputs], feeds)
        found = [answer.shape for answer in answers]
    except Exception as error:
        raise fixed(file, reason(error)) from error
    if found != [(ITEMS, *s.shape[1:]) for s in signature.outputs]:
        raise fixed(file, f"two items give shapes {found}")


def fixed(file: Path, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"{file} does not run with a batch of any size: {why}.",
        "Export the model with a free first axis (dynamic_axes or dynamic_shapes).",
    )


def reason(error: Exception) -> str:
    """What onnxruntime says, without the places in its source code that stand before it."""
    first = (str(error).splitlines() or ["it does not say why"])[0]
    said = first.rpartition(" : ")[2].rpartition("Status Message: ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", said)[:WORDS].rstrip(". ")
