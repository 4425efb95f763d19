"""ONNX Runtime."""

from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.engines.base import Arrays, Engine
from edge_targets.runtime.errors import IntegrityError


class OnnxRuntime(Engine):
    """Runs `.onnx` files on the CPU, whole batches at a time."""

    title = "ONNX Runtime"
    package = "onnxruntime"

    def load(self, model: Path, signature: Signature, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors: warnings would go to a log nobody reads
        # x86 without VNNI sums pairs of int8 products in 16 bits, which overflows: compute exactly
        options.add_session_config_entry("session.x64quantprecision", "1")
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

    def run_arrays(self, inputs: Arrays) -> dict[str, Any]:
        return dict(zip(self.outputs, self.session.run(self.outputs, inputs), strict=True))
