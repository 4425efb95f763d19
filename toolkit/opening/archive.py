"""The zip archives that torch writes: their members, within bounds."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from edge_targets.runtime.errors import IntegrityError
from toolkit.importers.base import MOST_MEMBERS, Source

SWELL = 4  # times its size an archive may unpack to: torch stores its numbers as they are
SPARE = 1 << 20  # bytes, for small archives of text


def inside(source: Source) -> frozenset[str]:
    """The names in an archive, without the one folder that torch puts around them all."""
    return frozenset(without_folder(name) for name in source.members)


def without_folder(name: str) -> str:
    return name.partition("/")[2]


def members(path: Path) -> Mapping[str, bytes]:
    """What every member holds, by its name without the folder around all.

    Raises:
        IntegrityError: the archive is damaged, or unpacks to far more than it should.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            held = sum(info.file_size for info in infos)
            swollen = len(infos) > MOST_MEMBERS or held > SWELL * path.stat().st_size + SPARE
            found = {} if swollen else {without_folder(i.filename): archive.read(i) for i in infos}
    except Exception as error:  # zipfile lets the errors of its decompressors through
        raise damaged(path, error) from error
    if swollen:
        raise IntegrityError(
            f"{path} would unpack to {held:,} bytes in {len(infos):,} files.",
            "It is damaged, or made to break readers: export it again.",
        )
    return found


def damaged(path: Path, error: BaseException) -> IntegrityError:
    said = " ".join(str(error).split()) or type(error).__name__
    return IntegrityError(f"{path} is damaged: {said[:200]}.", "Copy or export the file again.")
