"""Codes of weights: what an error may be, which scale is best, what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_targets.runtime.errors import UnsupportedError
from toolkit.quantization.weights import (
    halved,
    quantize,
    quantize_blocks,
    refuse_broken,
    scales_of,
)

numbers = st.floats(-1e4, 1e4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-20)
matrices = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=numbers)


@given(values=matrices, bits=st.sampled_from([4, 7, 8]), axis=st.sampled_from([None, 0, 1]))
def test_a_weight_comes_back_within_half_a_step(values: Any, bits: int, axis: int | None) -> None:
    codes = quantize(values, bits, axis)

    step = codes.scales if axis is None else np.expand_dims(codes.scales, 1 - axis)
    assert (np.abs(codes.real() - values) <= 0.5001 * step).all()
    assert np.abs(codes.values.astype(int)).max() <= 2 ** (bits - 1) - 1


@given(values=matrices, bits=st.sampled_from([4, 8]))
def test_zero_stays_zero_and_the_sign_can_be_turned(values: Any, bits: int) -> None:
    codes, turned = quantize(values, bits, 0), quantize(-values, bits, 0)

    assert (codes.real()[values == 0] == 0).all()
    assert (codes.values == -turned.values).all()


@given(values=matrices)
def test_the_mse_scale_is_never_worse_than_that_of_the_largest_weight(values: Any) -> None:
    best, full = (quantize(values, 4, 0, method=m) for m in ("mse", "minmax"))

    def error(real: Any) -> Any:
        return ((real.astype(np.float64) - values) ** 2).sum()

    assert error(best.real()) <= error(full.real()) * (1 + 1e-6) + 1e-30


@given(values=matrices, block=st.integers(1, 10), axis=st.sampled_from([0, 1]))
def test_blocks_are_at_least_as_close_as_the_whole_line(values: Any, block: int, axis: int) -> None:
    blocks = quantize_blocks(values, 4, axis, block, "minmax")
    lines = quantize(values, 4, 1 - axis)

    assert blocks.scales.shape[axis] == -(-values.shape[axis] // block)
    step = np.expand_dims(lines.scales, axis)
    assert (np.abs(blocks.real() - values) <= 0.5001 * step).all()


def test_three_weights_by_hand() -> None:
    """The largest, 2.54, is code 127: a step of 0.02; 0.05 is 2.5 steps, halves go to even."""
    codes = quantize(np.array([[2.54, -1.0, 0.05]], np.float32), 8, None)

    assert float(codes.scales) == pytest.approx(0.02)
    assert codes.values.tolist()[0][:2] == [127, -50]
    assert codes.values[0, 2] in {2, 3}


def test_a_channel_of_zeros_has_a_scale_that_divides() -> None:
    values = np.array([[0, 0], [1, 2]], np.float32)

    scales = scales_of(values, 8, 0)

    assert (scales > 0).all()
    assert (quantize(values, 8, 0).values[0] == 0).all()


def test_what_is_no_number_is_refused_by_the_layers_name() -> None:
    with pytest.raises(UnsupportedError, match=r"'1\.8' has 1 of 2 weights") as caught:
        refuse_broken(np.array([np.nan, 1]), "1.8")

    assert caught.value.hint


def test_what_float16_cannot_hold_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="65504") as caught:
        halved(np.array([7e4], np.float32), "1.8")

    assert "1.8=float" in caught.value.hint
