"""What a model file says of itself: its classes, and how its inputs were prepared."""

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

from edge_targets.runtime.contract import Signature
from toolkit.onnx_graph import nodes_of

MOST_ENTRIES = 200
MOST_TEXT = 64 << 10  # characters of one entry: ten thousand classes
MOST_LABEL = 200  # characters of a label that still names something
MOST_LABELS = 20_000
LABELS = ("labels", "class_names", "classes", "names", "categories", "id2label", "label_names")
PREPARED = ("mean", "std", "scale", "normali", "preprocess", "resize", "rescale")
SHOWN = 120  # characters of a value in a note
OPENERS = "[{("


def metadata_of(model: Any) -> dict[str, str]:
    """The file's own words, without what is too long for words."""
    found = {
        pair.key: pair.value
        for pair in model.metadata_props[:MOST_ENTRIES]
        if len(pair.key) <= MOST_LABEL and len(pair.value) <= MOST_TEXT
    }
    maker = f"{model.producer_name} {model.producer_version}".strip()
    return {**({"producer": maker[:MOST_LABEL]} if maker else {}), **found}


def named(
    signature: Signature, metadata: Mapping[str, str], model: Any
) -> tuple[tuple[str, ...], list[str]]:
    """Labels for the classes of the first output where their number fits; and what was found."""
    output = signature.outputs[0]
    classes = output.shape[1] if len(output.shape) == 2 else 0
    notes = []
    for source, labels in candidates(metadata, model):
        if len(labels) == classes:
            return labels, [f"The names of its {classes} classes are from {source}."]
        notes.append(
            f"{source} names {len(labels)} classes, and the first output has shape "
            f"{list(output.shape)}: the names were left out."
        )
    return (), notes


def candidates(metadata: Mapping[str, str], model: Any) -> Iterable[tuple[str, tuple[str, ...]]]:
    words = {key.lower().rpartition(".")[2]: key for key in metadata}
    for name in LABELS:
        if name in words and (labels := labels_in(metadata[words[name]])):
            yield f"its metadata {words[name]!r}", labels
    for node in nodes_of(model.graph):
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels_"):
                texts = [text.decode(errors="replace") for text in attribute.strings]
                texts += [str(number) for number in attribute.ints]
                if labels := usable(tuple(texts)):
                    yield f"its node {node.op_type}", labels


def labels_in(text: str) -> tuple[str, ...]:
    """JSON, a Python literal as ultralytics writes it, or words between commas or lines."""
    text = text.strip()
    if text[:1] in OPENERS:
        return labels_of(literal(text))
    between = "\n" if "\n" in text else ","
    return usable(tuple(part.strip() for part in text.split(between) if part.strip()))


def literal(text: str) -> Any:
    """The value that a text writes down; None where it writes none. Nothing is executed."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def labels_of(value: Any) -> tuple[str, ...]:
    """A list of names, or a table from numbers to names (or from names to numbers)."""
    if isinstance(value, Mapping):
        if all(isinstance(number, int) for number in value.values()):
            value = {number: name for name, number in value.items()}
        try:
            numbered = {int(key): name for key, name in value.items()}
        except (TypeError, ValueError):
            return ()
        if sorted(numbered) != list(range(len(numbered))):
            return ()
        value = [numbered[key] for key in sorted(numbered)]
    if not isinstance(value, list | tuple):
        return ()
    if not all(isinstance(one, str | int | float) for one in value):
        return ()
    return usable(tuple(str(one) for one in value))


def usable(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels that a page can show and that tell classes apart; else none."""
    fits = 1 < len(labels) <= MOST_LABELS and len(set(labels)) == len(labels)
    return labels if fits and all(0 < len(one) <= MOST_LABEL for one in labels) else ()


def hints(metadata: Mapping[str, str]) -> list[str]:
    """How inputs were prepared, as far as the file says: not applied, only said."""
    found = [
        f"{key} = {value[:SHOWN]}"
        for key, value in metadata.items()
        if any(word in key.lower() for word in PREPARED) and key != "producer"
    ]
    if not found:
        return []
    return [f"The file says how its inputs were prepared: {'; '.join(found)}. Prepare them so."]
