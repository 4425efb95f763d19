"""Small TFLite files, written tensor by tensor, and what LiteRT makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_targets.runtime.events import QUIET
from toolkit.importers import Found, Given, read_model

Array = np.ndarray[Any, Any]
TABLES = {
    "ARG_MAX": "ArgMaxOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BIDIRECTIONAL_SEQUENCE_RNN": "BidirectionalSequenceRNNOptions",
    "CUMSUM": "CumsumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "CONV_2D": "Conv2DOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "BidirectionalSequenceLSTMOptions",
    "LOCAL_RESPONSE_NORMALIZATION": "LocalResponseNormalizationOptions",
}
"""Option tables whose name is not the operator's in CamelCase."""

VERSIONS = {"BROADCAST_TO": 2, "TRANSPOSE_CONV": 3}


@dataclass(frozen=True)
class Scale:
    """How integers stand for real numbers."""

    scale: tuple[float, ...]
    zero: tuple[int, ...] = (0,)
    axis: int = 0


@dataclass
class Maker:
    """Grows a file; tensors are known by their place."""

    tensors: list[dict[str, Any]] = field(default_factory=list)
    operators: list[dict[str, Any]] = field(default_factory=list)

    def tensor(
        self, shape: Sequence[int], dtype: str = "float32", scale: Scale | None = None,
        data: bytes = b"", *, state: bool = False, name: str = "",
    ) -> int:  # fmt: skip
        place = len(self.tensors)
        given = {"shape": tuple(shape), "dtype": dtype, "scale": scale, "data": data}
        self.tensors.append({**given, "state": state, "name": name or f"tensor_{place}"})
        return place

    def constant(self, array: Any, scale: Scale | None = None, dtype: str = "") -> int:
        values = np.asarray(array)
        return self.tensor(values.shape, dtype or values.dtype.name, scale, values.tobytes())

    def integers(self, *values: int) -> int:
        return self.constant(np.array(values, np.int32))

    def shape(self, place: int) -> tuple[int, ...]:
        return tuple(self.tensors[place]["shape"])

    def emit(
        self, code: str, inputs: Sequence[int], shape: Sequence[int], dtype: str = "",
        scale: Scale | None = None, version: int = 0, **options: Any,
    ) -> int:  # fmt: skip
        made = self.tensor(shape, dtype or self.tensors[inputs[0]]["dtype"], scale)
        self.operate(code, inputs, [made], version, **options)
        return made

    def operate(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 0,
        **options: Any,
    ) -> None:  # fmt: skip
        version = version or VERSIONS.get(code, 1)
        given = {"code": code, "inputs": list(inputs), "outputs": list(outputs)}
        self.operators.append({**given, "options": options, "version": version})

    def file(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT()
        model.version, model.description = 3, "test"
        model.buffers, model.operatorCodes = [schema.BufferT()], []
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors = [self._tensor(schema, model, given) for given in self.tensors]
        graph.operators = [self._operator(schema, model, given) for given in self.operators]
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.subgraphs = [graph]
        builder = flatbuffers.Builder(1 << 12)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, schema: Any, model: Any, given: Mapping[str, Any]) -> Any:
        entry = schema.TensorT()
        entry.shape, entry.name = list(given["shape"]), given["name"]
        entry.type = getattr(schema.TensorType, given["dtype"].upper())
        entry.isVariable = given["state"]
        if given["data"]:
            entry.buffer = len(model.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(given["data"], np.uint8)
            model.buffers.append(buffer)
        if given["scale"]:
            scale: Scale = given["scale"]
            entry.quantization = schema.QuantizationParametersT()
            entry.quantization.scale = list(scale.scale)
            entry.quantization.zeroPoint = list(scale.zero) * (
                len(scale.scale) if len(scale.zero) == 1 else 1
            )
            entry.quantization.quantizedDimension = scale.axis
        return entry

    def _operator(self, schema: Any, model: Any, given: Mapping[str, Any]) -> Any:
        entry, code = schema.OperatorT(), schema.OperatorCodeT()
        name = given["code"]
        if hasattr(schema.BuiltinOperator, name):
            code.builtinCode = getattr(schema.BuiltinOperator, name)
        else:
            code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, name
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = given["version"]
        entry.opcodeIndex = len(model.operatorCodes)
        model.operatorCodes.append(code)
        entry.inputs, entry.outputs = given["inputs"], given["outputs"]
        table = TABLES.get(name, name.title().replace("_", "") + "Options")
        if hasattr(schema, f"{table}T"):
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            entry.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in given["options"].items():
                if not hasattr(entry.builtinOptions, key):
                    raise AttributeError(f"{table} has no field {key}")
                setattr(entry.builtinOptions, key, value)
        return entry


def random(*shape: int, seed: int = 0) -> Array:
    """The same for the same shape, whatever the order of the tests."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def codes(values: Array, scale: float, zero: int, dtype: str) -> Array:
    limits = np.iinfo(dtype)
    whole = np.rint(values / np.float32(scale)) + zero
    return np.asarray(whole.clip(limits.min, limits.max).astype(dtype))


def litert(data: bytes, feeds: Sequence[Array]) -> list[Array]:
    """Every output for every item, as real numbers; inputs are given as such."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data, num_threads=1)
    runner.allocate_tensors()
    taken, given = runner.get_input_details(), runner.get_output_details()
    found: list[list[Array]] = [[] for _ in given]
    for index in range(len(feeds[0])):
        runner.reset_all_variables()
        for one, values in zip(taken, feeds, strict=True):
            scale, zero = one["quantization"]
            item = values[index].reshape(one["shape"])
            dtype = np.dtype(one["dtype"]).name
            item = codes(item, scale, zero, dtype) if scale else item.astype(dtype)
            runner.set_tensor(one["index"], item)
        runner.invoke()
        for results, one in zip(found, given, strict=True):
            scale, zero = one["quantization"]
            value = runner.get_tensor(one["index"]).copy()
            real = (value.astype(np.float32) - zero) * np.float32(scale) if scale else value
            results.append(real)
    return [np.array(results) for results in found]


def onnx_answers(graph: bytes, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """All items at once, summed exactly."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(list(outputs), dict(feeds))
    return found


def found_in(data: bytes, folder: Path) -> Found:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return read_model(path, Given(), QUIET)


def both(data: bytes, feeds: Sequence[Array], folder: Path) -> list[tuple[Array, Array]]:
    """What our graph and LiteRT answer, output by output."""
    model = found_in(data, folder).model
    names = [spec.name for spec in model.signature.inputs]
    outputs = [spec.name for spec in model.signature.outputs]
    ours = onnx_answers(model.graph, dict(zip(names, feeds, strict=True)), outputs)
    theirs = litert(data, feeds)
    return [(one, other.reshape(one.shape)) for one, other in zip(ours, theirs, strict=True)]


def again(data: bytes, feeds: Sequence[Array], folder: Path) -> list[tuple[Array, Array]]:
    """What LiteRT answers for the file, and for that which we make of our graph."""
    from toolkit.formats import formats

    model = found_in(data, folder).model
    made = formats["tflite"]().build(model.graph, model.signature, QUIET).data
    first, second = litert(data, feeds), litert(made, feeds)
    return [(one.reshape(other.shape), other) for one, other in zip(second, first, strict=True)]
