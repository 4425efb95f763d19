"""Int8 is computed exactly: a sum that overflows in a fast kernel would be a wrong answer."""

import numpy as np
import onnxruntime

from edge_targets.runtime.events import QUIET
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes import passes


def test_the_fast_int8_kernels_answer_like_the_plain_ones(exported: Model) -> None:
    quantized = passes["quantize_int8"]().apply(exported, QUIET)
    inputs = exported.need_data("A test").part("validation")[0]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(
        quantized.graph, options, providers=["CPUExecutionProvider"]
    )

    [expected] = plain.run(None, {plain.get_inputs()[0].name: inputs})
    found = Runner(quantized.graph, "onnx", quantized.signature).first_output(inputs, QUIET)

    assert np.abs(found - expected).max() < 0.02  # a rounding step at most
