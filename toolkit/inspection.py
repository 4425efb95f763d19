"""What is in a model file, or in a model or artifact of the workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import DataError, EdgeError, UnknownNameError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job
from toolkit import shelf
from toolkit.anatomy import total_macs
from toolkit.describe import input_info
from toolkit.formats import formats
from toolkit.guarded import import_model
from toolkit.importers import Found, Given, Source, importers, recognised
from toolkit.importers.base import layout_of
from toolkit.model import Model
from toolkit.nodes import graph_nodes
from toolkit.onnx_graph import graph_of, operators, parse
from toolkit.results import Fit, Inspected
from toolkit.workspace import Entry, NotFoundError, Workspace

KINDS = ("models", "artifacts")


@dataclass(frozen=True)
class Opened:
    """A model, wherever it came from, as a graph.

    Attributes:
        subject: the file or the name that was asked for.
        format: the importer that read it, or the artifact's format, or the model's network.
        data: bytes of the file; of a network, those of its graph.
        size_bytes: of the file.
        layout: of pictures it takes; empty where that is not known.
        opset: that the file was written in; 0 where it has none.
    """

    subject: str
    format: str
    model: Model
    data: bytes
    size_bytes: int
    layout: str
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def graph(self) -> bytes:
        return self.model.graph


def inspect(
    subject: str, given: Given, with_nodes: bool, workspace: Path | None, job: Job = QUIET
) -> Inspected:
    """Tell what is in a file, a model or an artifact, and what it can be compiled to.

    Raises:
        UnknownNameError: it is none of them; likewise `DataError`, without a workspace.
    """
    opened = open_subject(subject, given, workspace, job)
    signature = opened.model.signature
    fits = tuple(fit(name, opened.model, job) for name in formats.names() if formats[name].usual)
    return Inspected(
        subject,
        opened.format,
        opened.size_bytes,
        opened.model.parameters,
        total_macs(opened.graph),
        opened.opset or None,
        opened.layout,
        tuple(input_info(spec) for spec in signature.inputs),
        tuple(input_info(spec) for spec in signature.outputs),
        signature.labels,
        operators(opened.graph),
        dict(opened.metadata),
        opened.notes,
        fits,
        graph_nodes(opened.graph) if with_nodes else (),
    )


def fit(format_name: str, model: Model, job: Job) -> Fit:
    """Whether a model can be compiled: it is tried."""
    try:
        written = formats[format_name]().build(model.graph, model.signature, job)
    except EdgeError as error:
        return Fit(format_name, False, str(error), error.hint)
    return Fit(format_name, True, " ".join(written.notes))


def open_subject(subject: str, given: Given, workspace: Path | None, job: Job) -> Opened:
    """The file at a path; otherwise what the workspace knows by that name."""
    path = Path(subject)
    if path.is_file():
        return of_file(subject, path, given, job)
    known = []
    try:
        shelves = Workspace.find(workspace)
    except NotFoundError:
        if workspace is not None:
            raise
    else:
        known = sorted({name for kind in KINDS for name in shelves.names(kind)})
        kind, _, rest = subject.partition("/")
        if subject in known or (kind in KINDS and rest in known):
            return of_entry(subject, shelves, shelves.find_any(subject, KINDS), job)
    if path.exists():  # a folder: it may be a kind of model, and if not, the importers say so
        return of_file(subject, path, given, job)
    if not known:
        raise DataError(
            f"There is no file {subject!r}, and no workspace that knows a model of that name.",
            "Check the path, or name the workspace with --workspace.",
        )
    raise UnknownNameError("file, model or artifact", subject, known)


def of_file(subject: str, path: Path, given: Given, job: Job) -> Opened:
    source = Source.of(path)
    found = import_model(path, given, job)
    data = path.read_bytes() if path.is_file() else b""
    return opened(subject, recognised(source), found, data, job)


def of_entry(subject: str, shelves: Workspace, entry: Entry, job: Job) -> Opened:
    if entry.kind == "models":
        model = shelf.load_model(shelves, entry)
        kind = (entry.facts["network"] or {}).get("name", "onnx")
        graph = graph_of(model, job)
        found = Found(model.with_graph(graph), opset=opset_of(graph))
        return opened(subject, kind, found, graph, job)
    [file] = entry.files
    format_name = entry.facts["format"]
    data, path = shelves.read(entry, file), shelves.file(entry, file)
    source = Source.of(path)
    if not any(importers[name].accepts(source) for name in importers.names()):
        made_from = shelves.entry(entry.parents[0]).name
        raise UnsupportedError(
            f"{entry.name} is in the format {format_name}, which cannot be read back.",
            f"Name the model that it was built from: {made_from}.",
        )
    found = import_model(path, Given(), job)
    known = shelf.signature_of(entry)
    if ends(known) == ends(found.model.signature):  # then it says what these values mean, too
        found = replace(found, model=replace(found.model, signature=known))
    return opened(subject, format_name, found, data, job)


def ends(signature: Signature) -> list[tuple[str, tuple[int, ...], str]]:
    """Of every input, then every output: name, shape and type."""
    specs = (*signature.inputs, *signature.outputs)
    return [(spec.name, spec.shape, spec.dtype) for spec in specs]


def opened(subject: str, kind: str, found: Found, data: bytes, job: Job) -> Opened:
    model = found.model.with_graph(graph_of(found.model, job))
    return Opened(
        subject,
        kind,
        model,
        data,
        len(data),
        found.layout or layout_of(model.signature),
        found.opset,
        found.metadata,
        found.notes,
    )


def opset_of(graph: bytes) -> int:
    """Of the standard operators; 0 where it has none."""
    imported = {opset.domain: opset.version for opset in parse(graph).opset_import}
    return int(imported.get("", imported.get("ai.onnx", 0)))
