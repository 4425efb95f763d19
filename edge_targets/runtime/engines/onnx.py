"""ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path

from edge_targets.runtime.contract import Signature, Tensor
from edge_targets.runtime.engines.base import Engine
from edge_targets.runtime.errors import IntegrityError


class OnnxRuntime(Engine):
    """Runs `.onnx` files on the CPU, whole batches at a time."""

    title = "ONNX Runtime"
    package = "onnxruntime"

    def __init__(self, model: Path, signature: Signature, threads: int = 1) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors: warnings would go to a log nobody reads
        # x86 without VNNI sums pairs of int8 products in 16 bits, which overflows: compute exactly
        options.add_session_config_entry("session.x64quantprecision", "1")
        # worked out once: of a small network's microseconds this would be a tenth
        self.inputs = [(spec.name, np.dtype(spec.dtype)) for spec in signature.inputs]
        self.outputs = [spec.name for spec in signature.outputs]
        try:
            self.session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no other base
            raise IntegrityError(
                f"ONNX Runtime cannot load {model.name}: {error}",
                "Build the model again, or compare runtime versions with `sanderling doctor`.",
            ) from error

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import numpy as np

        feeds = {
            name: np.asarray(inputs[name].data, dtype).reshape(inputs[name].shape)
            for name, dtype in self.inputs
        }
        values = self.session.run(self.outputs, feeds)
        return {
            name: Tensor(value.shape, value.reshape(-1))
            for name, value in zip(self.outputs, values, strict=True)
        }
