"""Tell what there is: datasets, lists, and one thing with its lineage."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import UnknownNameError
from toolkit.data.dataset import Dataset, value_range
from toolkit.results import ColumnInfo, DatasetInfo, InputInfo, Item, Listing, Made, Shown
from toolkit.workspace import KINDS, Entry, Workspace

REGISTRIES = {
    "sources": ("toolkit.data.sources", "sources"),
    "networks": ("toolkit.networks", "networks"),
    "importers": ("toolkit.importers", "importers"),
    "passes": ("toolkit.passes", "passes"),
    "formats": ("toolkit.formats", "formats"),
    "targets": ("edge_targets.catalog", "targets"),
    "drift_tests": ("toolkit.drift", "drift_tests"),
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
    found = [entry for name in kinds for entry in shelves.entries(name)]
    return Listing(
        tuple(Item(e.kind, e.name, gist(e), e.created, e.digest) for e in found),
        next=() if found else ("sanderling data add digits --name digits",),
    )


def members(kind: str) -> list[Item]:
    from importlib import import_module

    package, attribute = REGISTRIES[kind]
    registry = getattr(import_module(package), attribute)
    return [
        Item(kind, name, (registry[name].__doc__ or "").strip().split("\n")[0], "", "")
        for name in registry.names()
    ]


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
            held = "equal to its model" if facts["parity"]["passed"] else "NOT equal to its model"
            return f"{facts['format']}, {facts['size_bytes']:,} bytes, {held}"
        case "packages":
            return f"{facts['served_as']} {facts['version']} for {facts['target']}"
        case _:
            return f"{facts['target']} at {facts['address']}"


def shown(shelves: Workspace, name: str) -> Shown:
    entry = shelves.find_any(name)
    lineage = tuple(
        Made(depth, e.kind, e.name, e.verb, e.created, e.digest)
        for depth, e in shelves.lineage(entry)
    )
    facts = {**entry.facts, "parameters": dict(entry.parameters), "files": dict(entry.files)}
    return Shown(entry.kind, entry.name, facts, lineage)
