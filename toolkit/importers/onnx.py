"""ONNX files."""

from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import DTYPES, Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Importer
from toolkit.model import Model
from toolkit.onnx_graph import OPSET, clean, parse, shape_of


class Onnx(Importer):
    """Any graph the runtime loads whose first axes are a batch; opsets are raised to ours."""

    title = "ONNX"

    @classmethod
    def accepts(cls, head: bytes) -> bool:
        # protobuf: field 1 (ir_version), a small number, then another known field of ModelProto
        return len(head) > 3 and head[0] == 0x08 and head[1] < 0x20 and head[2] in FIELDS

    def read(self, file: Path, job: Job) -> Model:
        job.step("import ONNX", 0, 1)
        graph = parse(file.read_bytes())
        if graph.graph.initializer and any(t.external_data for t in graph.graph.initializer):
            raise UnsupportedError(
                f"{file} keeps its weights in another file.",
                "Save it with the weights inside: onnx.save(model, path) after onnx.load(path).",
            )
        stored = {tensor.name for tensor in graph.graph.initializer}
        inputs = [v for v in graph.graph.input if v.name not in stored]
        signature = Signature(
            tuple(spec(value) for value in inputs), tuple(spec(v) for v in graph.graph.output)
        )
        signature = self._labelled(signature)
        data = clean(raised(graph)).SerializeToString(deterministic=True)
        loadable(data, file)
        job.step("import ONNX", 1, 1)
        return Model(signature, graph=data)

    def _labelled(self, signature: Signature) -> Signature:
        """A single (batch, classes) output is taken for class scores, numbered from 0."""
        output = signature.outputs[0]
        if len(signature.outputs) != 1 or len(output.shape) != 2 or output.shape[1] < 2:
            return signature
        return Signature(
            signature.inputs, signature.outputs, tuple(str(i) for i in range(output.shape[1]))
        )


FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}  # tags of ModelProto's fields 2 to 8


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
    if not shape or -1 in shape[1:]:
        raise UnsupportedError(
            f"{value.name!r} has shape {list(shape)}: only the first axis may be free.",
            "Export the model with fixed sizes after the batch.",
        )
    return TensorSpec(value.name, (-1, *shape[1:]), dtype)


def raised(graph: Any) -> Any:
    """At our opset where the converter can; as it is where it cannot."""
    import onnx

    version = next((o.version for o in graph.opset_import if o.domain in {"", "ai.onnx"}), OPSET)
    if version >= OPSET:
        return graph
    try:
        return onnx.version_converter.convert_version(graph, OPSET)
    except (RuntimeError, ValueError):
        return graph  # the runtime reads older opsets too


def loadable(data: bytes, file: Path) -> None:
    import onnxruntime

    try:
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise IntegrityError(
            f"{file} is ONNX, but the runtime refuses it: {str(error).splitlines()[0]}",
            "Update onnxruntime, or export the model with standard operators.",
        ) from error
