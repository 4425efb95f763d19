"""Which numbers of a prediction are watched, and how the plain way reads them.

A table's input gives one feature a column. Any other input gives its values and each item's mean
and standard deviation, of large items at about a thousand evenly spaced places: a shift of light
shows there as well, and watching costs the same however large a picture is. A classifier's output
gives `confidence` (the largest share), `label` (its index) and, where it may abstain, `abstained`;
any other output one feature a column. A name that is taken gets its tensor's before it: an input
column `label` is `features.label`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from edge_targets.runtime.contract import Abstention, Signature, Tensor

LANES = 64  # partial sums of an item: one order of adding, which an array's arithmetic can keep
MAX_AN_ITEM = 1024  # values read of one item: a picture of 32×32

Shapes = Mapping[str, tuple[int, ...]]  # of one item, by the tensor's name


@dataclass(frozen=True)
class Feature:
    """One watched number.

    Attributes:
        name: in profiles.
        tensor: the input or output it is read from.
        output: whether that is an output.
        reading: `column`, `value`, `mean`, `std`, `confidence`, `label` or `abstained`.
        column: of the item's flat values, for a `column`.
    """

    name: str
    tensor: str
    output: bool
    reading: str
    column: int = 0


def watched(
    signature: Signature, inputs: Shapes, outputs: Shapes, abstention: Abstention | None = None
) -> tuple[Feature, ...]:
    """The features of a model, in the order of profiles."""
    given: list[Feature] = []
    for spec in signature.outputs:
        if signature.labels and spec == signature.outputs[0]:
            readings = ["confidence", "label", *(["abstained"] if abstention else [])]
            given += [Feature(reading, spec.name, True, reading) for reading in readings]
        else:
            width = math.prod(outputs[spec.name])
            found = _columns(spec.name, spec.columns, width, output=True)
            given += apart(found, {feature.name for feature in given})
    seen: list[Feature] = []
    for spec in signature.inputs:
        if len(spec.shape) == 2:
            found = _columns(spec.name, spec.columns, math.prod(inputs[spec.name]), output=False)
        else:
            titles = {"value": spec.name, "mean": f"{spec.name}.mean", "std": f"{spec.name}.std"}
            found = [Feature(title, spec.name, False, reading) for reading, title in titles.items()]
        seen += apart(found, {feature.name for feature in [*seen, *given]})
    return (*seen, *given)


def _columns(name: str, names: Sequence[str], width: int, *, output: bool) -> list[Feature]:
    titles = names or ([f"{name}[{i}]" for i in range(width)] if width != 1 else [name])
    return [Feature(title, name, output, "column", i) for i, title in enumerate(titles)]


def thinned(size: int) -> int:
    """The step from one value that is read to the next, of an item of so many.

    It shares no divisor with the size, so that it walks through all channels and columns.
    """
    step = -(-size // MAX_AN_ITEM)
    while math.gcd(step, size) > 1:
        step += 1
    return max(step, 1)


def apart(seen: Sequence[Feature], taken: Collection[str]) -> list[Feature]:
    """The same features under names that are not taken."""
    titles = {feature.name for feature in seen}
    found: list[Feature] = []
    for feature in seen:
        name = feature.name
        while name in taken or (name != feature.name and name in titles):
            name = f"{feature.tensor}.{name}"
        found.append(replace(feature, name=name))
    return found


def features(
    signature: Signature,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    abstention: Abstention | None = None,
) -> dict[str, list[float]]:
    """The watched numbers of a batch, by feature name."""
    found: dict[str, list[float]] = {}
    read: dict[tuple[str, bool], list[list[float]]] = {}
    moments: dict[str, list[tuple[float, float]]] = {}
    for feature in watched(signature, item_shapes(inputs), item_shapes(outputs), abstention):
        key = (feature.tensor, feature.output)
        if key not in read:
            tensor = (outputs if feature.output else inputs)[feature.tensor]
            items = tensor.rows()
            if feature.reading == "value":
                step = thinned(len(items[0]))
                items = [row[::step] for row in items]
            # Python's own numbers: sums of float32 would differ from one machine to the next
            read[key] = [list(map(float, row)) for row in items]
        rows = read[key]
        match feature.reading:
            case "value":
                values = [value for row in rows for value in row]
            case "mean" | "std":
                if feature.tensor not in moments:
                    moments[feature.tensor] = [mean_and_deviation(row) for row in rows]
                place = feature.reading == "std"
                values = [moment[place] for moment in moments[feature.tensor]]
            case "confidence":
                values = [row[best(row)] for row in rows]
            case "label":
                values = [float(best(row)) for row in rows]
            case "abstained":
                assert abstention is not None
                values = [float(abstention.abstains(row[best(row)])) for row in rows]
            case _:
                values = [row[feature.column] for row in rows]
        found[feature.name] = values
    return found


def item_shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape[1:] for name, tensor in tensors.items()}


def best(row: Sequence[float]) -> int:
    """Index of the largest share; of equals the first. What is no number is larger than none."""
    found, most = 0, row[0]
    for index, value in enumerate(row):
        if value > most:
            found, most = index, value
    return found


def mean_and_deviation(row: Sequence[float]) -> tuple[float, float]:
    size = max(len(row), 1)
    mean = lane_sum(row) / size
    gaps = [value - mean for value in row]
    return mean, math.sqrt(lane_sum([gap * gap for gap in gaps]) / size)


def lane_sum(values: Sequence[float]) -> float:
    """The sum, in one order everywhere: `sum` itself rounds differently since Python 3.12."""
    lanes = [0.0] * LANES
    whole = len(values) // LANES * LANES
    for start in range(0, whole, LANES):
        lanes = list(map(add, lanes, values[start : start + LANES]))
    rest = values[whole:]
    lanes[: len(rest)] = map(add, lanes, rest)
    return reduce(add, lanes)
