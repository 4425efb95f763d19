"""Amounts as people write them."""

import pytest

from edge_targets.runtime.errors import UsageError
from toolkit.quantities import milliseconds, seconds, share, size_bytes


@pytest.mark.parametrize(
    ("text", "value"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02), (".1", 0.1), ("100%", 1)]
)
def test_a_share_is_a_percentage_or_a_fraction(text: str, value: float) -> None:
    assert share(text, "--max-drop") == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("200kB", 200_000), ("1.5 MB", 1_500_000), ("2MiB", 2 << 20), ("512", 512), ("1GB", 10**9)],
)
def test_a_size_is_in_bytes_with_or_without_a_prefix(text: str, value: int) -> None:
    assert size_bytes(text, "--max-size") == value


def test_times_are_read_in_the_unit_they_are_asked_in() -> None:
    assert milliseconds("5ms", "--max-latency") == 5
    assert milliseconds("800us", "--max-latency") == pytest.approx(0.8)
    assert seconds("10min", "--time") == 600
    assert seconds("1.5h", "--time") == 5400


@pytest.mark.parametrize(
    "text", ["", "much", "5 parsecs", "-1%", "1..2kB", "nan", "1e9999", "9" * 400]
)
def test_what_is_no_amount_is_answered_with_an_example(text: str) -> None:
    for reader in (share, size_bytes, milliseconds, seconds):
        with pytest.raises(UsageError, match="no amount") as caught:
            reader(text, "--x")
        assert "like" in caught.value.hint


def test_a_share_of_more_than_all_is_refused() -> None:
    with pytest.raises(UsageError, match="more than all"):
        share("101%", "--max-drop")


@pytest.mark.parametrize("text", ["1", "5", "1.0"])
def test_a_bare_number_that_may_mean_per_cent_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a share or a percentage") as caught:
        share(text, "--confidence", "95% or 0.95")

    assert "95%" in caught.value.hint


def test_a_percentage_is_the_number_that_was_meant() -> None:
    assert share("95%", "--confidence") == 0.95
