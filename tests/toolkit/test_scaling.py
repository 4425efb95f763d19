"""A network made wider, narrower, deeper or flatter: how students get their size."""

from typing import ClassVar

import pytest
from torch import nn

from edge_targets.runtime.errors import RecipeError, UnsupportedError
from toolkit.networks import Network, networks
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn


def test_width_multiplies_every_layer_and_leaves_at_least_one_unit() -> None:
    assert SmallCnn().scaled(0.5) == SmallCnn(channels=(8, 16, 32), hidden=32)
    assert Mlp(hidden=(64, 3)).scaled(0.1) == Mlp(hidden=(6, 1))


def test_depth_repeats_or_leaves_out_layers_evenly() -> None:
    assert Mlp(hidden=(1, 2, 3, 4)).scaled(1, 0.5) == Mlp(hidden=(1, 3))
    assert Mlp(hidden=(1, 2)).scaled(1, 2) == Mlp(hidden=(1, 1, 2, 2))
    assert SmallCnn(channels=(4, 8)).scaled(2, 0.1) == SmallCnn(channels=(8,), hidden=128)


def test_what_is_no_size_stays() -> None:
    assert SmallCnn(dropout=0.4).scaled(0.5).dropout == 0.4


@pytest.mark.parametrize("name", networks.names())
def test_every_network_is_itself_at_one(name: str) -> None:
    made = networks[name]()

    assert made.scaled(1, 1) == made


def test_a_network_that_would_be_too_wide_is_refused_with_the_field() -> None:
    with pytest.raises(RecipeError, match="width 16") as caught:
        SmallCnn(channels=(4096,)).scaled(16)

    assert "channels" in caught.value.hint


class Fixed(Network):
    """Has one size."""

    widths: ClassVar = ()

    def build(self, shape: tuple[int, ...], outputs: int) -> nn.Module:
        return nn.Linear(shape[0], outputs)


@pytest.mark.parametrize(("width", "depth", "kind"), [(0.5, 1, "width"), (1, 2, "depth")])
def test_a_network_that_has_one_size_says_so(width: float, depth: float, kind: str) -> None:
    with pytest.raises(UnsupportedError, match=f"The {kind} of"):
        Fixed().scaled(width, depth)
