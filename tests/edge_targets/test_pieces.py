"""Large JSON is the same JSON, and no step of reading it is long."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime import pieces
from edge_targets.runtime.contract import Golden, Tensor
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.pieces import LARGE, PIECE

BLANK = " " * LARGE  # makes any text a large one
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def plain(value: Any) -> Any:
    if isinstance(value, array):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES)
def test_any_value_is_read_as_ever(value: Any) -> None:
    assert pieces.loads((json.dumps(value) + BLANK).encode()) == value


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "values",
    [
        [number / 7 for number in range(20_000)],
        list(range(20_000)),
        [0.5] * 20_000 + [1, None, True],
        [[0.5] * 20_000, [], [[1.5] * 20_000], ["a"] * 9],
        "[1.5, " * 20_000,
    ],
)
def test_so_are_long_lists(values: Any, indent: int | None) -> None:
    text = json.dumps({"before": [], "values": values, "after": {"a": [1]}}, indent=indent)

    assert plain(pieces.loads(text)) == json.loads(text)


def test_no_step_reads_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [number / 7 for number in range(50_000)]
    text = Golden({"x": Tensor((1, len(data)), data)}, {}).dump()
    read, sizes = json.loads, list[int]()

    def watched(part: str) -> Any:
        sizes.append(len(part))
        return read(part)

    monkeypatch.setattr(json, "loads", watched)
    found = Golden.parse(text)

    assert max(sizes) < PIECE + 40  # a number longer, and the brackets
    assert sum(sizes) > 50_000
    assert isinstance(found.inputs["x"].data, array)  # 8 bytes a number
    assert found.dump() == text


@pytest.mark.parametrize("bad", ["[1.5,{}]", "[{}1.5", "[{},1.5]", "[ ,{}1.5]", "[{}x]", "[{}]1"])
def test_what_is_no_json_is_refused(bad: str) -> None:
    text = bad.format("1.5," * 20_000)

    with pytest.raises(IntegrityError, match="not JSON"):
        Golden.parse(text + BLANK)
