"""The bridge between a page and Python, without a page: it is ordinary Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_targets.runtime.bridge import Bridge
from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import IntegrityError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def bridge() -> Bridge:
    read: Callable[[str], str] = lambda name: (GOLDEN / name).read_text()  # noqa: E731
    return Bridge(read("manifest.json"), read("profile.json"), "browser-1")


@pytest.fixture
def words() -> Any:
    """The golden inputs and outputs, as JavaScript hands them over: buffers of doubles."""
    golden = json.loads((GOLDEN / "golden.json").read_text())
    from array import array

    for tensors in (golden["inputs"], golden["outputs"]):
        for tensor in tensors.values():
            tensor["data"] = memoryview(array("d", tensor["data"]))
    return golden


def test_an_observed_batch_is_answered_and_counted(bridge: Bridge, words: Any) -> None:
    answers = json.loads(bridge.observe(words["inputs"], words["outputs"], 0.7))

    # shares 0.75, 0.125, 0.125 and 0, 0.5, 0.5: of equals the first; 0.625 is enough to answer
    assert answers == [
        {"label": "zero", "confidence": 0.75},
        {"label": "one", "confidence": 0.5, "abstained": True},
    ]
    record = Record.parse(bridge.close())
    assert (record.device, record.samples) == ("browser-1", 2)
    assert record.sketches["image"].count == 8
    assert record.sketches["confidence"].count == 2


def test_an_answer_alone_is_not_counted(bridge: Bridge, words: Any) -> None:
    answers = json.loads(bridge.answer(words["outputs"]))

    assert [answer["label"] for answer in answers] == ["zero", "one"]
    assert bridge.close() == ""


def test_a_new_start_forgets_what_was_counted(bridge: Bridge, words: Any) -> None:
    bridge.observe(words["inputs"], words["outputs"], 0.7)

    bridge.restart("browser-2")

    assert bridge.close() == ""
    bridge.observe(words["inputs"], words["outputs"], 0.7)
    assert Record.parse(bridge.close()).device == "browser-2"


def test_inputs_that_do_not_fit_are_refused(bridge: Bridge, words: Any) -> None:
    bridge.check(words["inputs"])

    with pytest.raises(IntegrityError, match="was given nothing"):
        bridge.check({})
