"""Compiled files that also give what is computed on the way: values inside as further outputs.

The file runs as it always does, on the kernels that it always runs on, and every engine that can
run the file can run the other one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_targets.runtime.errors import IntegrityError
from toolkit.onnx_graph import parse, written
from toolkit.verification.subject import File

SCOPE = "#"  # our compiler names a tensor after the node that made it, and a number
REAL = "#real"  # behind the name of a value that was made a real number for us
DEQUANTIZE = 6  # as the schema numbers it
DEQUANTIZE_VERSIONS = {"INT8": 2, "UINT8": 1, "INT16": 3}


@dataclass(frozen=True)
class Inner:
    """A value inside a file.

    Attributes:
        name: in the file; of the output, once it is one.
        origin: of the node of the model that it comes from; the value's own where that is not
            known.
    """

    name: str
    origin: str


def inner_values(file: File) -> tuple[Inner, ...]:
    """What can be looked at, in the order in which it is computed: one value an operator."""
    if file.engine == "tflite":
        return tflite_values(file.data)
    try:
        return inner_onnx(file.data)
    except IntegrityError:  # of another form, such as ONNX Runtime's own
        return ()


def inner_onnx(data: bytes) -> tuple[Inner, ...]:
    """Every value that depends on what goes in; stored weights are unpacked by others."""
    graph = parse(data).graph
    given = {value.name for value in graph.output}
    moving = {value.name for value in graph.input}
    found = []
    for node in graph.node:
        if moving.isdisjoint(node.input):
            continue
        moving |= set(node.output)
        found += [name for name in node.output if name and name not in given]
    return tuple(Inner(name, name) for name in found)


def exposed(file: File, values: Sequence[Inner]) -> bytes:
    """The same file with these values as further outputs."""
    if file.engine == "tflite":
        return exposed_tflite(file.data, {value.name for value in values})
    return exposed_onnx(file.data, [value.name for value in values])


def exposed_onnx(data: bytes, names: Sequence[str]) -> bytes:
    from onnx import ValueInfoProto

    model = parse(data)
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    return written(model)


def tflite_values(data: bytes) -> tuple[Inner, ...]:
    schema, model = unpacked(data)
    graph = model.subgraphs[0]
    given = set(graph.outputs)
    last: dict[str, Inner] = {}
    for operator in graph.operators:
        for place in operator.outputs:
            tensor = graph.tensors[place]
            if place in given or kind_of(schema, tensor) is None:
                continue
            name = tensor.name.decode()
            origin = name.partition(SCOPE)[0]
            last.pop(origin, None)  # the last of a node's values is the node's own
            suffix = REAL if kind_of(schema, tensor) in DEQUANTIZE_VERSIONS else ""
            last[origin] = Inner(name + suffix, origin)
    return tuple(last.values())


def kind_of(schema: Any, tensor: Any) -> str | None:
    """The name of a tensor's type; None for one that no engine would give."""
    kinds = {schema.TensorType.FLOAT32: "FLOAT32", schema.TensorType.INT32: "INT32"}
    whole = {getattr(schema.TensorType, name): name for name in DEQUANTIZE_VERSIONS}
    if tensor.type in whole:
        scale = tensor.quantization.scale if tensor.quantization else None
        return whole[tensor.type] if scale is not None and len(scale) == 1 else None
    return kinds.get(tensor.type)


def exposed_tflite(data: bytes, names: set[str]) -> bytes:
    schema, model = unpacked(data)
    graph = model.subgraphs[0]
    added: dict[str, int] = {}
    for place, tensor in enumerate(list(graph.tensors)):
        name = tensor.name.decode()
        if name in names:
            added[name] = place
        elif name + REAL in names:
            added[name + REAL] = made_real(schema, model, place, name + REAL)
    graph.outputs = [*graph.outputs, *added.values()]
    for signature in model.signatureDefs or []:
        signature.outputs = [*signature.outputs, *named_outputs(schema, added)]
    return repacked(model)


def repacked(model: Any) -> bytes:
    """The bytes of a file whose tables were changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from toolkit.flatbuffer.serialize import _Buffer

    for index, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data):
            model.buffers[index] = _Buffer(schema, bytes(buffer.data))  # aligned, as kernels want
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def made_real(schema: Any, model: Any, place: int, name: str) -> int:
    """Where the real numbers are that a quantized tensor stands for: an operator more."""
    graph, tensor = model.subgraphs[0], model.subgraphs[0].tensors[place]
    real = schema.TensorT()
    real.name, real.hasRank = name, True
    real.shape, real.shapeSignature = tensor.shape, tensor.shapeSignature
    real.type, real.buffer = schema.TensorType.FLOAT32, 0
    graph.tensors.append(real)
    operator = schema.OperatorT()
    operator.opcodeIndex = code_of(
        schema, model, DEQUANTIZE_VERSIONS[kind_of(schema, tensor) or ""]
    )
    operator.inputs, operator.outputs = [place], [len(graph.tensors) - 1]
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def code_of(schema: Any, model: Any, version: int) -> int:
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == DEQUANTIZE and code.version >= version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = DEQUANTIZE
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def named_outputs(schema: Any, places: Mapping[str, int]) -> list[Any]:
    found = []
    for name, place in places.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, place
        found.append(entry)
    return found


def unpacked(data: bytes) -> tuple[Any, Any]:
    from ai_edge_litert import schema_py_generated as schema

    return schema, schema.ModelT.InitFromPackedBuf(data, 0)
