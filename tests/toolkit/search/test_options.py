"""What may be asked of a search."""

from typing import Any

import pytest

from edge_targets.runtime.errors import RecipeError, UnknownNameError
from toolkit.search import Options


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"max_size": 0}, "--max-size 0 bytes"),
        ({"max_latency_ms": -1.0}, "--max-latency -1 ms"),
        ({"max_latency_ms": float("nan")}, "--max-latency nan ms"),
        ({"time_s": 0.0}, "--time 0 s"),
        ({"trials": 0}, "0 trials"),
        ({"max_ram": 1 << 40}, "--max-ram"),
        ({"seed": -1}, "-1 is no seed"),
    ],
)
def test_what_nothing_could_keep_to_is_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        Options(**given)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        Options(target="raspberry")
