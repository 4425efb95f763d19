"""TorchScript archives (`torch.jit.save`), checked before torch reads them.

TorchScript is no Python, and its pickles are read by a reader that builds tensors and its own
classes only. But it can write and read files (`torch.save`, `torch.from_file`), already while it
is loaded, and call operators of any library: programs with such words are not loaded.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import UnsupportedError
from toolkit.opening.archive import members

GAP = r"(?:\s|\\|#[^\n]*\n)*"  # what may stand between two words of an expression
FILES = re.compile(rf"\.{GAP}(?:save|from_file)\b")
LOOKUP = re.compile(r"\bgetattr\b")
PLAIN_LOOKUP = re.compile(r'\bgetattr\((?!torch\b|ops\b)\w+, "(?!save"|from_file")\w+"\)')
LIBRARY = re.compile(r"\bops\b")
KNOWN_LIBRARY = re.compile(r"\bops\.(?:prim|aten|quantized)\.(?!rpc|Python|Ignored)\w+")
CLASSES = re.compile(rb"torch\.classes\.(?!quantized\b)")
TRACED = "traced_inputs"


def refuse_unsafe(held: Mapping[str, bytes], path: Path) -> None:
    """Programs that could touch files, or need a library of their own.

    Raises:
        UnsupportedError: it is such a program.
    """
    for name, content in held.items():
        if CLASSES.search(content) and (name.endswith(".pkl") or name.startswith("code/")):
            raise foreign(path, "a class that needs a library of its own")
        if not (name.startswith("code/") and name.endswith(".py")):
            continue
        text = content.decode(errors="replace")
        if FILES.search(text) or len(LOOKUP.findall(text)) != len(PLAIN_LOOKUP.findall(text)):
            raise UnsupportedError(
                f"{path} holds a program that may read or write files ({name}): it was not loaded.",
                "Take save, from_file and getattr out of the model, and export it again.",
            )
        if len(LIBRARY.findall(text)) != len(KNOWN_LIBRARY.findall(text)):
            raise foreign(path, "operators that need a library of their own")


def foreign(path: Path, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{path} uses {what}: it was not loaded.",
        "Write the model with torch's own operators and classes, and export it again.",
    )


def traced_inputs(held: Mapping[str, bytes]) -> tuple[Any, ...]:
    """What the program was traced with, where the archive tells; its shapes are the inputs'."""
    import torch
    from torch.jit import _pickle

    pickle = held.get(f"{TRACED}.pkl")
    if pickle is None:
        return ()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("a/data.pkl", pickle)
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/byteorder", b"little")
        for name in held:
            if name.startswith(f"{TRACED}/"):  # the numbers themselves are not kept by torch
                archive.writestr(f"a/data/{name.rpartition('/')[2]}", b"")
    written.seek(0)
    try:
        # `restore_type_tag` gives back its first argument, and does nothing else
        with torch.serialization.safe_globals([_pickle.restore_type_tag]):
            found = torch.load(written, weights_only=True, map_location="meta")["forward"]
    except Exception:  # noqa: BLE001 - only a hint: the user can say the shapes as well
        return ()
    return tuple(found) if all(isinstance(one, torch.Tensor) for one in found) else ()


def checked(path: Path) -> Mapping[str, bytes]:
    held = members(path)
    refuse_unsafe(held, path)
    return held
