"""The onnx package's smaller networks, opset 9, compiled; the benchmark does all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.events import QUIET
from tests.toolkit.formats import light_networks
from toolkit.flatbuffer.translate import translate

MOST_TRANSPOSES = {"squeezenet": 1, "shufflenet": 17, "densenet121": 1}
"""The image at the input, and in ShuffleNet each of its 16 shuffles."""


@pytest.mark.parametrize("name", MOST_TRANSPOSES)
def test_a_network_of_an_old_opset_gives_the_same_numbers(
    name: str, run_onnx: Callable[..., Any], run_tflite: Callable[..., Any]
) -> None:
    model = light_networks.network(name)
    inputs = {light_networks.input_name(model): light_networks.picture()}

    compiled = translate(model, QUIET)
    found, expected = run_tflite(compiled, inputs), run_onnx(model.SerializeToString(), inputs)

    for mine, theirs in zip(found, expected, strict=True):
        scale = max(float(theirs.std()), 1e-3)
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=2e-5 * scale)
    assert light_networks.operators(compiled)["TRANSPOSE"] <= MOST_TRANSPOSES[name]


def test_a_network_answers_two_pictures_differently(run_onnx: Callable[..., Any]) -> None:
    """Else the test above could not fail."""
    model = light_networks.network("squeezenet")
    name = light_networks.input_name(model)

    one, two = (
        run_onnx(model.SerializeToString(), {name: light_networks.picture(seed)})[-1]
        for seed in (0, 1)
    )

    assert np.abs(one - two).max() > 0.01 * one.std()
