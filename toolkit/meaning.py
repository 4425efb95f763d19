"""What a user says of a model beyond its file: what its numbers mean, and what its classes are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import DataError, UnknownNameError, UsageError

MOST_LABELS = 100_000
LONGEST_LABEL = 200  # characters
MOST_BYTES = 4 << 20  # of a label file
FREE = -1
ROW = 2  # axes: the batch, and the numbers of an item
LARGEST = (1 << 31) - 1  # of a size: what the formats count with
LIKE = "Write it like --shape image=1,3,224,224, the batch first."


@dataclass(frozen=True)
class Told:
    """Corrections to a Signature.

    Attributes:
        labels: names of the classes of the first output; none: as the file says.
        meanings: what a value stands for, by input or output; `units` likewise.
    """

    labels: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "meanings": dict(self.meanings),
            "units": dict(self.units),
        }

    def applied(self, signature: Signature) -> Signature:
        """The signature with what was told.

        Raises:
            UnknownNameError: an input or output that the model does not have.
            DataError: not as many labels as classes.
        """
        ends = (*signature.inputs, *signature.outputs)
        known = [spec.name for spec in ends]
        for name in (*self.meanings, *self.units):
            if name not in known:
                raise UnknownNameError("input or output", name, known)
        made = replace(
            signature,
            inputs=tuple(self.named(spec) for spec in signature.inputs),
            outputs=tuple(self.named(spec) for spec in signature.outputs),
        )
        if not self.labels:
            return made
        first = signature.outputs[0]
        if len(first.shape) != 2 or first.shape[1] != len(self.labels):
            raise DataError(
                f"{len(self.labels)} labels are given; {first.name!r}, the first output, has the "
                f"shape {list(first.shape)}.",
                "Give one label a class, in the order of the classes.",
            )
        return replace(made, labels=self.labels)

    def named(self, spec: TensorSpec) -> TensorSpec:
        return replace(
            spec,
            meaning=self.meanings.get(spec.name, spec.meaning),
            unit=self.units.get(spec.name, spec.unit),
        )


def told(labels: Path | None, meanings: Sequence[str], units: Sequence[str]) -> Told:
    """Of what a user typed."""
    return Told(
        labels_of(labels) if labels else (),
        named_words(meanings, "--meaning"),
        named_words(units, "--unit"),
    )


def questions(signature: Signature) -> tuple[str, ...]:
    """What a file has not said, and how the user says it."""
    found = []
    if signature.labels and signature.labels == tuple(map(str, range(len(signature.labels)))):
        found.append(
            f"Its {len(signature.labels)} classes are numbered: name them with --labels FILE."
        )
    found += [
        asked(spec)
        for spec in signature.inputs
        if not spec.unit and not spec.columns and spec.dtype.startswith("float")
        if len(spec.shape) != ROW or not spec.meaning
    ]
    return tuple(found)


def asked(spec: TensorSpec) -> str:
    if len(spec.shape) == ROW:
        return (
            f"What the {spec.shape[1]} numbers of {spec.name} stand for is not known: a dataset "
            f"with their columns says it (--data), or words (--meaning {spec.name}=WORDS)."
        )
    return (
        f"In what range or unit {spec.name} comes is not known: "
        f"say it with --unit {spec.name}=0-255, for example."
    )


def named_words(words: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=WORDS`, each."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(
                f"{option} {word}: there is no '='.", f"Write it like {option} image=WORDS."
            )
        if name in found:
            raise UsageError(f"{option} says {name} twice.", "Say it once.")
        found[name] = value
    return found


def shapes_of(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`NAME=1,3,224,224`, each; the batch, first, may be -1: any number."""
    found = {}
    for name, text in named_words(words, "--shape").items():
        try:
            sizes = tuple(int(size) for size in text.split(","))
        except ValueError as error:
            raise UsageError(
                f"--shape {name}={text}: sizes are whole numbers.",
                LIKE,
            ) from error
        if any(size < 1 for size in sizes[1:]):
            raise UsageError(
                f"--shape {name}={text}: only the batch, which is first, may be free.", LIKE
            )
        if not (sizes[0] == FREE or sizes[0] > 0):
            raise UsageError(
                f"--shape {name}={text}: the batch, first, is at least 1, or {FREE} for any.",
                LIKE,
            )
        if max(sizes) > LARGEST:
            raise UsageError(f"--shape {name}={text}: no size goes beyond {LARGEST:,}.", LIKE)
        found[name] = sizes
    return found


def labels_of(path: Path) -> tuple[str, ...]:
    """The lines of a text file; an empty one at its end is none.

    Raises:
        DataError: the file cannot be read, or does not hold one class a line.
    """
    hint = "Give a text file with the name of one class a line, in the order of the classes."
    try:
        if path.exists() and not path.is_file():  # to read a pipe would wait for ever
            raise DataError(f"{path} is not a regular file.", hint)
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES:,} bytes.", hint)
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise DataError(f"{path} cannot be read: {why}.", hint) from error
    labels = tuple(line.strip() for line in lines)
    while labels and not labels[-1]:
        labels = labels[:-1]
    for number, label in enumerate(labels, 1):
        if not label:
            raise DataError(f"Line {number} of {path} is empty.", hint)
        if len(label) > LONGEST_LABEL:
            raise DataError(
                f"Line {number} of {path} has more than {LONGEST_LABEL} characters.", hint
            )
        if labels.index(label) < number - 1:
            raise DataError(f"Line {number} of {path} names {label!r} again.", hint)
    if len(labels) > MOST_LABELS or not labels:
        raise DataError(f"{path} holds {len(labels):,} labels.", hint)
    return labels
