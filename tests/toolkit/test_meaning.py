"""What a user says of a model: labels, meanings, units and sizes."""

import os
from pathlib import Path

import pytest

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import DataError, UnknownNameError, UsageError
from toolkit.meaning import Told, labels_of, questions, shapes_of, told

SIGNATURE = Signature(
    (TensorSpec("image", (-1, 3, 8, 8)),), (TensorSpec("scores", (-1, 3)),), ("0", "1", "2")
)

HUGE = f"image=1,{1 << 31}"


def test_what_is_told_stands_in_the_signature(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cat\ndog\nbird\n\n")

    found = told(file, ["image=pixels", "scores=share"], ["image=0-255"]).applied(SIGNATURE)

    assert found.labels == ("cat", "dog", "bird")
    assert (found.inputs[0].meaning, found.inputs[0].unit) == ("pixels", "0-255")
    assert (found.outputs[0].meaning, found.outputs[0].unit) == ("share", "")


def test_what_is_not_told_stays() -> None:
    assert Told().applied(SIGNATURE) == SIGNATURE


def test_an_input_that_the_model_does_not_have_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'imaeg'") as caught:
        told(None, ["imaeg=pixels"], []).applied(SIGNATURE)

    assert "'image'" in caught.value.hint


def test_labels_that_are_too_few_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 labels are given; 'scores'.*\[-1, 3\]"):
        Told(("a", "b")).applied(SIGNATURE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"cat\n\ndog\n", "Line 2 of .* is empty"),
        (b"cat\ndog\ncat\n", "Line 3 of .* names 'cat' again"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"", "holds 0 labels"),
        (b"x" * 300, "Line 1 of .* more than 200 characters"),
    ],
)
def test_a_label_file_that_is_none_is_refused_by_line(
    text: bytes, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(text)

    with pytest.raises(DataError, match=why) as caught:
        labels_of(file)

    assert "one class a line" in caught.value.hint


def test_a_label_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        labels_of(tmp_path / "none.txt")


def test_a_pipe_is_no_label_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(DataError, match="is not a regular file"):
        labels_of(tmp_path / "pipe")


def test_the_same_input_is_not_told_twice() -> None:
    with pytest.raises(UsageError, match="--unit says image twice"):
        told(None, [], ["image=0-255", "image=0-1"])


def test_a_shape_is_read_with_its_batch_first() -> None:
    assert shapes_of(["image=1,3,8,8", "size=-1,2"]) == {"image": (1, 3, 8, 8), "size": (-1, 2)}


@pytest.mark.parametrize(
    "word",
    ["image", "=1,3", "image=1,x", "image=1,-1,8", "image=", "image=0,3", "image=-5,3", HUGE],
)
def test_a_shape_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        shapes_of([word])

    assert "--shape image=" in caught.value.hint


def test_what_a_file_has_not_said_is_asked_for() -> None:
    labels, unit = questions(SIGNATURE)

    assert "--labels FILE" in labels
    assert "--unit image=0-255" in unit
    assert not questions(
        told(None, [], ["image=0-255"]).applied(Told(("a", "b", "c")).applied(SIGNATURE))
    )


def test_of_a_row_of_numbers_its_columns_are_asked_for_and_no_range() -> None:
    rows = Signature((TensorSpec("row", (-1, 4)),), (TensorSpec("scores", (-1, 2)),), ("a", "b"))

    [asked] = questions(rows)

    assert "the 4 numbers of row" in asked
    assert "--data" in asked
    assert not questions(told(None, ["row=four lengths"], []).applied(rows))
