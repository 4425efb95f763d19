"""Weights in 8 or 4 bits: a smaller file, the same arithmetic."""

import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.anatomy import layers_of
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes.quantize_weights import QuantizeWeights


@pytest.mark.parametrize(
    ("bits", "block", "smaller", "agreement"),
    [(8, 0, 3.0, 0.99), (4, 0, 4.0, 0.93), (4, 32, 4.0, 0.93)],
)
def test_the_file_shrinks_and_the_answers_stay(
    exported: Model, digits: Dataset, bits: int, block: int, smaller: float, agreement: float
) -> None:
    items = digits.part("test")[0]

    found = QuantizeWeights(bits=bits, block=block).apply(exported.with_data(None), QUIET)

    assert {layer.bits for layer in layers_of(found.graph)} == {bits}
    assert len(exported.graph) > smaller * len(found.graph)
    before, after = (
        Runner.of_model(model, QUIET).first_output(items, QUIET) for model in (exported, found)
    )
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() >= agreement


def test_doing_it_twice_is_refused(exported: Model) -> None:
    once = QuantizeWeights().apply(exported, QUIET)

    with pytest.raises(UnsupportedError, match="quantize_weights") as caught:
        QuantizeWeights(bits=4).apply(once, QUIET)

    assert caught.value.hint
    assert set(QuantizeWeights().skips(once, QUIET)) == {"1.0", "1.3", "1.8", "1.11"}


def test_the_network_itself_is_taken_too(trained: Model) -> None:
    found = QuantizeWeights().apply(trained, QUIET)

    assert found.kind == "graph"
    assert QuantizeWeights().skips(trained, QUIET) == {}
