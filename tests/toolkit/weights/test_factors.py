"""Chains of factors: all of the energy gives the weight back, less gives back that share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolkit.weights.factors import (
    groups_of,
    kept,
    macs,
    owners,
    parameters,
    rank_of,
    restored,
    svd,
)
from toolkit.weights.ranks import split_for

WAYS = ("svd", "tucker", "cp")


def weight(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (6, 4, 3), (6, 4, 1, 1), (5, 4, 3, 2)])
@pytest.mark.parametrize("way", ["svd", "tucker"])
def test_with_all_its_energy_a_weight_comes_back(shape: tuple[int, ...], way: str) -> None:
    split, whole = split_for(weight(*shape), way), weight(*shape)

    ranks = split.keeping(1.0)

    assert ranks
    np.testing.assert_allclose(restored(split.factors(ranks)), whole, atol=1e-5)


@given(energy=st.floats(0.1, 1), seed=st.integers(0, 20))
@settings(max_examples=20)
@pytest.mark.parametrize("way", ["svd", "tucker"])
def test_at_least_the_energy_that_was_asked_for_is_kept(way: str, energy: float, seed: int) -> None:
    whole = weight(6, 5, 3, 3, seed=seed)
    split = split_for(whole, way)

    ranks = split.keeping(energy)

    assert ranks
    assert kept(whole, split.factors(ranks)) >= energy - 1e-9


def test_a_sum_of_a_few_products_is_found_by_cp() -> None:
    made = np.einsum("or,ir,yr,xr->oiyx", *(weight(n, 3, seed=n) for n in (8, 6, 3, 5)))
    split = split_for(made.astype(np.float32), "cp")

    ranks = split.keeping(0.999)

    assert ranks
    assert ranks[0] <= 6
    assert kept(made, split.factors(ranks)) >= 0.999


def test_cp_says_when_nothing_smaller_keeps_enough() -> None:
    assert split_for(weight(4, 4, 3, 3), "cp").keeping(0.999) is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_a_budget_is_used_but_not_overrun(way: str, share: float) -> None:
    split = split_for(weight(16, 12, 3, 3), way)
    limit = share * split.weight.size

    ranks = split.within(limit)

    larger = [
        parameters(split.shapes(other))
        for other in split.candidates()
        if parameters(split.shapes(other)) > parameters(split.shapes(ranks))
    ]
    assert parameters(split.shapes(ranks)) <= limit
    assert min(larger) > limit


@pytest.mark.parametrize("way", WAYS)
def test_the_factors_have_the_shapes_that_were_promised_and_are_the_same_again(way: str) -> None:
    split = split_for(weight(10, 8, 3, 3), way)
    ranks = split.within(300)

    one, other = split.factors(ranks), split.factors(ranks)

    assert tuple(factor.shape for factor in one) == split.shapes(ranks)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_rank_is_that_of_the_matrix() -> None:
    thin = weight(20, 3) @ weight(3, 10, seed=1)

    assert rank_of(thin, 0.999999) == 3
    assert rank_of(np.diag([2.0, 1.0, 1.0]), 4 / 6) == 1  # 4 of 4 + 1 + 1 squares
    assert kept(thin, svd(thin, 3)) == pytest.approx(1)


def test_multiplications_of_a_chain_are_counted_on_the_planes_it_passes() -> None:
    # 8 channels of 10x10 to 16 of 5x5 by 3x3 with stride 2; to 4 channels, 3x3 to 6, to 16
    shapes = ((4, 8, 1, 1), (6, 4, 3, 3), (16, 6, 1, 1))

    assert owners((3, 3), shapes) == (1, 1)
    assert groups_of(shapes) == (1, 1, 1)
    assert macs((3, 3), shapes, (10, 10), (5, 5)) == 32 * 100 + 216 * 25 + 96 * 25
    assert parameters(shapes) == 32 + 216 + 96


def test_kernels_of_single_channels_and_of_single_axes_are_told_by_their_shapes() -> None:
    shapes = ((5, 8, 1, 1), (5, 1, 3, 1), (5, 1, 1, 3), (16, 5, 1, 1))

    assert owners((3, 3), shapes) == (1, 2)
    assert groups_of(shapes) == (1, 5, 5, 1)
