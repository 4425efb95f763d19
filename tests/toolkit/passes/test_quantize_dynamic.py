"""Dynamic int8: dense layers as integers without data, convolutions left alone."""

import numpy as np

from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import operators
from toolkit.passes.quantize_dynamic import QuantizeDynamic


def test_dense_layers_become_integer_products_without_any_data(
    exported: Model, digits: Dataset
) -> None:
    items = digits.part("test")[0]

    found = QuantizeDynamic().apply(exported.with_data(None), QUIET)

    assert operators(found.graph)["MatMulInteger"] == 2
    assert operators(found.graph)["Conv"] == 2
    bits = {layer.name: layer.bits for layer in layers_of(found.graph)}
    assert bits == {"1.0": 32, "1.3": 32, "1.8": 8, "1.11": 8}
    before, after = (
        Runner.of_model(model, QUIET).first_output(items, QUIET) for model in (exported, found)
    )
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.98


def test_convolutions_are_skipped_with_the_reason(exported: Model) -> None:
    why = QuantizeDynamic().skips(exported, QUIET)

    assert set(why) == {"1.0", "1.3"}
    assert "slower" in why["1.0"]


def test_one_scale_a_tensor_is_a_scalar(exported: Model) -> None:
    from onnx import numpy_helper

    from toolkit.onnx_graph import parse

    found = parse(QuantizeDynamic(per_channel=False).apply(exported, QUIET).graph)

    scales = [
        numpy_helper.to_array(tensor)
        for tensor in found.graph.initializer
        if tensor.name.endswith("int8_scale")
    ]
    assert len(scales) == 2
    assert all(np.ndim(scale) == 0 for scale in scales)
