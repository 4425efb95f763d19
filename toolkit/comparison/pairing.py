"""Which layer of one model is which of the other.

By name; then by nearly equal weights; then by kind, place and shape: what is left between two
layers that are paired already is aligned in order (Needleman and Wunsch 1970).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_targets.runtime.events import Job
from toolkit.comparison.nearness import apart, balanced, cut_down, same_size
from toolkit.comparison.parts import Part

NEAR = 0.3  # of the weights: int4 lies below, and two trained layers at about 1.4
EQUAL, CUT = 3, 1  # what it is worth to align layers of one shape, or one cut from the other


@dataclass(frozen=True)
class Pair:
    """Places of two layers; None where there is no counterpart."""

    first: int | None
    second: int | None
    by: str = ""


def pairs_of(first: Sequence[Part], second: Sequence[Part], job: Job) -> tuple[Pair, ...]:
    """Every layer of both, each once, in the order of the first model."""
    found = by_name(first, second)
    found += by_weights(first, second, found, job)
    found += by_shape(first, second, found)
    return tuple(in_order(found, len(first), len(second)))


def by_name(first: Sequence[Part], second: Sequence[Part]) -> list[Pair]:
    places = {part.key: j for j, part in reversed(list(enumerate(second))) if part.key}
    found = []
    for i, part in enumerate(first):
        j = places.get(part.key)
        if j is not None and alike(part, second[j]):
            found.append(Pair(i, places.pop(part.key), "name"))
    return found


def alike(first: Part, second: Part) -> bool:
    """Whether two layers can be the same one, changed."""
    return same_size(first, second) or cut_down(first, second)


def by_weights(
    first: Sequence[Part], second: Sequence[Part], known: Sequence[Pair], job: Job
) -> list[Pair]:
    """The nearest first; of equals, those at the most similar place."""
    free = left(first, [pair.first for pair in known])
    others = left(second, [pair.second for pair in known])
    plain = {j: balanced(second[j]) for j in others}
    errors = []
    for i in job.track(free, "compare weights"):
        ours, channels = balanced(first[i]), flattened(first, i)
        for j in others:
            if same_size(first[i], second[j]):
                error = apart(ours, plain[j], channels, NEAR)
                if error is not None:
                    errors.append((error, abs(i - j), i, j))
    found: list[Pair] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, _, i, j in sorted(errors):
        if i not in taken[0] and j not in taken[1]:
            found.append(Pair(i, j, "weights"))
            taken[0].add(i)
            taken[1].add(j)
    return found


def flattened(parts: Sequence[Part], place: int) -> int:
    """Channels of the picture that a dense layer may take flattened; 0 where it takes none."""
    if parts[place].kind != "dense":
        return 0
    for before in reversed(parts[:place]):
        if before.kind != "dense":
            return before.shape[0]
    return 0


def left(parts: Sequence[Part], used: Sequence[int | None]) -> list[int]:
    taken = {*used}
    return [i for i in range(len(parts)) if i not in taken]


def by_shape(first: Sequence[Part], second: Sequence[Part], known: Sequence[Pair]) -> list[Pair]:
    """What is left, in order, between the layers that are paired."""
    ends = [[p.first for p in known], [p.second for p in known]]
    gaps: list[dict[int, list[int]]] = []
    for parts, used in zip((first, second), ends, strict=True):
        places = sorted(place for place in used if place is not None)
        by_gap: dict[int, list[int]] = {}
        for place in left(parts, used):
            by_gap.setdefault(sum(one < place for one in places), []).append(place)
        gaps.append(by_gap)
    found = []
    for gap, places in gaps[0].items():
        found += aligned(first, second, places, gaps[1].get(gap, []))
    return found


def aligned(
    first: Sequence[Part], second: Sequence[Part], ours: Sequence[int], theirs: Sequence[int]
) -> list[Pair]:
    """The alignment in order that is worth the most."""
    rows, columns = len(ours), len(theirs)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    worth = [[value_of(first[i], second[j]) for j in theirs] for i in ours]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            paired = best[i + 1][j + 1] + worth[i][j]
            best[i][j] = max(best[i + 1][j], best[i][j + 1], paired)
    found, i, j = [], 0, 0
    while i < rows and j < columns:
        if worth[i][j] and best[i][j] == best[i + 1][j + 1] + worth[i][j]:
            found.append(Pair(ours[i], theirs[j], "shape"))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def value_of(first: Part, second: Part) -> int:
    if first.kind == second.kind and same_size(first, second):
        return EQUAL
    return CUT if cut_down(first, second) else 0


def in_order(found: Sequence[Pair], rows: int, columns: int) -> Iterator[Pair]:
    """With those that have no counterpart where they stand in their model."""
    by_first = {pair.first: pair for pair in found}
    paired = {pair.second for pair in found}
    told: set[int] = set()
    for i in range(rows):
        pair = by_first.get(i, Pair(i, None))
        if pair.second is not None:
            for j in range(pair.second):
                if j not in paired and j not in told:
                    told.add(j)
                    yield Pair(None, j)
        yield pair
    yield from (Pair(None, j) for j in range(columns) if j not in paired and j not in told)
