"""The onnx package's own node tests through the compiler and LiteRT: right, or refused by name.

Inputs that a real graph holds as constants (shapes, axes, weights) are made constants first.
"""

import re
import warnings
from collections import Counter
from pathlib import Path

import pytest

from tests.toolkit.formats.node_cases import (
    CLAIMED,
    QUANTIZED,
    STANDARD,
    Case,
    Verdict,
    cases,
    judge,
)
from tests.toolkit.formats.quantized_cases import quantized_verdict
from toolkit.flatbuffer.integer import ARITHMETIC, DENSE, MOVES

TABLE = Path(__file__).resolve().parents[3] / "docs" / "operators.md"
WITHOUT_A_TEST = {"GlobalLpPool", *QUANTIZED}
"""Operators of which the onnx package has no test, or none in the form that is read."""


@pytest.fixture(scope="module")
def single() -> list[Case]:
    """Those of one operator. Functions written out are what the benchmark adds."""
    return [case for case in cases() if not case.name.endswith("_expanded")]


@pytest.fixture(scope="module")
def verdicts(single: list[Case]) -> dict[tuple[str, str], Verdict]:
    """By test and operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tests that overflow, or divide by zero, on purpose
        return {(case.name, case.op): judge(case) for case in single}


def test_channels_that_lie_last_change_no_number(single: list[Case]) -> None:
    """Each image behind a convolution that changes nothing: layouts are what tests miss else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {c.name: judge(c, as_images=True).status for c in single if c.op in STANDARD}

    assert not [name for name, status in found.items() if status == "wrong"]


def test_no_operator_computes_anything_else_than_the_standard_says(
    verdicts: dict[tuple[str, str], Verdict],
) -> None:
    wrong = {name: v.reason for (name, _), v in verdicts.items() if v.status == "wrong"}

    assert not wrong


def test_every_operator_that_is_claimed_passes_a_test(
    verdicts: dict[tuple[str, str], Verdict],
) -> None:
    passed = {op for (_, op), verdict in verdicts.items() if verdict.status == "passed"}

    assert passed >= CLAIMED - WITHOUT_A_TEST
    assert len(CLAIMED) >= 140


def test_most_of_what_the_claimed_operators_can_be_asked_is_answered(
    verdicts: dict[tuple[str, str], Verdict],
) -> None:
    """Leaving out types that no kernel knows, such as float8, and tensors without values."""
    asked = {key: v for key, v in verdicts.items() if key[1] in CLAIMED - QUANTIZED}
    counts = Counter(
        v.status for v in asked.values() if " holds " not in v.reason and "empty" not in v.reason
    )

    assert counts["passed"] / counts.total() > 0.85


def test_what_computes_on_int8_is_close_to_what_the_same_graph_says(single: list[Case]) -> None:
    """Each value between QuantizeLinear and DequantizeLinear, against ONNX Runtime."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            case.name: quantized_verdict(case)
            for case in single
            if case.op in MOVES | DENSE | ARITHMETIC
        }

    on_integers = {name: answer for name, answer in found.items() if answer.startswith("int8")}
    assert len(on_integers) > 150
    assert not {name: answer for name, answer in on_integers.items() if "**" in answer}


def test_a_refusal_names_what_is_refused_and_says_what_to_do(
    verdicts: dict[tuple[str, str], Verdict],
) -> None:
    refused = [(op, v) for (_, op), v in verdicts.items() if v.status == "refused"]

    assert all(v.hint for _, v in refused)
    assert all(
        re.search(r"\(node '|'.*' (holds|is)|input '|contradict", v.reason) for _, v in refused
    )


def test_the_table_of_operators_lists_what_is_translated() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)

    assert rows == sorted(CLAIMED)
