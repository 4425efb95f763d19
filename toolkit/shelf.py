"""Put models, datasets and files into the workspace, and take them out again as objects."""

import json
from collections.abc import Mapping
from typing import Any, cast

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import RecipeError, UnsupportedError
from toolkit.data.dataset import Dataset, Facts
from toolkit.matching import check_fits, check_takes, decides, in_classes
from toolkit.model import Model
from toolkit.workspace import Entry, Workspace, check_name


def save_dataset(
    workspace: Workspace, data: Dataset, verb: str, parameters: Mapping[str, Any]
) -> Entry:
    files = {"data.npz": data.to_bytes()}
    return workspace.put("datasets", data.name, files, data.facts.to_json(), verb, parameters)


def load_dataset(workspace: Workspace, entry: Entry) -> Dataset:
    facts = Facts.from_json(dict(entry.facts))
    return Dataset.from_bytes(entry.name, facts, workspace.read(entry, "data.npz"))


def dataset(workspace: Workspace, name: str) -> Dataset:
    return load_dataset(workspace, workspace.get("datasets", name))


def save_model(
    workspace: Workspace,
    name: str,
    model: Model,
    verb: str,
    parameters: Mapping[str, Any],
    parents: tuple[Entry, ...],
    data: tuple[Entry, ...],
    **facts: Any,
) -> Entry:
    """Store a model; `data` are the datasets it has learned from, today's world first."""
    file, stored = model.stored()
    known = {**model.facts(), "data": [entry.digest for entry in data], **facts}
    # through JSON: what is stored is what a reader will find
    plain = json.loads(json.dumps(known))
    return workspace.put("models", name, {file: stored}, plain, verb, parameters, parents)


def new_name(name: str, source: str) -> str:
    """`name` for what is made from the model `source`, which must stay within reach."""
    if check_name(name) == source:
        raise RecipeError(
            f"{name} is the model to start from, and stays as it is.",
            "Call the new one something else with --name.",
        )
    return name


def data_of(workspace: Workspace, entry: Entry) -> tuple[Entry, ...]:
    """The datasets a model, or the model behind an artifact, has learned from."""
    for _, made in workspace.lineage(entry):
        if made.kind == "models":
            return tuple(workspace.entry(digest) for digest in made.facts["data"])
    return ()


def learned_from(
    workspace: Workspace, parents: tuple[Entry, ...], trained: bool
) -> tuple[Entry, ...]:
    """The datasets a compressed model has learned from.

    Args:
        parents: the model it was, and the dataset that was named for it, if any.
        trained: whether it learned from that one too, and was not just calibrated with it.
    """
    model, *named = parents
    data = data_of(workspace, model)
    known = [entry.files for entry in data]
    return (*data, *(entry for entry in named if trained and entry.files not in known))


def fitting(
    signature: Signature, data: Dataset, learned: Dataset | None, judged: bool = True
) -> Dataset:
    """The dataset in the model's own classes.

    Args:
        judged: whether the answers are held against the dataset's own; else a model that gives
            decisions needs its inputs only.

    Raises:
        DataError: the model cannot be used with it.
    """
    if not judged and decides(signature):
        check_takes(signature, data)
        return data
    known = in_classes(data, signature.labels)
    check_fits(signature, known, learned)
    return known


def learned_data(workspace: Workspace, entry: Entry) -> Dataset | None:
    """All that a model, or the model behind an artifact, has learned from, in its classes."""
    merged: Dataset | None = None
    for found in data_of(workspace, entry):
        one = load_dataset(workspace, found)
        merged = merged.merged(one) if merged else one
    return in_classes(merged, signature_of(entry).labels) if merged else None


def load_model(workspace: Workspace, entry: Entry) -> Model:
    """The model, with all the data it has learned from merged."""
    [file] = entry.files
    data = learned_data(workspace, entry)
    return Model.from_facts(entry.facts, workspace.read(entry, file), data)


def model(workspace: Workspace, name: str) -> Model:
    return load_model(workspace, workspace.get("models", name))


def loaded(
    workspace: Workspace, name: str, data_name: str | None, judged: bool = True
) -> tuple[Entry, Model, tuple[Entry, ...]]:
    """A model with the data it learned from, or with the dataset that is named instead.

    Last, what is made with it is made from: the model, and that dataset.
    """
    if name in workspace.names("artifacts") and name not in workspace.names("models"):
        built = workspace.get("artifacts", name)
        raise UnsupportedError(
            f"{name} is an artifact, and no model.",
            f"Name the model that it was built from: {workspace.entry(built.parents[0]).name}.",
        )
    entry = workspace.get("models", name)
    model = load_model(workspace, entry)
    if not data_name:
        return entry, model, (entry,)
    source = workspace.get("datasets", data_name)
    data = fitting(model.signature, load_dataset(workspace, source), model.data, judged)
    return entry, model.with_data(data), (entry, source)


def trainable(workspace: Workspace, entry: Entry) -> Entry:
    """The nearest model at or before `entry` that is still a network.

    Raises:
        UnsupportedError: there is none; it was imported as a finished graph.
    """
    for _, made in workspace.lineage(entry):
        if made.kind == "models" and made.facts["kind"] == "network":
            return made
    raise UnsupportedError(
        f"{entry.name} was imported as a finished graph: there is no network to train.",
        "Train a network of your own on the same data with `sanderling train`.",
    )


def signature_of(entry: Entry) -> Signature:
    """Of a model or an artifact."""
    return Signature.from_json(cast("dict[str, Any]", entry.facts["signature"]))
