"""Splits: nothing is lost, nothing is seen twice, and a test item is truly unseen."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_targets.runtime.errors import DataError
from toolkit.data.splits import split_items

shares = st.tuples(st.floats(0.05, 0.45), st.floats(0.05, 0.45))
seeds = st.integers(0, 2**32)


@given(counts=st.lists(st.integers(1, 200), min_size=2, max_size=6), shares=shares, seed=seeds)
def test_a_stratified_part_keeps_the_share_of_every_class(
    counts: list[int], shares: tuple[float, float], seed: int
) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    assume(min(round(share * max(counts)) for share in shares) > 0)
    assume(max(counts) >= 3)

    split = split_items(classes, shares=shares, seed=seed)

    for value, count in enumerate(counts):
        parts = np.bincount(split[classes == value], minlength=3)
        assert parts.sum() == count
        assert parts[0] >= 1
        assert abs(parts[1] - shares[0] * count) <= 0.5
        assert parts[2] <= shares[1] * count + 0.5
        assert parts[2] >= min(shares[1] * count - 0.5, count - parts[1] - 1)


@given(keys=st.lists(st.integers(0, 30), min_size=50, max_size=200), shares=shares, seed=seeds)
def test_a_group_never_straddles_two_parts(
    keys: list[int], shares: tuple[float, float], seed: int
) -> None:
    groups = np.array(keys)
    try:
        split = split_items(np.zeros(len(keys)), "group", groups, shares, seed)
    except DataError:
        return  # one group is larger than what is left for another part

    for group in set(keys):
        assert len(set(split[groups == group])) == 1


@given(keys=st.lists(st.integers(0, 1000), min_size=50, max_size=200, unique=True), shares=shares)
def test_the_latest_items_are_the_test(keys: list[int], shares: tuple[float, float]) -> None:
    times = np.array(keys)

    split = split_items(np.zeros(len(keys)), "time", times, shares)

    assert times[split == 0].max() < times[split == 1].min()
    assert times[split == 1].max() < times[split == 2].min()
    assert (split == 2).mean() == pytest.approx(shares[1], abs=0.021)


def test_items_of_the_same_time_stay_together() -> None:
    times = np.repeat(["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"], 10)

    split = split_items(np.zeros(50), "time", times)

    assert split.tolist() == [0] * 30 + [1] * 10 + [2] * 10


@pytest.mark.parametrize("by", ["stratified", "group"])
def test_a_seed_gives_the_same_split_again_and_another_seed_another(by: str) -> None:
    classes, keys = np.arange(300) % 3, np.arange(300) % 60

    splits = [split_items(classes, by, keys, seed=seed) for seed in (1, 1, 2)]  # type: ignore[arg-type]

    assert np.array_equal(splits[0], splits[1])
    assert not np.array_equal(splits[0], splits[2])


def test_numbers_are_split_as_one_class() -> None:
    split = split_items(np.linspace(0, 1, 100, dtype=np.float32))

    assert np.bincount(split).tolist() == [60, 20, 20]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_items_are_refused(count: int) -> None:
    with pytest.raises(DataError, match="too few") as caught:
        split_items(np.zeros(count, int))

    assert caught.value.hint


@pytest.mark.parametrize("by", ["group", "time"])
def test_a_split_by_a_column_needs_one(by: str) -> None:
    with pytest.raises(DataError) as caught:
        split_items(np.zeros(9, int), by)  # type: ignore[arg-type]

    assert "split_column" in caught.value.hint
