"""Steps that are asked for by name: as worked out by hand, in any order that fits."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import RecipeError, UnsupportedError
from toolkit.data import Dataset
from toolkit.features import Feature, features
from toolkit.features.bucketize import Bucketize
from toolkit.features.channels_last import ChannelsLast
from toolkit.features.crop import Crop
from toolkit.features.from_bytes import FromBytes
from toolkit.features.hash_text import PRIME, TIMES, HashText
from toolkit.features.log_mel import LogMel
from toolkit.features.normalize import Normalize
from toolkit.features.one_hot import OneHot
from toolkit.features.resize import Resize, places
from toolkit.parameters import from_words

Array = np.ndarray[Any, Any]
FITTED = {"impute", "log_mel", "one_hot", "scale"}
BY_NAME = sorted(set(features.names()) - FITTED)


def applied(step: Feature, values: Array) -> Array:
    with torch.no_grad():
        return np.asarray(step.module().eval()(torch.from_numpy(values)))


def pictures(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec("x", (-1, *shape), dtype)


@pytest.mark.parametrize("name", BY_NAME)
def test_no_data_shows_that_a_step_by_name_is_needed(name: str, digits: Dataset) -> None:
    assert features[name].fit(digits.inputs, digits.facts) is None


def test_a_picture_half_as_large_is_the_mean_of_four_pixels() -> None:
    x = pictures(3, 6, 8)

    found = applied(Resize(height=3, width=4), x)

    wanted = x.reshape(2, 3, 3, 2, 4, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(5, 9), (13, 7), (31, 40), (1, 1)])
def test_a_resized_picture_is_what_torch_makes_of_it(mode: str, size: tuple[int, int]) -> None:
    x = pictures(3, 31, 23)
    settings: dict[str, Any] = {} if mode == "nearest" else {"align_corners": False}
    wanted = torch.nn.functional.interpolate(torch.from_numpy(x), size, mode=mode, **settings)

    found = applied(
        from_words(Resize, [f"height={size[0]}", f"width={size[1]}", f"mode={mode}"]), x
    )

    np.testing.assert_allclose(
        found, wanted.numpy(), atol=2e-5
    )  # torch rounds the places to float32


def test_a_picture_of_the_same_size_stays_as_it_is() -> None:
    x = pictures(3, 7, 5)

    np.testing.assert_array_equal(applied(Resize(height=7, width=5), x), x)


@given(source=st.integers(1, 2000), size=st.integers(1, 500))
def test_pixels_are_taken_from_inside_in_order(source: int, size: int) -> None:
    for mode in ("bilinear", "nearest"):
        low, share = places(source, size, mode)

        assert low == sorted(low)
        assert low[0] >= 0
        assert low[-1] < source
        assert all(0 <= part < 1 for part in share)


def test_a_crop_is_the_middle() -> None:
    x = pictures(1, 6, 9)

    np.testing.assert_array_equal(applied(Crop(height=4, width=4), x), x[:, :, 1:5, 2:6])


def test_a_crop_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no middle of 8 by 4") as caught:
        Crop(height=8, width=4).shape((3, 6, 9))

    assert "resize" in caught.value.hint


def test_every_channel_has_its_own_mean_and_deviation() -> None:
    x = np.abs(pictures(3, 4, 5)) * 100
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    found = applied(Normalize(mean=tuple(mean), std=tuple(std), range=255), x)

    wanted = (x / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_one_mean_does_for_all_channels_and_rows_have_channels_too() -> None:
    np.testing.assert_allclose(applied(Normalize(mean=(2.0,)), pictures(4)), pictures(4) - 2)
    assert Normalize(mean=(2.0,)).takes(spec(4)) == spec(4)


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("normalize", ["mean=1,2", "std=1,2,3"], "as many values"),
        ("normalize", ["std=0"], "greater than 0"),
        ("bucketize", ["edges=1,3,2"], "edges ascend"),
        ("bucketize", ["edges="], "at least 1"),
        ("hash_text", ["length=2", "buckets=8"], "at least as many codes"),
        ("resize", ["height=2"], "width is missing"),
        ("resize", ["height=2", "width=2", "mode=cubic"], "'bilinear' or 'nearest'"),
    ],
)
def test_parameters_that_do_not_fit_are_named(name: str, words: list[str], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        from_words(features[name], words)


def test_a_value_is_in_the_bucket_whose_edge_it_has_reached() -> None:
    x = np.array([[-1.0, 0.0, 0.5, 1.0, 99.0, np.nan]], np.float32)

    assert applied(Bucketize(edges=(0.0, 1.0)), x).tolist() == [[0, 1, 1, 2, 2, 0]]


def test_buckets_one_input_each() -> None:
    x = np.array([[-1.0, 0.5], [3.0, 0.0]], np.float32)

    found = applied(Bucketize(edges=(0.0, 1.0), one_hot=True), x)

    assert found.tolist() == [[1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 1, 0]]


def test_channels_come_first_and_bytes_become_floats() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)

    found = applied(ChannelsLast(), applied(FromBytes(), x))

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, x.transpose(0, 3, 1, 2))


# ------------------------------------------------------------------------------------------ text


def codes(text: str, length: int = 12) -> list[int]:
    return [*map(ord, text), *[0] * length][:length]


def by_hand(text: str, step: HashText) -> list[int]:
    """The same in Python's whole numbers, which never overflow."""
    counts = [0] * step.buckets
    text = "".join(c.lower() if c.isascii() and step.lower else c for c in text)[: step.length]
    for start in range(len(text) - step.ngram + 1):
        hashed = 0
        for c in text[start : start + step.ngram]:
            hashed = (hashed * TIMES + ord(c)) % PRIME
        counts[hashed % step.buckets] += 1
    return counts


