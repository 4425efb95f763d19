"""What a search found: the Pareto set, the order to prove candidates in, and what is nearest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.evaluation.gate import points
from toolkit.results import Candidate
from toolkit.search.options import Options
from toolkit.search.trial import over


def figures(candidate: Candidate) -> tuple[float, float, float]:
    """What is minimised."""
    return candidate.drop, float(candidate.size_bytes), candidate.latency_ms


def beats(one: Candidate, other: Candidate) -> bool:
    """Whether `one` is nowhere worse and somewhere better (Pareto dominance)."""
    mine, theirs = figures(one), figures(other)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def with_front(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """All of them, each told whether it belongs to the Pareto set."""
    return tuple(
        replace(one, pareto=not any(beats(other, one) for other in found)) for one in found
    )


def front_of(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The Pareto set, the smallest file first."""
    chosen = [one for one in with_front(found) if one.pareto]
    return tuple(sorted(chosen, key=lambda one: (one.size_bytes, one.latency_ms, one.trial)))


@dataclass(frozen=True)
class Scale:
    """What candidates are compared with: the original's own file."""

    size_bytes: int
    latency_ms: float

    def cost(self, one: Candidate) -> float:
        """Size and latency as shares of the original's, both weighing the same."""
        return math.sqrt(one.size_bytes / self.size_bytes * one.latency_ms / self.latency_ms)


def proving_order(found: Sequence[Candidate], scale: Scale) -> tuple[Candidate, ...]:
    """What fits the budget, from the safest to the boldest, each costing less than those before.

    Safety is what the validation items say: see `risk`.
    """
    safest = sorted(
        (one for one in found if one.fits),
        key=lambda one: (risk(one), scale.cost(one), one.trial),
    )
    chosen: list[Candidate] = []
    for one in safest:
        if not chosen or scale.cost(one) < scale.cost(chosen[-1]):
            chosen.append(one)
    return tuple(chosen)


def risk(one: Candidate) -> float:
    """What may be lost on other items: items won by chance do not make up for it there."""
    return max(one.drop, 0.0) + (one.drop_high - one.drop_low) / 2


def nearest(found: Sequence[Candidate], options: Options) -> Candidate | None:
    """What exceeds the budget least, all its parts together."""
    return min(found, key=lambda one: (sum(over(one, options).values()), one.trial), default=None)


def lacks(one: Candidate, options: Options) -> str:
    """What keeps a candidate from fitting, in words."""
    excess = over(one, options)
    said = {
        "size": f"it is {100 * excess.get('size', 0):.0f} % too large",
        "latency": f"it is {100 * excess.get('latency', 0):.0f} % too slow",
        "memory": f"it needs {100 * excess.get('memory', 0):.0f} % too much memory",
        "drop": f"it loses {points(one.drop)} on the validation items, "
        f"{points(options.gate.max_drop)} may be lost",
    }
    return " and ".join(text for name, text in said.items() if excess.get(name, 0) > 0)
