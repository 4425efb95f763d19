"""Bring two models to graphs, pair their layers, and say in what they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DataError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Job
from toolkit import shelf
from toolkit.anatomy import total_macs, zipped
from toolkit.comparison.answers import Answers, Fed, affordable, answers_of, layer_errors, taken
from toolkit.comparison.difference import differences, rescaled
from toolkit.comparison.ends import seen
from toolkit.comparison.nearness import weight_error
from toolkit.comparison.pairing import Pair, flattened, pairs_of
from toolkit.comparison.parts import Part, Parts, parts_of
from toolkit.data.dataset import Dataset
from toolkit.data.sampling import thinned
from toolkit.importers import Given
from toolkit.inspection import Opened, open_subject
from toolkit.onnx_graph import operators
from toolkit.results import Compared, LayerPair, OperatorCount, Side
from toolkit.workspace import Workspace

PARTING = 1e-3  # of what a layer gives: float kernels that add in another order stay below
NOTHING = Answers((), None, 0)


def compare(
    first: str,
    second: str,
    data: str | None,
    workspace: Path | None,
    given: Given,
    job: Job = QUIET,
) -> Compared:
    """Two files, models or artifacts side by side; with a dataset, on its items.

    Raises:
        UnknownNameError: one of them is neither a file nor known to the workspace.
        DataError: the dataset holds what neither of them takes.
    """
    dataset = shelf.dataset(Workspace.find(workspace), data) if data else None
    sides = [side_named(subject, given, workspace, job) for subject in (first, second)]
    parts = [parts_of(side.graph) for side in sides]
    pairs = pairs_of(parts[0].layers, parts[1].layers, job)
    layers = [row_of(pair, parts[0].layers, parts[1].layers) for pair in pairs]
    told = [side_of(side) for side in sides]
    answers, notes = NOTHING, reasons(sides, dataset)
    if dataset and not notes:
        fed = fed_with(sides, dataset, max(side.macs for side in told))
        answers = answers_of(*fed, job)
        layers = with_errors(layers, pairs, parts, fed, job)
    differ = tuple(differences(sides, parts, layers, answers))
    same = () if differ else ("Nothing was found in which they differ.",)
    return Compared(
        told[0],
        told[1],
        differ,
        tuple(operator_counts(*(operators(side.graph) for side in sides))),
        tuple(layers),
        answers.outputs,
        answers.agreement,
        answers.samples,
        parting(layers),
        (*same, *notes, *rescaled(pairs, parts)),
        next=() if data or notes else (f"sanderling diff {first} {second} --data DATA",),
    )


def side_named(subject: str, given: Given, workspace: Path | None, job: Job) -> Opened:
    """One of the two; an error says which it is about."""
    try:
        return open_subject(subject, given, workspace, job)
    except (IntegrityError, UnsupportedError) as error:
        if subject in str(error):
            raise
        raise type(error)(f"{subject}: {error}", error.hint) from error


def side_of(opened: Opened) -> Side:
    return Side(
        opened.subject,
        opened.format,
        opened.size_bytes,
        zipped(opened.data),
        opened.model.parameters,
        total_macs(opened.graph),
    )


def operator_counts(first: dict[str, int], second: dict[str, int]) -> Iterator[OperatorCount]:
    for name in sorted({*first, *second}):
        yield OperatorCount(name, first.get(name, 0), second.get(name, 0))


def row_of(pair: Pair, first: Sequence[Part], second: Sequence[Part]) -> LayerPair:
    a = None if pair.first is None else first[pair.first]
    b = None if pair.second is None else second[pair.second]
    error = None
    if pair.first is not None and a and b:
        error = weight_error(a, b, flattened(first, pair.first))
    return LayerPair(
        a.name if a else "",
        b.name if b else "",
        "/".join(dict.fromkeys(part.op for part in (a, b) if part)),
        pair.by,
        shape_text(a),
        shape_text(b),
        a.bits if a else None,
        b.bits if b else None,
        error,
        None,
    )


def shape_text(part: Part | None) -> str:
    return "×".join(str(size) for size in part.shape) if part else ""


def reasons(sides: Sequence[Opened], data: Dataset | None) -> tuple[str, ...]:
    """Why the answers of two models cannot be compared; nothing where they can."""
    signatures = [side.model.signature for side in sides]
    found = [
        f"Answers are not compared: {sides[0].subject} {verb} {shapes(mine)}, "
        f"{sides[1].subject} {shapes(other)}."
        for verb, mine, other in (
            ("takes", signatures[0].inputs, signatures[1].inputs),
            ("gives", signatures[0].outputs, signatures[1].outputs),
        )
        if sizes(mine) != sizes(other)
    ]
    if found or data is None:
        return tuple(found)
    [*fits] = (taken(signature, data.inputs[:1]) is not None for signature in signatures)
    if not any(fits):
        raise DataError(
            f"{sides[0].subject} takes {shapes(signatures[0].inputs)}; {data.name} holds "
            f"{list(data.facts.input.shape)}.",
            "Name a dataset with the models' own inputs.",
        )
    return tuple(
        f"Answers are not compared: {side.subject} does not take what {data.name} holds."
        for side, fits_here in zip(sides, fits, strict=True)
        if not fits_here
    )


def sizes(specs: Sequence[TensorSpec]) -> list[list[int]]:
    """Of one item, whatever the order of the axes."""
    return [sorted(spec.shape[1:]) for spec in specs]


def shapes(specs: Sequence[TensorSpec]) -> str:
    return " and ".join(str(list(spec.shape)) for spec in specs)


def fed_with(sides: Sequence[Opened], data: Dataset, macs: int) -> tuple[Fed, Fed]:
    items = thinned(data.inputs, affordable(macs, len(data.inputs)))
    made = []
    for side in sides:
        given = taken(side.model.signature, items)
        assert given is not None  # `reasons` has asked
        made.append(Fed(side.graph, side.model.signature, given))
    return made[0], made[1]


def with_errors(
    rows: Sequence[LayerPair],
    pairs: Sequence[Pair],
    parts: Sequence[Parts],
    fed: tuple[Fed, Fed],
    job: Job,
) -> list[LayerPair]:
    """The rows with what the data say of each pair of layers."""
    names = {
        index: seen(parts[0].layers[pair.first].end, parts[1].layers[pair.second].end)
        for index, pair in enumerate(pairs)
        if pair.first is not None and pair.second is not None
    }
    if not names:
        return list(rows)
    inner = [replace(each, graph=part.graph) for each, part in zip(fed, parts, strict=True)]
    errors = layer_errors(inner[0], inner[1], list(names.values()), job)
    known = dict(zip(names, errors, strict=True))
    return [replace(row, output_error=known.get(index)) for index, row in enumerate(rows)]


def parting(rows: Sequence[LayerPair]) -> str:
    for row in rows:
        if row.output_error is not None and row.output_error > PARTING:
            return row.first
    return ""
