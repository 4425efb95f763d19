"""Where datasets come from; one file per source."""

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.registry import Registry
from toolkit.data.sources.base import Samples, Source

__all__ = ["Samples", "Source", "source_for", "sources"]

sources = Registry(__name__, Source)


def source_for(location: str) -> str:
    """The name of the source that reads `location`."""
    try:
        for name in sources.names():
            if sources[name].accepts(location):
                return name
    except OSError as error:
        raise DataError(
            f"{location} cannot be read: {error}.", "Check the path, and who may read it."
        ) from error
    raise DataError(
        f"{location} is no data that can be read.",
        "Give `digits`, a .csv file, or a folder with one folder of images or sounds a class.",
    )
