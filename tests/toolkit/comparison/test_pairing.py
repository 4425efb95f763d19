"""Which layer is which: by name, by weights, by shape and place."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.events import QUIET
from toolkit.comparison.ends import End, seen
from toolkit.comparison.nearness import balanced, weight_error
from toolkit.comparison.pairing import Pair, pairs_of
from toolkit.comparison.parts import Part, key_of, parts_of
from toolkit.model import Model
from toolkit.passes import Pass
from toolkit.passes.half_precision import HalfPrecision
from toolkit.passes.quantize_dynamic import QuantizeDynamic
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.passes.quantize_weights import QuantizeWeights

PLAIN = End("raw", "last", False, False)


def part(weights: np.ndarray, key: str = "", kind: str = "dense", scaled: bool = True) -> Part:
    values = np.asarray(weights, np.float32)
    return Part(key or "Gemm_1", key, "Gemm", kind, values, scaled, 32, frozenset(), PLAIN)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def told(first: Sequence[Part], second: Sequence[Part]) -> list[tuple[object, object, str]]:
    return [(pair.first, pair.second, pair.by) for pair in pairs_of(first, second, QUIET)]


def test_equal_weights_pair_whatever_their_order() -> None:
    layers = [part(random(8, 8, seed=i)) for i in range(4)]

    found = told(layers, [layers[i] for i in (2, 0, 3, 1)])

    assert found == [(0, 1, "weights"), (1, 3, "weights"), (2, 0, "weights"), (3, 2, "weights")]


def test_a_layer_that_only_one_model_has_is_listed_where_it_stands() -> None:
    a, b, c = (part(random(8, 8, seed=i), name) for i, name in enumerate("abc"))
    new = part(random(3, 8), "new")

    assert told([a, c], [a, new, c]) == [
        (0, 0, "name"), (None, 1, ""), (1, 2, "name"),
    ]  # fmt: skip
    assert told([a, b], []) == [(0, None, ""), (1, None, "")]


def test_a_name_that_means_something_else_does_not_pair() -> None:
    [pair] = pairs_of([part(random(8, 8), "x")], [part(random(8, 8), "x", "LSTM")], QUIET)[:1]
    crossed = told([part(random(8, 4), "x")], [part(random(4, 8), "x")])

    assert pair.by == "name"  # of one size: a 1x1 convolution may have become a dense layer
    assert [by for _, _, by in crossed] == ["", ""]


def test_layers_cut_in_different_ways_pair_in_order() -> None:
    whole = [part(random(16, 4)), part(random(8, 16)), part(random(10, 8))]
    cut = [part(random(12, 4, seed=1)), part(random(6, 12, seed=1)), part(random(10, 6, seed=1))]

    assert told(whole, cut) == [(i, i, "shape") for i in range(3)]


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6))
def test_every_layer_is_listed_once(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (
        [
            part(rng.standard_normal(rng.integers(1, 4, 2)), rng.choice(["", "a", "b"]))
            for _ in range(count)
        ]
        for count in (rows, columns)
    )

    found = pairs_of(first, second, QUIET)

    assert [p.first for p in found if p.first is not None] == list(range(rows))
    assert sorted(p.second for p in found if p.second is not None) == list(range(columns))
    assert all(bool(p.by) == (None not in (p.first, p.second)) for p in found)
    assert Pair(None, None) not in found


# ------------------------------------------------------------------------------- weights


def test_a_factor_for_each_channel_is_seen_through() -> None:
    plain = random(6, 5, 3, 3)
    rng = np.random.default_rng(1)
    scaled = plain * rng.uniform(0.1, 9, (6, 1, 1, 1)) * rng.uniform(0.1, 9, (1, 5, 1, 1))

    first, second = (balanced(part(values, kind="convolution")) for values in (plain, scaled))

    np.testing.assert_allclose(first, second, atol=1e-3)
    assert told([part(plain)], [part(scaled)]) == [(0, 0, "weights")]


def test_dead_channels_and_dead_layers_are_no_trouble() -> None:
    values = random(4, 4)
    values[1], values[:, 2] = 0, 0

    assert np.isfinite(balanced(part(values))).all()
    assert weight_error(part(np.zeros((4, 4))), part(np.zeros((4, 4))), 0) == 0
    assert weight_error(part(np.full((2, 2), np.nan)), part(np.ones((2, 2))), 0) is None


def test_a_flattened_picture_may_lie_either_way() -> None:
    channels, places = 3, 4
    first = random(5, channels * places)
    last = first.reshape(5, channels, places).transpose(0, 2, 1).reshape(5, -1)

    assert weight_error(part(first), part(last), channels) == 0
    assert weight_error(part(last), part(first), channels) == 0
    assert (weight_error(part(first), part(last), 0) or 0) > 0.5


def test_codes_without_their_scale_are_weighed_with_the_one_that_suits() -> None:
    codes = np.round(random(4, 8) * 50)
    scales = np.array([[0.1], [0.2], [0.3], [0.4]])

    assert weight_error(part(codes * scales), part(codes, scaled=False), 0) == pytest.approx(
        0, abs=1e-6
    )


@pytest.mark.parametrize(
    ("stored", "most"),
    [
        (QuantizeInt8(), 0.01),
        (QuantizeDynamic(), 0.01),
        (QuantizeWeights(bits=4), 0.15),
        (HalfPrecision(), 1e-3),
    ],
)
def test_weights_in_fewer_bits_are_numbers_again(
    stored: Pass, most: float, exported: Model
) -> None:
    before = parts_of(exported.graph).layers

    after = parts_of(stored.apply(exported, QUIET).graph).layers

    assert [one.key for one in after] == [one.key for one in before]
    assert {one.bits for one in after} != {32}
    for old, new in zip(before, after, strict=True):
        error = weight_error(old, new, 0)
        assert error is not None
        assert error < most
        assert (error == 0) == (new.bits == 32)


def test_the_error_is_a_share_of_the_first() -> None:
    ones = np.ones((3, 3))

    # every weight is off by a quarter
    assert weight_error(part(ones), part(ones * 1.25), 0) == pytest.approx(0.25)
    assert weight_error(part(ones), part(np.ones((3, 2))), 0) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("model/conv2d_1/BiasAdd", "conv2d_1"),
        ("/features/0/Conv", "features.0"),
        ("1.8", "1.8"),
        ("conv1", "conv1"),
        ("node_conv2d_3", ""),
        ("Conv_12", ""),
        ("", ""),
    ],
)
def test_names_are_those_of_the_network(name: str, key: str) -> None:
    assert key_of(name, "Conv") == key


# ------------------------------------------------------------------------------- values


def test_values_are_compared_behind_the_same_steps() -> None:
    relu, bare = End("a", "a+", True, False), End("b", "b", False, False)
    codes = End("c", "c~", False, True)

    assert seen(relu, bare) == ("a", "b")
    assert seen(relu, relu) == ("a+", "a+")
    # what is rounded into the range of a ReLU has been through it
    assert seen(relu, codes) == ("a+", "c~")
    assert seen(codes, bare) == ("c~", "b")
