"""Models made elsewhere; one file per kind."""

from pathlib import Path

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.runtime.registry import Registry
from toolkit.importers.base import ZIP, Found, Given, Importer, Source

__all__ = ["Found", "Given", "Importer", "Source", "importers", "read_model", "recognised"]

importers = Registry(__name__, Importer)
FOREIGN = (
    ("llama.cpp (GGUF)", 0, b"GGUF"),
    ("ONNX Runtime (.ort)", 4, b"ORTM"),
    ("ncnn", 0, b"7767517"),
)
"""Kinds that are known and not read: their name, where their mark stands, and the mark."""

COPY = "Copy or export the model again."


def read_model(path: Path, given: Given, job: Job) -> Found:
    """Read a model file, recognised by its content, in this very process.

    Files of strangers are read by `toolkit.guarded` instead, in a process with limits.
    """
    source = Source.of(path)
    return importers[recognised(source)]().read(source, given, job)


def recognised(source: Source) -> str:
    """The name of the importer that reads a file.

    Raises:
        IntegrityError: it is empty, or cut short.
        UnsupportedError: it is of no kind that is known.
    """
    for name in importers.names():
        if importers[name].accepts(source):
            return name
    if not source.size and not source.path.is_dir():
        raise IntegrityError(f"{source.path} is empty.", COPY)
    if source.head.startswith(ZIP) and not source.members:
        raise IntegrityError(f"{source.path} is a zip archive that is cut short.", COPY)
    readable = [importers[name] for name in importers.names() if importers[name].reads]
    kind = foreign_kind(source)
    raise UnsupportedError(
        f"{source.path} is a file of {kind}, which is not imported."
        if kind
        else f"{source.path} is not a model file that can be imported.",
        f"Export the model to one of: {', '.join(member.title for member in readable)}.",
    )


def foreign_kind(source: Source) -> str:
    """Whose model file it is, of kinds that are known and not read; "" for any other."""
    for kind, place, mark in FOREIGN:
        if source.head[place : place + len(mark)] == mark:
            return kind
    return "Core ML" if "Manifest.json" in source.members else ""
