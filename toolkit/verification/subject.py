"""What is verified: a model, the files made from it, and the inputs that all places get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import Job
from toolkit.artifact import is_quantized, samples
from toolkit.delegation import delegation_of
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.workspace import Entry, Workspace

HERE = "compiled for this"


@dataclass(frozen=True)
class File:
    """A compiled file, or what a device holds already.

    Attributes:
        format: that it was built with.
        engine: that runs it.
        note: what a person calls it.
    """

    format: str
    engine: str
    data: bytes
    quantized: bool
    note: str


@dataclass(frozen=True)
class Subject:
    """A model on its way through the places.

    Attributes:
        entry: of the workspace.
        graph: the model as ONNX, as it is before any compiler of ours.
        inputs: by name, each of shape (N, ...).
        files: what was built from it in the workspace; compiled now where nothing was.
        refused: why there is no file for an engine.
        device: the name of the one that was asked for; empty for any.
    """

    shelves: Workspace
    entry: Entry
    model: Model
    graph: bytes
    inputs: Mapping[str, NDArray[Any]]
    files: tuple[File, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    device: str = ""


def built(shelves: Workspace, entry: Entry) -> tuple[File, ...]:
    """The files that were built from a model: what is shipped is what must be proven."""
    return tuple(
        File(
            artifact.facts["format"],
            formats[artifact.facts["format"]].engine,
            shelves.read(artifact, *artifact.files),
            artifact.facts["quantized"],
            artifact.name,
        )
        for artifact in shelves.entries("artifacts")
        if artifact.parents[0] == entry.digest
    )


def compiled(
    finished: Model, inputs: Mapping[str, NDArray[Any]], known: tuple[File, ...], job: Job
) -> tuple[tuple[File, ...], dict[str, str]]:
    """A file of every usual format that none is `known` of, and why there is none."""
    made, refused = [], {}
    for name in formats.names():
        kind = formats[name]
        if not kind.usual or any(file.format == name for file in known):
            continue
        try:
            written = kind().build(
                finished.graph, finished.signature, job, samples(finished, [*inputs])
            )
        except EdgeError as error:
            refused[kind.engine] = str(error)
            continue
        delegation = delegation_of(written.data) if kind.engine == "tflite" else None
        quantized = is_quantized(finished.graph, delegation)
        made.append(File(name, kind.engine, written.data, quantized, HERE))
    return tuple(made), refused
