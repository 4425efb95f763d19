"""The kernel's command line: cmdline.txt on the boot partition, one line of words."""

from collections.abc import Sequence

from edge_targets.runtime.errors import DataError


def changed(before: bytes, old: tuple[str, ...], new: Sequence[str]) -> bytes:
    """The line with `new` words in place of those that begin with one of `old`.

    Raises:
        DataError: it is no command line.
    """
    try:
        words = before.decode("ascii").split()
    except UnicodeDecodeError as error:
        raise DataError("The image's cmdline.txt is damaged.", "Get the image again.") from error
    kept = [word for word in words if not word.startswith(old)]
    return (" ".join([*kept, *new]) + "\n").encode()
