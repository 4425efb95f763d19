"""Where to draw the boxes and lines of a graph, from top to bottom.

The steps of Sugiyama, Tagawa and Toda (1981): boxes go on layers, long lines get a place on each
layer they cross, layers are ordered by the barycentre of the neighbours, and at last every box
goes as near to its neighbours as the order allows, which is an isotonic regression (pool adjacent
violators: Barlow et al. 1972).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SIDEWAYS, BELOW = 26.0, 34.0  # between boxes of one layer, and between layers
LANE = 12.0  # width of the place that a line takes on a layer it crosses
LONGEST = 120  # layers that a line keeps a place on; one that is longer is drawn over the boxes
SWEEPS, SETTLES = 3, 4  # down and up again: more change next to nothing
LIGHT = 0.001  # how much what reads nothing (a stored weight) counts beside what flows through
HOMEWARD = 0.8  # of its distance from the middle that a box keeps where ways join: no drift
STRAIGHT = 8.0  # how much more a line wants to stay straight than a box wants to be in the middle

Size = tuple[float, float]
Edge = tuple[int, int]
Spot = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """A box: its left upper corner, and its size."""

    x: float
    y: float
    width: float
    height: float
    layer: int

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class Drawing:
    """Boxes and lines in the order in which they were given; a line goes from spot to spot."""

    boxes: tuple[Place, ...]
    lines: tuple[tuple[Spot, ...], ...]
    width: float
    height: float


def layout(sizes: Sequence[Size], edges: Sequence[Edge]) -> Drawing:
    """Every edge goes down. Edges must lead from a lower number to a higher one."""
    if not sizes:
        return Drawing((), (), 0.0, 0.0)
    layers = longest_paths(len(sizes), edges)
    net = Net.of(sizes, edges, layers)
    for _ in range(SWEEPS):
        net.sweep()
    for _ in range(SETTLES):
        net.settle()
    return net.drawing(len(sizes), edges)


def longest_paths(count: int, edges: Sequence[Edge]) -> list[int]:
    """The layer of each box; what reads nothing stands right above its first reader."""
    after: list[list[int]] = [[] for _ in range(count)]
    layers, sources = [0] * count, [True] * count
    for start, end in edges:
        after[start].append(end)
        sources[end] = False
    for box in range(count):
        for end in after[box]:
            layers[end] = max(layers[end], layers[box] + 1)
    for box in range(count):
        if sources[box] and after[box]:
            layers[box] = min(layers[end] for end in after[box]) - 1
    return layers


class Net:
    """Boxes and the places of lines on each layer, in an order and at an x that get better."""

    def __init__(self, sizes: list[Size], layers: list[int]) -> None:
        self.sizes, self.layers = sizes, layers
        self.above: list[list[int]] = [[] for _ in sizes]
        self.below: list[list[int]] = [[] for _ in sizes]
        self.rows: list[list[int]] = []
        self.lanes: dict[int, list[int]] = {}  # places of the long lines of a box, downwards
        self.x: list[float] = []

    @classmethod
    def of(cls, sizes: Sequence[Size], edges: Sequence[Edge], layers: Sequence[int]) -> "Net":
        net = cls(list(sizes), list(layers))
        deepest: dict[int, int] = {}
        for start, end in edges:
            if layers[end] - layers[start] <= LONGEST:
                deepest[start] = max(deepest.get(start, 0), layers[end])
        for start, last in deepest.items():  # lines of one value share their way
            lane = net.lanes[start] = [start]
            for layer in range(layers[start] + 1, last):
                lane.append(net._add(layer))
                net._join(lane[-2], lane[-1])
        for start, end in edges:
            steps = layers[end] - layers[start]
            if steps <= LONGEST:
                net._join(net.lanes[start][steps - 1], end)
        net.rows = [[] for _ in range(max(net.layers) + 1)]
        for item, layer in enumerate(net.layers):
            net.rows[layer].append(item)
        net._spread()
        return net

    def _add(self, layer: int) -> int:
        self.sizes.append((LANE, 0.0))
        self.layers.append(layer)
        self.above.append([])
        self.below.append([])
        return len(self.sizes) - 1

    def _join(self, start: int, end: int) -> None:
        self.below[start].append(end)
        self.above[end].append(start)

    def _spread(self) -> None:
        self.x = [0.0] * len(self.sizes)
        for row in self.rows:
            at = -sum(self.sizes[item][0] + SIDEWAYS for item in row) / 2
            for item in row:
                self.x[item] = at + self.sizes[item][0] / 2
                at += self.sizes[item][0] + SIDEWAYS

    def sweep(self) -> None:
        """Order every layer by where its neighbours are, on the way down and on the way up."""
        for rows, near in ((self.rows, self.above), (self.rows[::-1], self.below)):
            place = {item: index for row in self.rows for index, item in enumerate(row)}
            for row in rows:
                wanted = {
                    item: sum(place[other] for other in near[item]) / len(near[item])
                    if near[item]
                    else float(place[item])
                    for item in row
                }
                row.sort(key=wanted.__getitem__)
                place.update((item, index) for index, item in enumerate(row))

    def settle(self) -> None:
        """Move every layer to its neighbours below, then to those above."""
        for rows, near in ((self.rows[::-1], self.below), (self.rows, self.above)):
            for row in rows:
                wanted = [self._wanted(item, near[item]) for item in row]
                widths = [self.sizes[item][0] for item in row]
                weights = [self.weight(item) for item in row]
                for item, x in zip(row, spaced(wanted, widths, weights), strict=True):
                    self.x[item] = x

    def _wanted(self, item: int, near: Sequence[int]) -> float:
        if not near:
            return self.x[item]
        weights = [min(self.weight(other), 1.0) for other in near]
        pairs = zip(near, weights, strict=True)
        mean = sum(self.x[other] * weight for other, weight in pairs) / sum(weights)
        return mean if sum(weights) < 2 else mean * HOMEWARD

    def weight(self, item: int) -> float:
        if self.sizes[item][1] == 0:
            return STRAIGHT
        return 1.0 if self.above[item] else LIGHT

    def drawing(self, count: int, edges: Sequence[Edge]) -> Drawing:
        left = min(self.x[item] - self.sizes[item][0] / 2 for item in range(len(self.x)))
        right = max(self.x[item] + self.sizes[item][0] / 2 for item in range(len(self.x)))
        middles, tops = [], []
        y = 0.0
        for row in self.rows:
            tall = max((self.sizes[item][1] for item in row), default=0.0)
            middles.append(y + tall / 2)
            tops.append((y, y + tall))
            y += tall + BELOW
        boxes = tuple(
            Place(
                self.x[item] - self.sizes[item][0] / 2 - left,
                middles[self.layers[item]] - self.sizes[item][1] / 2,
                *self.sizes[item],
                self.layers[item],
            )
            for item in range(count)
        )
        lines = tuple(self._line(boxes, edge, left, tops) for edge in edges)
        return Drawing(boxes, lines, right - left, y - BELOW)

    def _line(
        self, boxes: Sequence[Place], edge: Edge, left: float, rows: Sequence[tuple[float, float]]
    ) -> tuple[Spot, ...]:
        start, end = (boxes[number] for number in edge)
        spots: list[Spot] = [(start.middle, start.bottom)]
        steps = end.layer - start.layer
        if 1 < steps <= LONGEST:
            for item in self.lanes[edge[0]][1:steps]:
                top, bottom = rows[self.layers[item]]
                spots += [(self.x[item] - left, top), (self.x[item] - left, bottom)]
        return (*spots, (end.middle, end.y))


def spaced(
    wanted: Sequence[float], widths: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """The middles nearest to `wanted` (least squares) that leave room between neighbours."""
    offsets = [0.0]
    for one, other in pairwise(widths):
        offsets.append(offsets[-1] + (one + other) / 2 + SIDEWAYS)
    blocks: list[tuple[float, float, int]] = []  # mean, weight and how many items
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, total, many = want - offset, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, more = blocks.pop()
            mean = (before * heavy + mean * total) / (heavy + total)
            total, many = heavy + total, more + many
        blocks.append((mean, total, many))
    means = [mean for mean, _, many in blocks for _ in range(many)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
