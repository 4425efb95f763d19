"""Samples without a sensor: a file replayed, or random ones like those the model was made for."""

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, count
from pathlib import Path
from typing import ClassVar

from edge_targets.runtime.errors import DataError
from edge_targets.runtime.sketch import Sketch
from edge_targets.streams.files import samples_in
from edge_targets.streams.members import described
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources.base import Samples, Source, World


@dataclass(frozen=True)
class Simulated(Source):
    """Replays a file (.npy, .csv, .wav or a picture), or draws from the package's profile."""

    live: ClassVar = False

    path: str = described("File to replay; empty draws random samples.", "")
    samples_per_s: float = described("How many a second; 0 is as fast as they are taken.", 0.0, 0)
    most: int = described("Samples before it ends; 0 never ends.", 0, 0)
    seed: int = described("Of what is random: the same seed gives the same samples.", 0)

    def samples(self, world: World) -> Samples:
        for place, sample in enumerate(self._endless(world)):
            if world.stopping.is_set() or (self.most and place >= self.most):
                return
            yield sample
            if self.samples_per_s and world.stopping.wait(1 / self.samples_per_s):
                return

    def _endless(self, world: World) -> Iterator[Sample]:
        if not self.path:
            draw = random.Random(self.seed)  # noqa: S311 - a simulation
            yield from (drawn(draw, world, place) for place in count())
        while True:
            empty = True
            for sample in samples_in(Path(self.path)):
                empty = False
                yield sample
            if empty:
                raise DataError(f"{self.path} holds no samples.", "Give a file with some.")


def drawn(draw: random.Random, world: World, place: int) -> Sample:
    """A sample whose values are spread as in the profile, each by itself."""
    import numpy as np

    [spec] = world.signature.inputs
    shape = tuple(1 if size == -1 else size for size in spec.shape[1:])
    names = spec.columns or (spec.name,)
    size = int(np.prod(shape))
    values = [value(draw, world.profile.sketches.get(names[i % len(names)])) for i in range(size)]
    return Sample(np.array(values).reshape(shape), f"random {place}")


def value(draw: random.Random, sketch: Sketch | None) -> float:
    if sketch is None or not sketch.count:
        return draw.gauss(0, 1)
    totals = list(accumulate(sketch.counts))
    # the outer bins are open: the ends that were seen close them
    edges = [sketch.minimum, *sketch.edges, sketch.maximum]
    place = bisect_right(totals, draw.randrange(totals[-1]))
    low, high = max(edges[place], sketch.minimum), min(edges[place + 1], sketch.maximum)
    return draw.uniform(low, high)
