"""Networks: they are built for what they are given, or say what to use instead."""

import pytest
import torch

from edge_targets.runtime.errors import UnsupportedError
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn

IMAGES = [(1, 8, 8), (3, 32, 32), (1, 1, 1), (3, 5, 9), (4, 1, 40)]


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("channels", [(4,), (4, 8, 8, 8, 8, 8)])
def test_small_cnn_takes_images_of_any_size(
    shape: tuple[int, int, int], channels: tuple[int, ...]
) -> None:
    module = SmallCnn(channels=channels, hidden=7).build(shape, 3).eval()

    assert module(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2), *IMAGES[:2]])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_mlp_takes_anything(shape: tuple[int, ...], dropout: float) -> None:
    module = Mlp(hidden=(5, 6), dropout=dropout).build(shape, 2).eval()

    assert module(torch.ones(3, *shape)).shape == (3, 2)


@pytest.mark.parametrize("shape", [(4,), (3, 2)])
def test_small_cnn_refuses_tables_and_names_what_takes_them(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        SmallCnn().build(shape, 2)

    assert "--network mlp" in caught.value.hint


def test_a_network_has_the_parameters_one_can_count() -> None:
    # 64 pixels to 10 units and 10 to 3, each with a bias
    module = Mlp(hidden=(10,)).build((1, 8, 8), 3)

    assert sum(p.numel() for p in module.parameters()) == 64 * 10 + 10 + 10 * 3 + 3
