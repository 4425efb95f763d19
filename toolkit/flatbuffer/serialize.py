"""Packs what a `Writer` collected into the bytes of a `.tflite` file."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from toolkit.flatbuffer.graph import Quantization
from toolkit.flatbuffer.writer import Operation, Subgraph, Tensor, Writer

SCHEMA_VERSION = 3
ALIGNMENT = 16  # bytes: the schema's force_align of stored data; kernels load it in place
OPTIONS = {
    "ATAN2": "ATan2Options",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "LOCAL_RESPONSE_NORMALIZATION": "LocalResponseNormalizationOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options",
}
"""Option tables whose name cannot be derived from the operator's."""

INT8_VERSIONS = {
    "ADD": 2, "AVERAGE_POOL_2D": 2, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2, "FULLY_CONNECTED": 4, "MAXIMUM": 2, "MAX_POOL_2D": 2, "MEAN": 2,
    "MINIMUM": 2, "MUL": 2, "PAD": 2, "PADV2": 2, "RELU": 2, "RELU6": 2, "SLICE": 2,
    "STRIDED_SLICE": 2, "SUB": 2, "TRANSPOSE": 2,
}  # fmt: skip
"""The version that brought int8: a runtime older than that refuses the file at loading."""

VERSIONS = {"BROADCAST_TO": 2, "TRANSPOSE_CONV": 3}
"""Where the first version was never released, or knows no bias."""

PER_CHANNEL_DENSE = 12  # version of FULLY_CONNECTED; older ones would apply one scale to all
DYNAMIC_DENSE = 9  # the first that quantizes its input asymmetrically
INT4_VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}


def serialize(
    writer: Writer, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], title: str
) -> bytes:
    """The file: the inputs and outputs carry the given names, operators nobody needs are left out.

    The same writer gives the same bytes.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graphs = [
        Subgraph(writer, tuple(inputs.values()), tuple(outputs.values())),
        *writer.subgraphs,
    ]
    names = writer.names | {t.index: n for n, t in [*inputs.items(), *outputs.items()]}
    packer = _Packer(schema, writer.data, names)
    model = schema.ModelT()
    model.version = SCHEMA_VERSION
    model.description = title
    model.subgraphs = [packer.graph(graph) for graph in graphs]
    model.buffers = packer.buffers
    model.operatorCodes = [_code(schema, *key) for key in packer.codes]
    position = {t.index: place for place, t in enumerate(_order(graphs[0]))}
    model.signatureDefs = [_signature(schema, inputs, outputs, position)]

    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def renamed(data: bytes, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> bytes:
    """The same file, the tensors of its inputs and outputs called as its signature calls them.

    A program that quantizes a file puts operators around it, and new names with them; one that
    makes files has names of its own, which `inputs` and `outputs` replace.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data)
    [graph, *_], [signature, *_] = model.subgraphs, model.signatureDefs
    for entries, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for entry, name in zip(entries, names, strict=False):
            entry.name = name.encode()
    called = {entry.tensorIndex: entry.name for entry in signature.inputs + signature.outputs}
    for place, tensor in enumerate(graph.tensors):
        if place in called:
            tensor.name = called[place]
        elif tensor.name in called.values():
            tensor.name += b"/stored"
    model.buffers = [
        buffer if buffer.data is None else _Buffer(schema, bytes(buffer.data))
        for buffer in model.buffers
    ]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Packer:
    """Fills the tables of the file's graphs; stored data and operator codes are theirs together."""

    def __init__(
        self, schema: ModuleType, data: Mapping[int, bytes], names: Mapping[int, str]
    ) -> None:
        self.schema = schema
        self.data = data
        self.names = names
        self.buffers: list[Any] = [schema.BufferT()]
        self.codes: dict[tuple[str, int], int] = {}
        self.zeros: dict[tuple[int, ...], int] = {}
        self.places: dict[int, int] = {}

    def graph(self, graph: Subgraph) -> Any:
        order = _order(graph)
        position = {tensor.index: place for place, tensor in enumerate(order)}
        made = self.schema.SubGraphT()
        made.name = "" if self.codes else "main"
        made.tensors = [self.tensor(tensor) for tensor in order]
        made.operators = [
            _operator(self.schema, operation, position, self.codes)
            for operation in graph.writer.needed(graph.outputs)
        ]
        made.inputs = [position[tensor.index] for tensor in graph.inputs]
        made.outputs = [position[tensor.index] for tensor in graph.outputs]
        return made

    def tensor(self, tensor: Tensor) -> Any:
        entry = self.schema.TensorT()
        entry.shape = list(tensor.shape)
        entry.hasRank = True
        entry.type = getattr(self.schema.TensorType, tensor.dtype.upper())
        entry.name = self.names[tensor.index]
        if tensor.free:
            entry.shapeSignature = list(tensor.free)
        if tensor.quantization:
            entry.quantization = _Scales(self.schema, tensor.quantization, self.zeros)
        if tensor.index in self.data:
            entry.buffer = self.place(tensor.index)
        return entry

    def place(self, index: int) -> int:
        """Where the numbers of a constant lie; graphs that share them find them in one place."""
        if index not in self.places:
            self.places[index] = len(self.buffers)
            self.buffers.append(_Buffer(self.schema, self.data[index]))
        return self.places[index]


