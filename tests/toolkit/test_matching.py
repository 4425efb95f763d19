"""A model meets a dataset: its own classes stand, the dataset's are brought into their order."""

from dataclasses import replace

import numpy as np
import pytest

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError
from toolkit import shelf
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.matching import in_classes, with_meaning
from toolkit.model import Model
from toolkit.workspace import Workspace

OPEN, CLOSE, POINTER = 0, 1, 2
OWN = ("Open", "Close", "Pointer")


def hands(*labels: str) -> Dataset:
    """Three rows, one a class, in the order of `labels`."""
    facts = Facts("made", TensorSpec("features", (-1, 2)), labels)
    return Dataset(
        "hands",
        facts,
        np.zeros((3, 2), np.float32),
        np.array([0, 1, 2]),
        np.zeros(3, np.uint8),
    )


def test_numbered_classes_take_the_names_of_the_model() -> None:
    found = in_classes(hands("0", "1", "2"), OWN)

    assert found.labels == OWN
    assert found.targets.tolist() == [OPEN, CLOSE, POINTER]


def test_named_classes_are_brought_into_the_order_of_the_model() -> None:
    found = in_classes(hands("Close", "Open", "Pointer"), OWN)

    assert found.labels == OWN
    assert found.targets.tolist() == [CLOSE, OPEN, POINTER]


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("Open", "Close"), ()])
def test_other_classes_are_left_as_they_are(labels: tuple[str, ...]) -> None:
    data = hands(*labels)

    assert in_classes(data, OWN) is data


def classifier(exported: Model, labels: tuple[str, ...]) -> Model:
    return replace(exported, signature=replace(exported.signature, labels=labels))


def test_a_model_with_labels_of_its_own_keeps_them(exported: Model) -> None:
    data = exported.data
    assert data
    names = tuple(f"class {label}" for label in data.labels)

    found = with_meaning(classifier(exported, names), data)

    assert found.signature.labels == names
    assert found.data
    assert found.data.labels == names


def test_a_model_without_names_takes_those_of_the_data(exported: Model) -> None:
    data = exported.data
    assert data
    names = tuple(f"class {label}" for label in data.labels)
    numbers = tuple(map(str, range(len(names))))

    found = with_meaning(classifier(exported, numbers), in_classes(data, names))

    assert found.signature.labels == names


def test_what_a_stored_model_has_learned_from_speaks_its_classes(
    workspace: Workspace, exported: Model
) -> None:
    data = exported.data
    assert data
    names = tuple(f"class {label}" for label in data.labels)
    entry = shelf.save_dataset(workspace, data, "data add", {})
    model = classifier(exported, names)
    shelf.save_model(workspace, "named", model, "import", {}, (entry,), (entry,))

    _, found, _ = shelf.loaded(workspace, "named", data.name)

    assert found.data
    assert found.data.labels == names


def test_data_with_other_classes_is_refused_with_both(exported: Model) -> None:
    data = exported.data
    assert data
    other = replace(data, facts=replace(data.facts, labels=tuple("abcdefghij")))
    model = classifier(exported, tuple("qrstuvwxyz"))

    with pytest.raises(DataError, match=r"gives q, r.*has a, b") as caught:
        with_meaning(model, other)

    assert "or with their numbers" in caught.value.hint
