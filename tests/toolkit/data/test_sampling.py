"""A few items of many: no more than asked for, none twice, from the first to the last."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.data.sampling import evenly, thinned


@given(count=st.integers(0, 3000), most=st.integers(1, 500))
def test_places_reach_from_end_to_end_and_none_comes_twice(count: int, most: int) -> None:
    places = evenly(count, most)

    assert len(places) == min(count, most)
    assert (np.diff(places) > 0).all()
    if len(places) > 1:
        assert (places[0], places[-1]) == (0, count - 1)


def test_of_a_few_items_all_stay() -> None:
    items = np.arange(6).reshape(3, 2)

    assert thinned(items, 3).tolist() == thinned(items, 9).tolist() == items.tolist()


def test_data_that_come_class_by_class_are_thinned_from_every_class() -> None:
    assert thinned(np.repeat([0, 1, 2], 10), 6).tolist() == [0, 0, 1, 1, 2, 2]
