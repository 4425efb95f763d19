"""What people said of answers: counted with the windows, added up, told in a line."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import IntegrityError
from toolkit.telemetry.feedback import Feedback
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]


def test_feedback_survives_the_journal_and_parquet(store: Store, record: MakeRecord) -> None:
    store.append([record(device="browser-1", confusions={"7": {"1": 2}})])
    store.compact()
    store.append(
        [
            record(device="browser-1", confusions={"7": {"1": 1, "7": 4}}),
            record(device="browser-2", confusions={"4": {"9": 1}}),
            record(device="porch"),
        ]
    )

    found = store.feedback("digits")

    # eleven answers in each of three windows; the porch's visitors said nothing
    assert found == Feedback(2, 33, {"7": {"1": 3, "7": 4}, "4": {"9": 1}})
    assert found.sentence == (
        "2 visitors said 4 of 33 answers were wrong: 7 is 1 (3 times), 4 is 9."
    )


def test_feedback_is_of_one_model_and_of_the_time_asked_for(
    store: Store, record: MakeRecord
) -> None:
    store.append(
        [
            record(minute=5, confusions={"7": {"1": 1}}),
            record(minute=25, confusions={"7": {"9": 1}}),
            record(minute=25, model="wine", confusions={"red": {"white": 1}}),
        ]
    )

    found = store.feedback("digits", datetime(2026, 11, 20, 10, 20, tzinfo=UTC))

    assert found.confusions == {"7": {"9": 1}}


def test_who_said_nothing_is_not_quoted(store: Store, record: MakeRecord) -> None:
    store.append([record()])
    silent = store.feedback("digits")
    store.append([record(confusions={"7": {"7": 3}})])
    content = store.feedback("digits")

    assert silent == Feedback(0, 0, {})
    assert (silent.sentence, content.sentence) == ("", "")


def test_a_word_about_an_earlier_answer_does_not_make_more_than_all_wrong() -> None:
    assert (
        Feedback(1, 0, {"a": {"b": 1}}).sentence
        == "1 visitor said 1 of 1 answers were wrong: a is b."
    )


def test_of_many_confusions_the_most_frequent_are_told() -> None:
    said = {"0": {str(label): label for label in range(1, 10)}}

    sentence = Feedback(3, 1000, said).sentence

    # 1 + 2 + … + 9
    assert sentence.startswith("3 visitors said 45 of 1,000 answers were wrong: 0 is 9 (9 times), ")
    assert sentence.endswith("0 is 5 (5 times), ….")


@pytest.mark.parametrize(
    "said",
    [
        {"7": {"1": -1}},
        {"7": {"1": 1.5}},
        {"7": {"1": "2"}},
        {"7": 3},
        ["7"],
        {"a\nb": {"1": 1}},
        {"": {"1": 1}},
        {"7": {"x" * 201: 1}},
    ],
)
def test_feedback_that_is_none_is_refused(store: Store, record: MakeRecord, said: object) -> None:
    with pytest.raises(IntegrityError, match="confusions"):
        store.append([record(confusions=said)])


def test_a_field_that_happens_to_be_named_so_deeper_down_is_not_feedback(
    store: Store, record: MakeRecord
) -> None:
    store.append([record(extra={"note": {"confusions": 3}})])

    assert store.feedback("digits").confusions == {}
