"""Models made elsewhere; one file per kind."""

from pathlib import Path

from edge_targets.runtime.errors import DataError, UnsupportedError
from edge_targets.runtime.events import Job
from edge_targets.runtime.registry import Registry
from toolkit.importers.base import Importer
from toolkit.model import Model

__all__ = ["Importer", "import_model", "importers", "recognised"]

importers = Registry(__name__, Importer)
HEAD = 4096  # bytes a file is recognised by


def import_model(file: Path, job: Job) -> Model:
    """Read a model file, recognised by its content and not by its name."""
    return importers[recognised(file)]().read(file, job)


def recognised(file: Path) -> str:
    """The name of the importer that reads `file`.

    Raises:
        DataError: the file cannot be read.
        UnsupportedError: it is of no kind that is known.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from error
    for name in importers.names():
        if importers[name].accepts(head):
            return name
    titles = ", ".join(importers[name].title for name in importers.names())
    raise UnsupportedError(
        f"{file} is not a model file that can be imported.",
        f"Export the model to one of: {titles}.",
    )
