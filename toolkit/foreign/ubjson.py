"""Universal Binary JSON (draft 12, ubjson.org), as far as XGBoost writes it.

Numbers are big-endian; an array may give the type and the count of its values once, at its head.
"""

from typing import Any

import numpy as np

NUMBERS = {
    b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8",
}  # fmt: skip
WORDS = {b"T": True, b"F": False, b"Z": None}
DEEPEST = 100  # of a value inside values; a model has ten


class Reader:
    """Walks through the bytes once, and never past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.data):
            raise ValueError(f"it ends before byte {self.place + count:,}")
        self.place += count
        return self.data[self.place - count : self.place]

    def count(self) -> int:
        kind = self.take(1)
        if kind not in NUMBERS or kind in b"dD":
            raise ValueError(f"no length at byte {self.place:,}")
        return int(self.number(kind))

    def number(self, kind: bytes) -> int | float:
        dtype = np.dtype(NUMBERS[kind])
        value: int | float = np.frombuffer(self.take(dtype.itemsize), dtype)[0].item()
        return value

    def text(self) -> str:
        return self.take(self.count()).decode()

    def value(self, kind: bytes = b"", depth: int = 0) -> Any:
        """One value; its type is read unless it is known.

        Raises:
            ValueError: this is no such value.
        """
        kind = kind or self.take(1)
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind in WORDS:
            return WORDS[kind]
        if kind in NUMBERS:
            return self.number(kind)
        if kind == b"S":
            return self.text()
        if kind == b"C":
            return self.take(1).decode()
        if kind == b"[":
            return self.array(depth)
        if kind == b"{":
            return self.mapping(depth)
        raise ValueError(f"no value at byte {self.place:,}")

    def array(self, depth: int) -> list[Any]:
        kind = b""
        if self.peek(b"$"):
            kind = self.take(1)
        if self.peek(b"#"):
            count = self.count()
            if kind in NUMBERS:
                dtype = np.dtype(NUMBERS[kind])
                return list(np.frombuffer(self.take(count * dtype.itemsize), dtype).tolist())
            if count > len(self.data):
                raise ValueError("an array is longer than the file")
            return [self.value(kind, depth + 1) for _ in range(count)]
        if kind:
            raise ValueError("an array has a type and no count")
        found = []
        while not self.peek(b"]"):
            found.append(self.value(depth=depth + 1))
        return found

    def mapping(self, depth: int) -> dict[str, Any]:
        found = {}
        while not self.peek(b"}"):
            name = self.text()
            found[name] = self.value(depth=depth + 1)
        return found

    def peek(self, mark: bytes) -> bool:
        """Whether a mark comes next; it is passed then."""
        here = self.data[self.place : self.place + 1] == mark
        self.place += here
        return here


def read(data: bytes) -> Any:
    """The value in a file.

    Raises:
        ValueError: it is no UBJSON.
    """
    return Reader(data).value()
