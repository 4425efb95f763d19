"""Whether a model can be used with a dataset: the same inputs, classes and categories."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DataError
from toolkit.data.dataset import Dataset, told, unlike
from toolkit.model import Model


def check_fits(signature: Signature, data: Dataset, learned: Dataset | None) -> None:
    """Do nothing for a dataset that the model can be used with.

    Args:
        signature: of the model.
        data: what it shall be used with.
        learned: what the model has learned from, where that is known: the same number must
            stand for the same category.

    Raises:
        DataError: names the input, class or column that differs.
    """
    check_takes(signature, data)
    given, classes = signature.outputs[0].shape, len(data.labels)
    if len(given) != 2 or given[1] != (classes or 1):
        raise DataError(
            f"The model gives {list(given)}; {data.name} has {classes or 'no'} classes.",
            "Name a dataset with the model's own classes.",
        )
    extra = [spec.name for spec in signature.outputs[1:]]
    if extra and data.labels:
        raise DataError(
            f"The model also gives {', '.join(extra)}: which output is the classes' is not known.",
            "Export it with the classes' shares as its only output, and import that.",
        )
    # what was imported without data has numbers for names
    anonymous = not learned and numbered(signature.labels)
    if signature.labels != in_classes(data, signature.labels).labels and not anonymous:
        raise DataError(
            f"The model gives {told(signature.labels)}; {data.name} has {told(data.labels)}.",
            "Name a dataset with the model's own classes, or with their numbers.",
        )
    if learned and (why := unlike(learned.facts, data.facts)):
        raise DataError(
            f"{data.name} is not what the model has learned from: {why}.",
            "Bring data with the same columns, categories and unit.",
        )


def check_takes(signature: Signature, data: Dataset) -> None:
    """Do nothing for a dataset whose items are the model's input."""
    wanted = data.facts.input
    taken = [spec.shape for spec in signature.inputs]
    if len(taken) != 1 or taken[0][1:] != wanted.shape[1:]:
        shapes = " and ".join(str(list(shape)) for shape in taken)
        raise DataError(
            f"The model takes {shapes}; {data.name} holds {list(wanted.shape)}.",
            "Name a dataset with the model's own inputs.",
        )


def decides(signature: Signature) -> bool:
    """Whether it gives decisions, such as the number of a class or boxes, and no scores."""
    first = signature.outputs[0]
    return not signature.labels and (
        len(signature.outputs) > 1 or len(first.shape) != 2 or not first.dtype.startswith("float")
    )


def numbered(labels: Sequence[str]) -> bool:
    """Whether classes have their numbers, from 0, for names."""
    return bool(labels) and list(labels) == [str(number) for number in range(len(labels))]


def in_classes(data: Dataset, labels: tuple[str, ...]) -> Dataset:
    """The same items, their classes named and numbered as `labels` says.

    Classes that had numbers for names are taken by these; those that had the same names are
    brought into order. With other classes than these the dataset comes back as it was.
    """
    if data.labels == labels or len(data.labels) != len(labels):
        return data
    facts = replace(data.facts, labels=labels)
    if set(data.labels) == set(labels):
        number = np.array([labels.index(label) for label in data.labels])
        return replace(data, facts=facts, targets=number[data.targets])
    return replace(data, facts=facts) if numbered(data.labels) else data


def with_meaning(model: Model, data: Dataset) -> Model:
    """An imported model with the dataset's names and units; its own labels, where it has any."""
    check_fits(model.signature, data, None)
    wanted = data.facts.input
    [taken] = model.signature.inputs
    named = replace(taken, meaning=wanted.meaning, unit=wanted.unit, columns=wanted.columns)
    own = model.signature.labels
    labels = data.labels if numbered(own) else own
    signature = replace(model.signature, inputs=(named,), labels=labels)
    return replace(model, signature=signature, data=in_classes(data, labels))
