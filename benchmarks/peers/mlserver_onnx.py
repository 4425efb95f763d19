"""An MLServer runtime around ONNX Runtime, for benchmarks/bench_serving.py."""

import onnxruntime
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import (  # type: ignore[import-not-found]
    InferenceRequest,
    InferenceResponse,
)


class Onnx(MLModel):  # type: ignore[misc]
    """Answers with the model that the settings' `uri` names."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        values = NumpyCodec.decode_input(payload.inputs[0])
        [found] = self.session.run(None, {payload.inputs[0].name: values})
        output = NumpyCodec.encode_output("y", found)
        return InferenceResponse(model_name=self.name, model_version="1", outputs=[output])
