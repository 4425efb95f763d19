"""The bridge between a page and Python, without a page: it is ordinary Python."""

import json
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge_targets.runtime.bridge import Bridge
from edge_targets.runtime.contract import Record, Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.predictor import check

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS = json.loads((GOLDEN / "answers.json").read_text())


def bridge_with(after: str = "", **changes: Any) -> Bridge:
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    for name, value in changes.items():
        manifest[name] = {**manifest[name], **value}
    return Bridge(json.dumps(manifest), (GOLDEN / "profile.json").read_text(), "browser-1", after)


@pytest.fixture
def bridge() -> Bridge:
    return bridge_with()


@pytest.fixture
def words() -> Any:
    """The golden inputs and outputs, as JavaScript hands them over: buffers of doubles."""
    golden = json.loads((GOLDEN / "golden.json").read_text())
    for tensors in (golden["inputs"], golden["outputs"]):
        for tensor in tensors.values():
            tensor["data"] = memoryview(array("d", tensor["data"]))
    return golden


def asked(bridge: Bridge, outputs: Any) -> Any:
    """What the bridge says of outputs, written to their place and read as JavaScript does."""
    room = bridge.place(json.dumps([tensor["shape"] for tensor in outputs.values()]))
    given = array("d", [value for tensor in outputs.values() for value in tensor["data"]])
    room[: len(given)] = given
    if said := bridge.answer():
        return json.loads(said, parse_constant=pytest.fail)
    labels, told = bridge.manifest.signature.labels, iter(room[len(given) :])
    answers = [
        {"label": labels[int(place)], "confidence": None if math.isnan(share) else share}
        | ({"abstained": True} if abstained else {})
        for place, share, abstained in zip(told, told, told, strict=True)
    ]
    return {"answers": answers, "note": ""}


def test_placed_outputs_are_answered(bridge: Bridge, words: Any) -> None:
    said = asked(bridge, words["outputs"])

    # shares 0.75, 0.125, 0.125 and 0, 0.5, 0.5: of equals the first; 0.625 is enough to answer
    assert said == {
        "answers": [
            {"label": "zero", "confidence": 0.75},
            {"label": "one", "confidence": 0.5, "abstained": True},
        ],
        "note": "",
    }
    assert bridge.close() == ""  # nothing was counted


def test_answers_are_those_of_the_page_for_the_same_numbers() -> None:
    # web/test/answers.test.ts reads the same vectors
    rows, labels = VECTORS["rows"], VECTORS["labels"]
    bridge = bridge_with(
        signature={"labels": labels}, abstention={"threshold": VECTORS["threshold"]}
    )
    shares = [float("nan") if share is None else share for row in rows for share in row["shares"]]
    [name] = [spec.name for spec in bridge.manifest.signature.outputs]

    said = asked(bridge, {name: {"shape": [len(rows), len(labels)], "data": shares}})

    assert said["answers"] == [row["answer"] for row in rows]


@pytest.mark.parametrize("vector", VECTORS["shapes"])
def test_inputs_are_refused_in_the_words_of_the_page(vector: Any) -> None:
    specs = tuple(TensorSpec(name, tuple(shape)) for name, shape in vector["wanted"].items())
    given = {name: tuple(shape) for name, shape in vector["given"].items()}

    def told() -> str:
        try:
            check(Signature(specs, ()), given)
        except IntegrityError as error:
            return str(error)
        return ""

    assert told() == vector["refused"]


def test_an_observed_batch_is_counted(bridge: Bridge, words: Any) -> None:
    bridge.observe(words["inputs"], words["outputs"], 0.7)

    record = Record.parse(bridge.close())
    assert (record.device, record.samples) == ("browser-1", 2)
    assert record.sketches["image"].count == 8
    assert record.sketches["confidence"].count == 2


def test_a_new_start_forgets_what_was_counted(bridge: Bridge, words: Any) -> None:
    bridge.observe(words["inputs"], words["outputs"], 0.7)

    bridge.restart("browser-2")

    assert bridge.close() == ""
    bridge.observe(words["inputs"], words["outputs"], 0.7)
    assert Record.parse(bridge.close()).device == "browser-2"


Hooked = Callable[[Callable[..., Any]], Bridge]


@pytest.fixture
def hooked() -> Iterator[Hooked]:
    """Gives `hooked(function)`: a bridge on which it has the last word."""
    module = ModuleType("sanderling_hook")
    sys.modules[module.__name__] = module

    def made(function: Callable[..., Any]) -> Bridge:
        module.__dict__["fix"] = function
        return bridge_with(f"{module.__name__}:fix")

    yield made
    del sys.modules[module.__name__]


def test_the_users_own_function_has_the_last_word(hooked: Hooked, words: Any) -> None:
    def fix(answers: Any, outputs: Any) -> Any:
        [shares] = outputs.values()
        return [
            {**answer, "label": answer["label"].upper(), "sum": sum(row)}
            for answer, row in zip(answers, shares.rows(), strict=True)
        ]

    said = asked(hooked(fix), words["outputs"])

    assert said["note"] == ""
    assert [(answer["label"], answer["sum"]) for answer in said["answers"]] == [
        ("ZERO", 1.0),
        ("ONE", 1.0),
    ]


FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "it raises": (lambda answers, outputs: 1 / 0, "ZeroDivisionError: division by zero"),
    "it wants to leave": (lambda answers, outputs: sys.exit(3), "SystemExit: 3"),
    "it gives nothing": (lambda answers, outputs: None, "it gave NoneType for 2 items"),
    "it gives too few": (lambda answers, outputs: answers[:1], "it gave 1 answers for 2 items"),
    "no dictionaries": (lambda answers, outputs: ["a", "b"], "an answer is no dictionary"),
    "a label that is none": (lambda answers, outputs: [{"label": 3}] * 2, "label is 3"),
    "what JSON cannot hold": (lambda answers, outputs: [{"x": {1}}] * 2, "not JSON serializable"),
    "no number": (lambda answers, outputs: [{"x": float("nan")}] * 2, "not JSON compliant"),
    "it spoils what it got": (lambda answers, outputs: answers[0].clear() or 1, "it gave int"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_function_that_fails_is_told_and_the_plain_answers_stand(
    fault: str, hooked: Hooked, words: Any, bridge: Bridge
) -> None:
    function, reason = FAULTS[fault]

    said = asked(hooked(function), words["outputs"])

    assert said["answers"] == asked(bridge, words["outputs"])["answers"]
    assert said["note"].startswith("sanderling_hook:fix failed: ")
    assert reason in said["note"]


def test_a_function_that_is_not_there_is_told(words: Any) -> None:
    said = asked(bridge_with("no_such_module:fix"), words["outputs"])

    assert said["note"].startswith("no_such_module:fix failed: ModuleNotFoundError")
    assert [answer["label"] for answer in said["answers"]] == ["zero", "one"]
