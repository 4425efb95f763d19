"""Large JSON, read so that other threads go on, and that numbers take the room of numbers.

`json.loads` reads all of a text in one step, which no other thread interrupts: for the golden
inputs of an image model that is a second on a small board, in which its agent would answer nobody.
Here a long list of numbers is read piece by piece with a rest after each, and numbers that all
have a fraction become an array of the standard library: 8 bytes each, not 32.
"""

import json
import time
from array import array
from json.decoder import JSONArray, JSONDecoder  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

LARGE = 64 << 10  # characters: what is shorter is read in a millisecond or two
PIECE = 8 << 10  # characters: a fraction of a millisecond on a small board
REST_S = 0.0001  # the least that lets whoever waits for the interpreter have it


def loads(text: str | bytes) -> Any:
    """What `json.loads` gives, but for long lists of floats, which are arrays.

    Raises:
        ValueError, RecursionError: as `json.loads`.
    """
    if len(text) < LARGE:
        return json.loads(text)
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text))
    return InPieces().decode(text)


class InPieces(JSONDecoder):
    """Lists are found one by one, which the decoder that is written in C does not let us do."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_array = self.read_list
        self.scan_once = py_make_scanner(self)

    def read_list(self, where: tuple[str, int], scan_once: Any) -> tuple[Any, int]:
        text, begin = where
        end = text.find("]", begin)
        if end < 0 or any(text.find(mark, begin, end) >= 0 for mark in '[{"'):
            found: tuple[Any, int] = JSONArray(where, scan_once)
            return found
        if end - begin < PIECE:
            return json.loads(text[begin - 1 : end + 1]), end + 1
        return numbers(text, begin, end), end + 1


def numbers(text: str, begin: int, end: int) -> Any:
    """The list of numbers that stands between two places of a text."""
    found: Any = array("d")
    while begin <= end:
        comma = text.find(",", min(begin + PIECE, end), end)
        stop = comma if comma >= 0 else end
        piece = json.loads(f"[{text[begin:stop]}]")
        if not piece:
            raise json.JSONDecodeError("Expecting value", text, begin)
        if isinstance(found, array) and set(map(type, piece)) != {float}:
            found = found.tolist()
        found.extend(piece)
        begin = stop + 1
        time.sleep(REST_S)
    return found
