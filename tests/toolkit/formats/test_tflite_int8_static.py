"""Static int8 behind our compiler: small, right, and never left undone in silence."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.metadata import read_metadata
from toolkit.formats import formats

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
SIGNATURE = Signature(
    (TensorSpec("image", (-1, 1, 8, 8)),),
    (TensorSpec("probabilities", (-1, 10)),),
    tuple("0123456789"),
)


@pytest.mark.parametrize("name", ["small_cnn", "mobile_cnn"])
def test_a_network_in_eight_bits_is_small_and_gives_the_same_labels(
    name: str, request: pytest.FixtureRequest, digits: tuple[Array, Array], run_onnx: Run,
    run_tflite: Run,
) -> None:  # fmt: skip
    graph, inputs = request.getfixturevalue(name), {"image": digits[0][1200:]}
    samples = {"image": digits[0][:100]}

    written = formats["tflite_int8"]().build(graph, SIGNATURE, QUIET, samples)
    plain = formats["tflite"]().build(graph, SIGNATURE, QUIET)
    [found], [expected] = run_tflite(written.data, inputs), run_onnx(graph, inputs)

    assert found.dtype == np.float32
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97
    assert len(written.data) < 0.8 * len(plain.data)
    assert "compute on int8" in written.notes[0]
    metadata = read_metadata(written.data)
    assert metadata is not None
    assert metadata.labels == SIGNATURE.labels


def test_no_value_of_the_samples_is_clipped(
    small_cnn: bytes, digits: tuple[Array, Array], run_onnx: Run, run_tflite: Run
) -> None:
    images = digits[0][:100].copy()
    images[0] *= 8  # one bright item among many: an average would forget it

    written = formats["tflite_int8"]().build(small_cnn, SIGNATURE, QUIET, {"image": images})
    inputs = {"image": images[:1]}
    [found], [expected] = run_tflite(written.data, inputs), run_onnx(small_cnn, inputs)

    assert np.abs(found - expected).max() < 0.2


def test_a_graph_that_is_quantized_is_refused(
    small_cnn: bytes, digits: tuple[Array, Array], quantize: Callable[..., bytes]
) -> None:
    samples = {"image": digits[0][:50]}

    with pytest.raises(UnsupportedError, match="quantized already") as caught:
        formats["tflite_int8"]().build(quantize(small_cnn, samples), SIGNATURE, QUIET, samples)

    assert "Build tflite" in caught.value.hint


def test_without_data_nothing_is_made(small_cnn: bytes) -> None:
    with pytest.raises(UnsupportedError, match="there is none"):
        formats["tflite_int8"]().build(small_cnn, SIGNATURE, QUIET)


def test_what_stays_in_floats_is_an_error_and_no_file() -> None:
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[batch, 4] x) => (float[batch, 4] y)'
    graph = onnx.parser.parse_model(f"{text} {{ y = Sin(x) }}").SerializeToString()
    signature = Signature((TensorSpec("x", (-1, 4)),), (TensorSpec("y", (-1, 4)),))

    with pytest.raises(UnsupportedError, match=r"floats|does not take") as caught:
        formats["tflite_int8"]().build(graph, signature, QUIET, {"x": np.ones((8, 4), np.float32)})

    assert "quantize_weights" in caught.value.hint