@given(
    text=st.text(st.characters(min_codepoint=1), max_size=16),
    ngram=st.integers(1, 4),
    lower=st.booleans(),
)
def test_counts_are_those_of_whole_numbers_without_end(text: str, ngram: int, lower: bool) -> None:
    step = HashText(length=12, buckets=17, ngram=ngram, lower=lower)

    found = applied(step, np.array([codes(text)], np.int32))

    assert found.tolist() == [by_hand(text, step)]


def test_the_largest_intermediate_number_fits_an_int32() -> None:
    assert (PRIME - 1) * TIMES + PRIME - 1 < 2**31


def test_text_counts_whatever_type_its_codes_have() -> None:
    rows = np.array([codes("Warning: hot"), codes("ok")])

    found = [
        applied(HashText(length=12, buckets=32, dtype=dtype), rows.astype(dtype))
        for dtype in ("int32", "uint8", "float32")
    ]

    assert found[0].sum(axis=1).tolist() == [10, 0]  # twelve codes hold ten of three, two none
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_capitals_count_unless_they_are_told_not_to() -> None:
    rows = np.array([codes("HELLO"), codes("hello")], np.int32)

    same = applied(HashText(length=12, buckets=64), rows)
    other = applied(HashText(length=12, buckets=64, lower=False), rows)

    np.testing.assert_array_equal(same[0], same[1])
    assert (other[0] != other[1]).any()


# ------------------------------------------------------------- in front of what a model takes


@pytest.mark.parametrize(
    ("step", "given_spec", "taken"),
    [
        (Resize(height=8, width=8, from_height=30, from_width=40), spec(3, 8, 8), (3, 30, 40)),
        (Crop(height=8, width=8, from_height=30, from_width=40), spec(3, 8, 8), (3, 30, 40)),
        (Normalize(range=255), spec(3, 8, 8), (3, 8, 8)),
        (ChannelsLast(), spec(3, 8, 9), (8, 9, 3)),
        (FromBytes(), spec(3, 8, 9), (3, 8, 9)),
        (Bucketize(edges=(1.0, 2.0)), spec(4), (4,)),
        (Bucketize(edges=(1.0, 2.0), one_hot=True), spec(12), (4,)),
        (HashText(length=20, buckets=16), spec(16), (20,)),
        (OneHot(sizes=(3, 0)), spec(4), (2,)),
        (LogMel(sample_rate=8000, window=256, mels=24), spec(1, 11, 24), (1, 1536)),
    ],
)
def test_a_step_says_what_it_takes_for_what_it_shall_give(
    step: Feature, given_spec: TensorSpec, taken: tuple[int, ...]
) -> None:
    found = step.takes(given_spec)

    assert found.name == "x"
    assert found.shape == (-1, *taken)
    assert step.shape(taken) == given_spec.shape[1:]


@pytest.mark.parametrize(
    ("step", "given_spec", "why"),
    [
        (Resize(height=8, width=8), spec(3, 8, 8), "does not know the size of what comes in"),
        (Resize(height=8, width=8), spec(3, 9, 8), "gives pictures of 8 by 8"),
        (Crop(height=8, width=8), spec(4), "gives pictures of 8 by 8"),
        (Normalize(mean=(1.0, 2.0)), spec(3, 8, 8), "values for 2 channels"),
        (ChannelsLast(), spec(4), "gives pictures"),
        (Bucketize(edges=(1.0, 2.0), one_hot=True), spec(4), "gives 3 inputs for each"),
        (HashText(length=20, buckets=16), spec(5), "gives 16 counts"),
        (OneHot(sizes=(3, 0)), spec(5), "gives"),
        (LogMel(sample_rate=8000, window=256, mels=24), spec(5), "gives"),
    ],
)
def test_a_step_that_cannot_give_what_is_taken_says_so(
    step: Feature, given_spec: TensorSpec, why: str
) -> None:
    with pytest.raises(UnsupportedError, match=why) as caught:
        step.takes(given_spec)

    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resize", ["height=8", "width=9", "from_height=4", "from_width=5", "mode=nearest"]),
        ("crop", ["height=8", "width=9"]),
        ("normalize", ["mean=1,2", "std=3,4", "range=255"]),
        ("channels_last", []),
        ("from_bytes", []),
        ("bucketize", ["edges=1,2", "one_hot=true"]),
        ("hash_text", ["length=9", "buckets=8", "ngram=2", "lower=false", "dtype=uint8"]),
    ],
)
def test_a_step_survives_words_and_json(name: str, words: list[str]) -> None:
    step = from_words(features[name], words)

    assert features[name](**step.model_dump(mode="json")) == step
    assert len(step.model_fields_set) == len(words)