def _order(graph: Subgraph) -> list[Tensor]:
    """Every tensor of a graph: the inputs, then each at its first use."""
    found = {tensor.index: tensor for tensor in graph.inputs}
    for operation in graph.writer.needed(graph.outputs):
        for tensor in (*operation.inputs, *operation.outputs):
            if tensor:
                found.setdefault(tensor.index, tensor)
    return list(found.values())


class _Buffer:
    """Stored data, aligned: the generated `BufferT` packs bytes wherever they fall."""

    def __init__(self, schema: ModuleType, data: bytes) -> None:
        self.schema = schema
        self.data = data

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the generated code calls it so
        builder.Prep(ALIGNMENT, len(self.data))
        vector = builder.CreateByteVector(self.data)
        self.schema.BufferStart(builder)
        self.schema.BufferAddData(builder, vector)
        return self.schema.BufferEnd(builder)


class _Scales:
    """How a tensor is stored; zero points that other tensors have as well are written once.

    They are zeros of eight bytes for each channel, for weights and bias alike: a seventh of a
    small network's file.
    """

    def __init__(
        self, schema: ModuleType, stored: Quantization, shared: dict[tuple[int, ...], int]
    ) -> None:
        self.schema = schema
        self.stored = stored
        self.shared = shared

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the generated code calls it so
        import numpy as np

        scale = builder.CreateNumpyVector(np.array(self.stored.scale, np.float32))
        key = self.stored.zero_point
        if key not in self.shared:
            self.shared[key] = builder.CreateNumpyVector(np.array(key, np.int64))
        self.schema.QuantizationParametersStart(builder)
        self.schema.QuantizationParametersAddScale(builder, scale)
        self.schema.QuantizationParametersAddZeroPoint(builder, self.shared[key])
        self.schema.QuantizationParametersAddQuantizedDimension(builder, self.stored.axis)
        return self.schema.QuantizationParametersEnd(builder)


def _operator(
    schema: ModuleType,
    operation: Operation,
    position: Mapping[int, int],
    codes: dict[tuple[str, int], int],
) -> Any:
    entry = schema.OperatorT()
    key = (operation.code, _version(operation))
    entry.opcodeIndex = codes.setdefault(key, len(codes))
    entry.inputs = [position[t.index] if t else -1 for t in operation.inputs]
    entry.outputs = [position[tensor.index] for tensor in operation.outputs]
    camel = operation.code.title().replace("_", "") + "Options"
    table = OPTIONS.get(operation.code, camel)
    if hasattr(schema, f"{table}T"):
        entry.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        entry.builtinOptions = getattr(schema, f"{table}T")()
        for name, value in operation.options.items():
            if not hasattr(entry.builtinOptions, name):
                raise AttributeError(f"{table} has no field {name}")
            setattr(entry.builtinOptions, name, value)
    return entry


def _version(operation: Operation) -> int:
    """The oldest that knows how the operator's tensors are stored."""
    first = next(tensor for tensor in operation.inputs if tensor)
    if operation.code in VERSIONS:
        return VERSIONS[operation.code]
    if operation.code == "DEQUANTIZE":
        return _unpacking(first)
    weights = operation.inputs[1] if len(operation.inputs) > 1 else None
    is_per_channel = bool(weights and weights.quantization and weights.quantization.per_channel)
    if operation.code == "FULLY_CONNECTED" and weights and weights.quantization:
        if is_per_channel:
            return PER_CHANNEL_DENSE
        if weights.dtype == "int4":
            return INT4_VERSIONS[operation.code]
        return INT8_VERSIONS[operation.code] if first.quantization else DYNAMIC_DENSE
    if first.dtype != "int8":
        return 1
    if weights and weights.dtype == "int4":
        return INT4_VERSIONS[operation.code]
    return INT8_VERSIONS.get(operation.code, 1)


def _unpacking(constant: Tensor) -> int:
    if constant.dtype == "int8" and constant.quantization and constant.quantization.per_channel:
        return 5
    return {"float16": 3, "int4": 6}.get(constant.dtype, INT8_VERSIONS["DEQUANTIZE"])


def _code(schema: ModuleType, code: str, version: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode = getattr(schema.BuiltinOperator, code)
    # readers from before 2020 know one byte only
    entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
    entry.version = version
    return entry


def _signature(
    schema: ModuleType,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    position: Mapping[int, int],
) -> Any:
    def entry(name: str, tensor: Tensor) -> Any:
        made = schema.TensorMapT()
        made.name, made.tensorIndex = name, position[tensor.index]
        return made

    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.subgraphIndex = 0
    signature.inputs = [entry(name, tensor) for name, tensor in inputs.items()]
    signature.outputs = [entry(name, tensor) for name, tensor in outputs.items()]
    return signature
