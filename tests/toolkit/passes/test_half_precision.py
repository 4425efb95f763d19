"""Weights as float16: half the file, the same answers."""

import numpy as np
import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes.half_precision import HalfPrecision


def test_the_file_is_halved_and_answers_stay(exported: Model, digits: Dataset) -> None:
    items = digits.part("test")[0]

    found = HalfPrecision().apply(exported, QUIET)

    before, after = (
        Runner.of_model(model, QUIET).first_output(items, QUIET) for model in (exported, found)
    )
    assert {layer.bits for layer in layers_of(found.graph)} == {16}
    assert len(found.graph) < 0.6 * len(exported.graph)
    np.testing.assert_allclose(after, before, atol=0.01)


def test_a_weight_beyond_float16_is_refused_by_its_layer(trained: Model) -> None:
    weights = {name: array.copy() for name, array in trained.weights.items()}
    weights["1.11.weight"][0, 0] = 1e6

    with pytest.raises(UnsupportedError, match=r"'1\.11'") as caught:
        HalfPrecision().apply(trained.with_weights(weights), QUIET)

    assert caught.value.hint


def test_doing_it_twice_is_refused(exported: Model) -> None:
    once = HalfPrecision().apply(exported, QUIET)

    with pytest.raises(UnsupportedError, match="half_precision"):
        HalfPrecision().apply(once, QUIET)
