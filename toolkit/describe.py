"""Tell what there is: datasets, lists, and one thing with its lineage."""

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnknownNameError
from edge_targets.runtime.registry import Registry
from toolkit.certificates import certificate_of
from toolkit.data.audio import sample_rate_of
from toolkit.data.dataset import Dataset, Facts, value_range
from toolkit.results import (
    ColumnInfo,
    DatasetInfo,
    FieldInfo,
    InputInfo,
    Item,
    Listing,
    Made,
    Shown,
)
from toolkit.training import Settings as TrainingSettings
from toolkit.workspace import KINDS, Entry, Workspace

REGISTRIES = {
    "sources": ("toolkit.data.sources", "sources"),
    "networks": ("toolkit.networks", "networks"),
    "importers": ("toolkit.importers", "importers"),
    "features": ("toolkit.features", "features"),
    "answers": ("toolkit.answers", "answers"),
    "passes": ("toolkit.passes", "passes"),
    "formats": ("toolkit.formats", "formats"),
    "targets": ("edge_targets.catalog", "targets"),
    "drift_tests": ("toolkit.drift", "drift_tests"),
    "places": ("toolkit.verification.places", "places"),
}


def input_info(spec: TensorSpec) -> InputInfo:
    return InputInfo(spec.name, spec.shape, spec.dtype, spec.unit, spec.meaning)


def dataset_info(data: Dataset, *next_commands: str) -> DatasetInfo:
    if data.facts.columns:
        tables = zip(data.facts.columns, data.inputs.T, strict=True)
        columns = tuple(column_info(c.name, c.type, values) for c, values in tables)
    else:
        columns = (column_info(data.facts.input.name, "number", data.inputs),)
    parts = ("train", "validation", "test")
    return DatasetInfo(
        data.name,
        data.facts.source,
        len(data.inputs),
        data.task,
        (input_info(data.facts.input),),
        data.labels,
        {part: int((data.split == i).sum()) for i, part in enumerate(parts)},
        columns,
        next=next_commands,
    )


def network_for(facts: Facts) -> str:
    """The network to begin with."""
    if sample_rate_of(facts.input):
        return "ds_cnn"
    return "small_cnn" if len(facts.input.shape) == 4 else "mlp"


def column_info(name: str, kind: str, values: Any) -> ColumnInfo:
    low, high = value_range(values) if kind == "number" else (math.nan, math.nan)
    known = math.isfinite(low)
    missing = int(np.isnan(values).sum())
    return ColumnInfo(name, kind, missing, low if known else None, high if known else None)


def listing(kind: str | None, workspace: Path | None) -> Listing:
    if kind in REGISTRIES:
        return Listing(tuple(members(kind)))
    if kind is not None and kind not in KINDS:
        raise UnknownNameError("kind", kind, (*KINDS, *REGISTRIES))
    shelves = Workspace.find(workspace)
    kinds = (kind,) if kind else KINDS
    found = tuple(item(shelves, kind, name) for kind in kinds for name in shelves.names(kind))
    return Listing(found, next=() if found else ("sanderling data add digits --name digits",))


def item(shelves: Workspace, kind: str, name: str) -> Item:
    """A line of the list; something damaged is listed, too, so that it can be mended."""
    try:
        entry = shelves.get(kind, name)
    except IntegrityError as error:
        return Item(kind, name, f"damaged: {error}", "", "")
    return Item(kind, name, gist(entry), entry.created, entry.digest)


def members(kind: str) -> list[Item]:
    found = registry(kind)
    return [Item(kind, name, first_line(found[name]), "", "") for name in found.names()]


def registry(kind: str) -> Registry[Any]:
    package, attribute = REGISTRIES[kind]
    found = getattr(import_module(package), attribute)
    assert isinstance(found, Registry)
    return found


def first_line(member: type) -> str:
    return (member.__doc__ or "").strip().split("\n")[0]


def gist(entry: Entry) -> str:
    """One line about an entry, from its facts."""
    facts = entry.facts
    match entry.kind:
        case "datasets":
            shape = "x".join(str(size) for size in facts["input"]["shape"][1:])
            return f"{facts['source']}, {shape}, {len(facts['labels']) or 'no'} classes"
        case "models":
            network = (facts["network"] or {}).get("name", "ONNX graph")
            return f"{network}, by {entry.verb}"
        case "artifacts":
            fault = "" if facts["parity"]["passed"] else ", NOT equal to its model"
            return f"{facts['format']}, {facts['size_bytes']:,} bytes{fault}"
        case "packages":
            return f"for {facts['target']}, as {facts['served_as']}"
        case _:
            return f"{facts['target']} at {facts['address']}"


def shown(name: str, workspace: Path | None) -> Shown:
    kind, _, rest = name.partition("/")
    if rest and kind in REGISTRIES:
        return member_shown(kind, rest)
    shelves = Workspace.find(workspace)
    entry = shelves.find_any(name)
    lineage = tuple(
        Made(depth, e.kind, e.name, e.verb, e.created, e.digest)
        for depth, e in shelves.lineage(entry)
    )
    facts = {**entry.facts, "parameters": dict(entry.parameters), "files": dict(entry.files)}
    if entry.kind == "models" and (certificate := certificate_of(shelves, entry)):
        facts["certificate"] = {"created": certificate.created, **certificate.facts}
    return Shown(entry.kind, entry.name, facts, lineage)


def member_shown(kind: str, name: str) -> Shown:
    """Something that can be chosen, with every parameter that can be set."""
    member = registry(kind)[name]
    classes = [member] if issubclass(member, BaseModel) else []
    if kind == "networks":
        classes.append(TrainingSettings)  # the same --set reaches both
    fields = tuple(
        FieldInfo(key, kind_of(spec), text_of(spec.get("default")), spec.get("description", ""))
        for cls in classes
        for key, spec in cls.model_json_schema()["properties"].items()
    )
    return Shown(kind, name, {"summary": first_line(member)}, fields=fields)


def kind_of(spec: Mapping[str, Any]) -> str:
    """A JSON schema's type and bounds in a few words."""
    if "enum" in spec:
        return " or ".join(str(value) for value in spec["enum"])
    kind = {"array": "list", "integer": "whole number"}.get(spec.get("type", ""), spec.get("type"))
    low = spec.get("minimum", spec.get("exclusiveMinimum"))
    high = spec.get("maximum", spec.get("exclusiveMaximum"))
    bounds = [("from", low), ("to", high)]
    known = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    return " ".join([str(kind or "text"), *known])


def text_of(default: Any) -> str:
    if isinstance(default, list):
        return ",".join(str(value) for value in default)
    return "" if default is None else str(default)
