"""Equalization, as a pass: other weights, the same answers; nothing where nothing is to do."""

import numpy as np

from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes.equalize_layers import EqualizeLayers


def test_weights_change_and_answers_stay(exported: Model, digits: Dataset) -> None:
    items = digits.part("test")[0]

    found = EqualizeLayers().apply(exported, QUIET)

    before, after = (
        Runner.of_model(model, QUIET).first_output(items, QUIET) for model in (exported, found)
    )
    assert found.graph != exported.graph
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_a_graph_that_is_equalized_stays_as_it_is(exported: Model) -> None:
    once = EqualizeLayers().apply(exported, QUIET)

    assert EqualizeLayers().apply(once, QUIET).graph == once.graph
