"""Models made elsewhere; one file per kind."""

from pathlib import Path

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.runtime.registry import Registry
from toolkit.importers.base import Found, Given, Importer, Source

__all__ = ["Found", "Given", "Importer", "Source", "importers", "read_model", "recognised"]

importers = Registry(__name__, Importer)


def read_model(path: Path, given: Given, job: Job) -> Found:
    """Read a model file, recognised by its content, in this very process.

    Files of strangers are read by `toolkit.guarded` instead, in a process with limits.
    """
    source = Source.of(path)
    return importers[recognised(source)]().read(source, given, job)


def recognised(source: Source) -> str:
    """The name of the importer that reads a file.

    Raises:
        UnsupportedError: it is of no kind that is known.
    """
    for name in importers.names():
        if importers[name].accepts(source):
            return name
    titles = ", ".join(importers[name].title for name in importers.names())
    raise UnsupportedError(
        f"{source.path} is not a model file that can be imported.",
        f"Export the model to one of: {titles}.",
    )
