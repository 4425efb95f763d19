"""Static int8 quantization (Jacob et al. 2018, arXiv:1712.05877), as QuantizeLinear pairs."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import StorageError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.inference import TEMPORARY
from toolkit.model import Model
from toolkit.onnx_graph import clean, graph_of, operators, parse, written
from toolkit.passes.base import Pass

# what device runtimes run in int8; the rest, softmax and feature steps included, stays float
OPERATORS = (
    "Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "AveragePool",
    "GlobalAveragePool", "Concat", "Reshape", "Flatten", "Transpose",
)  # fmt: skip


class QuantizeInt8(Pass):
    """Weights and activations in 8 bits, ranges from calibration items of the training part."""

    per_channel: Annotated[
        bool, Field(description="One scale a channel of a weight, instead of one a tensor.")
    ] = True
    samples: Annotated[
        int, Field(ge=1, le=100_000, description="Calibration items, from the training part.")
    ] = 256
    calibration: Annotated[
        Literal["minmax", "entropy", "percentile"],
        Field(description="How an activation's range is chosen from what was seen."),
    ] = "minmax"

    def apply(self, model: Model, job: Job) -> Model:
        data = model.need_data("Static quantization")
        graph = graph_of(model, job)
        if "QuantizeLinear" in operators(graph):
            raise UnsupportedError(
                "quantize_int8: the model is quantized already.",
                "Start from the float model; `sanderling show` names it.",
            )
        items = spread(data.part("train")[0], self.samples)
        job.step("quantize int8", 0, 1)
        spec = model.signature.inputs[0]
        try:
            quantized = self._quantize(graph, spec.name, items.astype(spec.dtype), job)
        except StorageError:
            raise
        except Exception as error:  # the quantizer's and the runtime's errors share no other base
            raise UnsupportedError(
                f"quantize_int8 cannot quantize this graph: {(str(error).splitlines() or [''])[0]}",
                "Export the model with standard operators and fixed sizes after the batch.",
            ) from error
        job.step("quantize int8", 1, 1)
        return model.with_graph(quantized)

    def _quantize(self, graph: bytes, name: str, items: NDArray[np.float32], job: Job) -> bytes:
        from onnxruntime.quantization import (
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with storing(TEMPORARY), tempfile.TemporaryDirectory() as folder, quiet():
            source, ready, target = (Path(folder, f"{n}.onnx") for n in ("source", "ready", "int8"))
            source.write_bytes(graph)
            # fuses batch norm into convolutions, without which int8 falls apart
            quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
            quantize_static(
                str(ready),
                str(target),
                reader(name, items, job),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=self.per_channel,
                activation_type=QuantType.QInt8,  # what ARM kernels and TFLite take
                weight_type=QuantType.QInt8,
                calibrate_method={
                    "minmax": CalibrationMethod.MinMax,
                    "entropy": CalibrationMethod.Entropy,
                    "percentile": CalibrationMethod.Percentile,
                }[self.calibration],
            )
            return written(clean(parse(target.read_bytes())))


def spread(items: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """At most `count` items, evenly from all: many files hold one class after the other."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    return np.take(items, chosen, axis=0)


def reader(name: str, items: NDArray[Any], job: Job) -> Any:
    """The items one by one, as onnxruntime's calibration asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.items = job.track(list(items), "calibrate")

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            item = next(self.items, None)
            return None if item is None else {name: item[None]}

    return Reader()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the quantizer's advice to its caller, which a user cannot follow."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
