"""Networks: they are built for what they are given, or say what to use instead."""

import pytest
import torch

from edge_targets.runtime.errors import UnsupportedError
from toolkit.networks.base import Network
from toolkit.networks.ds_cnn import DsCnn
from toolkit.networks.mlp import Mlp
from toolkit.networks.resnet8 import Resnet8
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


@pytest.mark.parametrize("shape", [*IMAGES, (1, 61, 24)])
@pytest.mark.parametrize("halvings", [0, 2, 6])
def test_ds_cnn_takes_spectrograms_of_any_size(shape: tuple[int, int, int], halvings: int) -> None:
    module = DsCnn(channels=4, blocks=2, halvings=halvings).build(shape, 3).eval()

    assert module(torch.zeros(2, *shape)).shape == (2, 3)


def test_ds_cnn_has_the_size_that_its_paper_gives() -> None:
    # Zhang et al. 2017, table 4: 64 channels in 4 blocks, 12 classes, 49x10 inputs: 23 kB of 8 bits
    module = DsCnn().build((1, 49, 10), 12)

    # 40 + 4 x (9 + 64) weights a channel, two numbers of batch norm a layer, 12 outputs
    assert sum(p.numel() for p in module.parameters()) == 64 * (40 + 4 * 73 + 2 * 9 + 12) + 12


def test_ds_cnn_halves_its_map_in_the_first_layers() -> None:
    sizes = []
    module = DsCnn(channels=2, blocks=3, halvings=2).build((1, 48, 16), 3)
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size != (1, 1):
            layer.register_forward_hook(lambda _, __, result: sizes.append(result.shape[2]))

    module(torch.zeros(2, 1, 48, 16))

    assert sizes == [25, 13, 13, 13]


@pytest.mark.parametrize("shape", IMAGES)
def test_resnet8_takes_images_of_any_size(shape: tuple[int, int, int]) -> None:
    module = Resnet8(channels=4).build(shape, 3).eval()

    assert module(torch.zeros(2, *shape)).shape == (2, 3)


def test_resnet8_has_the_size_that_its_reference_has() -> None:
    # MLPerf Tiny, image classification: 78,666 numbers. Each of the 240 channels with batch norm
    # has two statistics among them, which are not learned, and a bias, which does nothing there
    module = Resnet8().build((3, 32, 32), 10)

    assert sum(p.numel() for p in module.parameters()) == 78_666 - 240 * 3


@pytest.mark.parametrize("network", [DsCnn, Resnet8])
def test_networks_of_convolutions_refuse_tables_and_name_what_takes_them(
    network: type[Network],
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        network().build((4,), 2)

    assert "--network mlp" in caught.value.hint


@pytest.mark.parametrize("network", [DsCnn, Resnet8])
def test_half_the_width_is_about_a_quarter_of_the_numbers(network: type[Network]) -> None:
    def count(made: Network) -> int:
        return sum(p.numel() for p in made.build((1, 32, 32), 10).parameters())

    assert 0.2 < count(network().scaled(0.5)) / count(network()) < 0.4
    assert count(network().scaled(1, 2)) > 1.5 * count(network())
