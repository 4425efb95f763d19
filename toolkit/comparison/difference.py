"""In what two models differ, in a few words."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from edge_targets.runtime.contract import Signature
from toolkit.artifact import FLOAT_TOLERANCE
from toolkit.comparison.answers import Answers
from toolkit.comparison.nearness import apart, balanced, weight_error
from toolkit.comparison.pairing import NEAR, Pair, flattened
from toolkit.comparison.parts import Parts
from toolkit.inspection import Opened
from toolkit.onnx_graph import operators, parse
from toolkit.results import LayerPair

ROUNDING = 1e-5  # of weights: a batch norm put into its layer changes them by less


def differences(
    sides: Sequence[Opened], parts: Sequence[Parts], rows: Sequence[LayerPair], answers: Answers
) -> Iterator[str]:
    """In what two models differ, the plainest first."""
    a, b = sides
    said = list(outside(a, b)) + list(inside(rows))
    same_operators = operators(a.graph) == operators(b.graph)
    if not same_operators:
        said.append("operators")
    else:
        models = parse(a.graph), parse(b.graph)
        weights = [{name for part in each.layers for name in part.stored} for each in parts]
        if wiring(models[0]) != wiring(models[1]):
            said.append("settings or order of operators")
        if others(models[0], weights[0]) != others(models[1], weights[1]):
            said.append("constants beside the weights")
    if any(gap.relative > FLOAT_TOLERANCE for gap in answers.outputs):
        said.append("answers")
    if not said and a.data != b.data:
        said.append("names or order inside the file")
    yield from said


def outside(a: Opened, b: Opened) -> Iterator[str]:
    first, second = a.model.signature, b.model.signature
    for word, differs in (
        ("format", a.format != b.format),
        ("inputs", ends(first, "inputs") != ends(second, "inputs")),
        ("outputs", ends(first, "outputs") != ends(second, "outputs")),
        ("labels", first.labels != second.labels),
        ("opset", a.opset and b.opset and a.opset != b.opset),
        ("metadata", dict(a.metadata) != dict(b.metadata)),
    ):
        if differs:
            yield word


def ends(signature: Signature, which: str) -> list[tuple[str, tuple[int, ...], str]]:
    return [(spec.name, spec.shape, spec.dtype) for spec in getattr(signature, which)]


def inside(rows: Sequence[LayerPair]) -> Iterator[str]:
    paired = [row for row in rows if row.first and row.second]
    for words, count in (
        ("{} only in the first", sum(not row.second for row in rows)),
        ("{} only in the second", sum(not row.first for row in rows)),
        ("shape of {}", sum(row.shape_first != row.shape_second for row in paired)),
        ("bits of {}", sum(row.bits_first != row.bits_second for row in paired)),
        ("weights of {}", sum((row.weight_error or 0.0) > ROUNDING for row in paired)),
    ):
        if count:
            yield words.format(layers_text(count))


def layers_text(count: int) -> str:
    return f"{count} layer{'s' * (count > 1)}"


def wiring(model: Any) -> list[tuple[object, ...]]:
    """Operators with their settings and what they read, by number: names do not count."""
    numbers: dict[str, int] = {}
    for value in (*model.graph.input, *model.graph.initializer):
        numbers.setdefault(value.name, -1)
    for index, value in enumerate(model.graph.input):
        numbers[value.name] = index
    found: list[tuple[object, ...]] = []
    for node in model.graph.node:
        settings = sorted(given.SerializeToString(deterministic=True) for given in node.attribute)
        found.append((node.op_type, [numbers.get(name) for name in node.input], settings))
        for name in node.output:
            numbers[name] = len(numbers)
    return found


def others(model: Any, weights: set[str]) -> Counter[str]:
    """Stored numbers other than the weights, whatever they are called."""
    from onnx import numpy_helper

    found: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        if tensor.name not in weights:
            values = numpy_helper.to_array(tensor)
            found[hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()] += 1
    return found


def rescaled(pairs: Sequence[Pair], parts: Sequence[Parts]) -> Iterator[str]:
    """What to make of weights that differ much and are the same all the same."""
    first, second = (each.layers for each in parts)
    count = 0
    for pair in pairs:
        if pair.first is None or pair.second is None:
            continue
        a, b = first[pair.first], second[pair.second]
        channels = flattened(first, pair.first)
        error = weight_error(a, b, channels)
        if error is not None and error > NEAR:
            count += apart(balanced(a), balanced(b), channels, NEAR) is not None
    if count:
        yield (
            f"Weights of {layers_text(count)} are the same up to a factor for each channel, as "
            "equalization or batch norms leave them."
        )
