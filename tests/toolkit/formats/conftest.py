"""Real models as ONNX graphs, and a way to run a model in either engine."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]


@pytest.fixture(scope="session")
def digits() -> tuple[Array, Array]:
    """All 1,797 scans as (n, 1, 8, 8), 0 to 16, with their labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images.astype(np.float32).reshape(-1, 1, 8, 8), labels


@pytest.fixture(scope="session")
def run_onnx() -> Run:
    def run(model: bytes, inputs: Mapping[str, Array]) -> list[Array]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # as it is written: the fused int8 kernels overflow on x86 processors without VNNI
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found: list[Array] = session.run(None, dict(inputs))
        return found

    return run


def interpreter_of(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


@pytest.fixture(scope="session")
def run_tflite() -> Run:
    """Item by item, as the device's engine does it."""

    def run(model: bytes, inputs: Mapping[str, Array]) -> list[Array]:
        interpreter = interpreter_of(model)
        places = {d["name"]: d["index"] for d in interpreter.get_input_details()}
        outputs = [d["index"] for d in interpreter.get_output_details()]
        rows: list[list[Array]] = [[] for _ in outputs]
        for item in range(len(next(iter(inputs.values())))):
            for name, values in inputs.items():
                interpreter.set_tensor(places[name], values[item : item + 1])
            interpreter.invoke()
            for row, place in zip(rows, outputs, strict=True):
                row.append(interpreter.get_tensor(place))
        return [np.concatenate(row) for row in rows]

    return run


@pytest.fixture(scope="session")
def assert_same(run_onnx: Run, run_tflite: Run) -> Callable[..., None]:
    """Checks that the compiled model gives what onnxruntime gives, dtype and shape included."""
    from edge_targets.runtime.events import QUIET
    from toolkit.flatbuffer.translate import translate

    def check(model: onnx.ModelProto, x: Array) -> None:
        [expected] = run_onnx(model.SerializeToString(), {"x": x})
        [found] = run_tflite(translate(model, QUIET), {"x": x})
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    return check


@pytest.fixture(scope="session")
def operations() -> Callable[[bytes], list[tuple[str, str]]]:
    """Operator and output dtype of every step that LiteRT takes; a delegate is a step, too."""

    def listed(model: bytes) -> list[tuple[str, str]]:
        interpreter = interpreter_of(model)
        dtypes = {d["index"]: d["dtype"].__name__ for d in interpreter.get_tensor_details()}
        return [
            (d["op_name"], dtypes[d["outputs"][0]])
            for d in interpreter._get_ops_details()
            if len(d["outputs"])
        ]

    return listed


def exported(module: Any, example: Array) -> bytes:
    """The module as ONNX with a free batch, by torch's own exporter."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.tensor(example[:2]),),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    model = program.model_proto
    del model.graph.value_info[:]  # the quantizer holds it against what it infers itself
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def quantize() -> Callable[..., bytes]:
    """Static int8 quantization by onnxruntime, calibrated on the given inputs."""

    def quantized(model: bytes, inputs: Mapping[str, Array], **options: Any) -> bytes:
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            batches: Iterator[dict[str, Array]] = iter([dict(inputs)])

            def get_next(self) -> dict[str, Array] | None:
                return next(self.batches, None)

        settings = {
            "quant_format": QuantFormat.QDQ,
            "per_channel": True,
            "activation_type": QuantType.QInt8,
            "weight_type": QuantType.QInt8,
        }
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            source.write_bytes(model)
            logging.disable(logging.WARNING)
            try:
                quantize_static(str(source), str(target), Reader(), **{**settings, **options})
            finally:
                logging.disable(logging.NOTSET)
            return target.read_bytes()

    return quantized


def trained(module: Any, images: Array, labels: Array, epochs: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = torch.tensor(images), torch.tensor(labels)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for part in (order[start : start + 64] for start in range(0, len(x), 64)):
            loss = nn.functional.nll_loss(torch.log(module(x[part]) + 1e-9), y[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return module


@pytest.fixture(scope="session")
def small_cnn(digits: tuple[Array, Array]) -> bytes:
    """Scaling by 1/16, two blocks of Conv-BN-ReLU-MaxPool, a layer, softmax; trained."""
    import torch
    from torch import nn

    class Sixteenth(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * (1 / 16)

    torch.manual_seed(0)
    network = nn.Sequential(
        Sixteenth(),
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 10), nn.Softmax(dim=1)),
    )
    images, labels = digits
    return exported(trained(network, images[:1200], labels[:1200], epochs=8), images)


@pytest.fixture(scope="session")
def mobile_cnn(digits: tuple[Array, Array]) -> bytes:
    """Depthwise at stride 2, a residual sum, ReLU6, a mean over the image; trained."""
    import torch
    from torch import nn

    def block(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> Any:
        convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6())

    class Mobile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(block(1, 16, 3), block(16, 16, 3, 2, 16), block(16, 24, 1))
            self.inner = nn.Sequential(
                block(24, 48, 1),
                block(48, 48, 3, 1, 48),
                nn.Conv2d(48, 24, 1, bias=False),
                nn.BatchNorm2d(24),
            )
            self.head = nn.Linear(24, 10)

        def forward(self, image: Any) -> Any:
            x = self.stem(image / 16)
            x = x + self.inner(x)
            return torch.softmax(self.head(x.mean((2, 3))), dim=1)

    torch.manual_seed(0)
    images, labels = digits
    return exported(trained(Mobile(), images[:1200], labels[:1200], epochs=10), images)


@pytest.fixture(scope="session")
def table_mlp() -> bytes:
    """NaN imputed, scaled, one category as three columns, two layers: a table's model."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)

    def constant(name: str, array: Any) -> onnx.TensorProto:
        dtype = np.int64 if np.asarray(array).dtype.kind == "i" else np.float32
        return numpy_helper.from_array(np.asarray(array, dtype), name)

    steps = """
        IsNaN x -> missing
        Where missing mean x -> full
        Gather full numbers -> raw
        Sub raw mean_of_numbers -> centred
        Div centred deviation -> scaled
        Gather full category -> code
        Equal code known -> hit
        Cast hit -> hot
        Concat scaled hot -> features
        Gemm features w1 b1 -> first
        Relu first -> active
        Gemm active w2 b2 -> second
        Softmax second -> y
    """
    attributes: dict[str, dict[str, Any]] = {
        "Gather": {"axis": 1}, "Cast": {"to": onnx.TensorProto.FLOAT},
        "Concat": {"axis": 1}, "Gemm": {"transB": 1}, "Softmax": {"axis": 1},
    }  # fmt: skip
    nodes = []
    for line in steps.strip().splitlines():
        given, _, result = line.strip().partition(" -> ")
        op, *inputs = given.split()
        nodes.append(helper.make_node(op, inputs, [result], name=result, **attributes.get(op, {})))
    constants = [
        constant("mean", [[1.5, 20.0, 1.0, -3.0]]), constant("numbers", [0, 1, 3]),
        constant("mean_of_numbers", [1.5, 20.0, -3.0]), constant("deviation", [0.5, 8.0, 2.0]),
        constant("category", [2]), constant("known", [0.0, 1.0, 2.0]),
        constant("w1", rng.normal(size=(32, 6))), constant("b1", rng.normal(size=32)),
        constant("w2", rng.normal(size=(4, 32))), constant("b2", rng.normal(size=4)),
    ]  # fmt: skip
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "table",
        [helper.make_tensor_value_info("x", floats, ["batch", 4])],
        [helper.make_tensor_value_info("y", floats, ["batch", 4])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def table_rows() -> Array:
    rng = np.random.default_rng(1)
    rows = rng.normal([1.5, 20, 0, -3], [0.5, 8, 0, 2], (500, 4)).astype(np.float32)
    rows[:, 2] = rng.integers(0, 3, 500)
    rows[::7, 1] = np.nan
    return rows
