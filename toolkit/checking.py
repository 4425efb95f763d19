"""Every check of a compiled file beside parity on real items: form, odd inputs, determinism.

Odd inputs are where engines part: another order of adding, numbers too small to be kept, and
not-a-number, of which every kernel for MAX or RELU has a view of its own. What a file answers to
finite inputs must hold. What it answers to not-a-number, infinities and the largest float is told
and fails nothing: no engine promises it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import first_line
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.predictor import spread
from toolkit.inference import Runner
from toolkit.proof import BYTES
from toolkit.report import Check

FAR = 1e4  # beyond any range of pixels or sensors, far below where float32 overflows
DENORMAL = 1e-40  # below float32's smallest normal number: processors may take it for 0
FAR_TOLERANCE = 1e-2  # rounding grows with the numbers: 1e4 has four digits fewer behind the point
AGAIN = 2  # items for determinism: an engine adds in the same order for all
SAME = "same bits"

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Odd:
    """An item that no dataset holds.

    Attributes:
        bound: what a difference may be, as a share of the answers; None where it is just told.
        instead: another item that may be answered as well; none is the usual.
    """

    name: str
    items: Values
    bound: float | None
    instead: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A model and the file made from it, both loaded, and what they answered to `inputs`.

    Attributes:
        lossy: whether the file knows only the range of real items, by the nature of its format.
    """

    signature: Signature
    inputs: Values
    original: Runner
    compiled: Runner
    before: Values
    after: Values
    tolerance: float
    lossy: bool = False


def checks_of(pair: Pair, opened: Callable[[], Runner]) -> tuple[Check, ...]:
    """All of them; `opened` loads the file once more."""
    return (form(pair), repeats(pair, opened()), *(answers_alike(pair, odd) for odd in odds(pair)))


def form(pair: Pair) -> Check:
    """Names, shapes and types of what the file gives are the signature's."""
    count = len(next(iter(pair.inputs.values())))
    wrong = [
        f"{spec.name} is {pair.after[spec.name].dtype} {list(pair.after[spec.name].shape[1:])}"
        for spec in pair.signature.outputs
        if not fits(pair.after[spec.name], spec, count)
    ]
    told = "; ".join(wrong) or "as in the signature"
    return Check("shapes and types", told, "", "as in the signature", not wrong)


def fits(values: NDArray[Any], spec: TensorSpec, count: int) -> bool:
    sizes = (count, *spec.shape[1:])
    alike = len(sizes) == values.ndim and all(
        wanted in (size, -1) for size, wanted in zip(values.shape, sizes, strict=False)
    )
    return alike and values.dtype == np.dtype(spec.dtype)


def repeats(pair: Pair, other: Runner) -> Check:
    """Whether the same items have the same answers, at once and in another session."""
    items = {name: values[:AGAIN] for name, values in pair.inputs.items()}
    first, *later = [one.outputs(items, QUIET) for one in (pair.compiled, pair.compiled, other)]
    changed = [
        name for name in first if any(one[name].tobytes() != first[name].tobytes() for one in later)
    ]
    told = f"other bits in {', '.join(changed)}" if changed else SAME
    return Check("determinism", told, "", f"{SAME} twice, and in another session", not changed)


def odds(pair: Pair) -> Iterator[Odd]:
    """The odd inputs that a signature allows: whole numbers stay what they may be."""
    specs = pair.signature.inputs
    item = {name: values[:1] for name, values in pair.inputs.items()}
    real = [spec.name for spec in specs if np.dtype(spec.dtype).kind == "f"]
    ends = {name: ends_of(values) for name, values in pair.inputs.items()}

    def filled(name: str, value: float) -> NDArray[Any]:
        return np.full_like(item[name], value)

    def planted(name: str, value: float) -> NDArray[Any]:
        flat = item[name].copy().reshape(-1)
        flat[flat.size // 2] = value
        return flat.reshape(item[name].shape)

    yield Odd("zeros", {name: filled(name, 0) for name in item}, pair.tolerance)
    yield Odd("lowest", {name: filled(name, ends[name][0]) for name in item}, pair.tolerance)
    yield Odd("highest", {name: filled(name, ends[name][1]) for name in item}, pair.tolerance)
    if not real:
        return
    far = None if pair.lossy else max(pair.tolerance, FAR_TOLERANCE)
    zeros, least = ({n: filled(n, value) for n in real} for value in (0, DENORMAL))
    yield Odd("denormals", item | least, pair.tolerance, instead=item | zeros)
    yield Odd("1e4", item | {name: filled(name, FAR) for name in real}, far)
    yield Odd("-1e4", item | {name: filled(name, -FAR) for name in real}, far)
    largest = float(np.finfo(np.float32).max)
    yield Odd("largest float", item | {name: planted(name, largest) for name in real}, None)
    yield Odd("not a number", item | {name: planted(name, np.nan) for name in real}, None)
    yield Odd("infinity", item | {name: planted(name, np.inf) for name in real}, None)
    yield Odd("-infinity", item | {name: planted(name, -np.inf) for name in real}, None)


def ends_of(values: NDArray[Any]) -> tuple[Any, Any]:
    """Of the finite ones; two zeros when there are none. Bytes have theirs by nature."""
    if values.dtype.name in BYTES:
        return np.iinfo(values.dtype).min, np.iinfo(values.dtype).max
    finite = values[np.isfinite(values)]
    return (finite.min(), finite.max()) if finite.size else (0, 0)


def answers_alike(pair: Pair, odd: Odd) -> Check:
    name = f"input: {odd.name}"
    wanted, reason = answers(pair.original, odd.items)
    found, refusal = answers(pair.compiled, odd.items)
    if not wanted:
        return Check(name, f"the model refuses it: {reason}", "", "")
    if not found:
        return Check(
            name, f"refused: {refusal}", "", "an answer", None if odd.bound is None else False
        )
    places = [n for n in wanted if not same_places(wanted[n], found[n])]
    finite = all(np.isfinite(values).all() for values in wanted.values())
    bound = None if odd.bound is None or not finite else odd.bound
    told = "" if bound is None else f"at most {bound:g} of an output's size"
    if places:
        where = f"finite in other places of {', '.join(places)}"
        return Check(name, where, "", told, None if bound is None else False)
    if not finite:
        return Check(name, "finite in the same places")
    gap = widest(pair, wanted, found)
    if odd.instead:
        gap = min(gap, widest(pair, pair.original.outputs(odd.instead, QUIET), found))
    return Check(name, gap, "", told, None if bound is None else gap <= bound)


def widest(pair: Pair, wanted: Values, found: Values) -> float:
    return max(gap_of(wanted[name], found[name], pair.before[name]) for name in wanted)


def answers(runner: Runner, items: Values) -> tuple[Values, str]:
    """What a runner answers, or nothing and its reason."""
    try:
        with np.errstate(all="ignore"):
            return runner.outputs(items, QUIET), ""
    except Exception as error:  # noqa: BLE001 - the engines' errors share no other base
        return {}, first_line(error)


def same_places(wanted: NDArray[Any], found: NDArray[Any]) -> bool:
    """Whether not-a-number and each infinity stand in the same places."""
    if wanted.shape != found.shape:
        return False
    tests: Sequence[Callable[[NDArray[Any]], NDArray[np.bool_]]] = (
        np.isnan,
        np.isposinf,
        np.isneginf,
    )
    if wanted.dtype.kind != "f" or found.dtype.kind != "f":
        return True
    return all(np.array_equal(test(wanted), test(found)) for test in tests)


def gap_of(wanted: NDArray[Any], found: NDArray[Any], usual: NDArray[Any]) -> float:
    """The largest difference, as a share of the usual answers' spread or of this one's size."""
    if not wanted.size:
        return 0.0
    one, other = wanted.astype(np.float64), found.astype(np.float64)
    known = usual.astype(np.float64)
    known = known[np.isfinite(known)]
    around = spread(float(known.min()), float(known.max())) if known.size else 1.0
    return float(np.abs(one - other).max()) / max(around, float(np.abs(one).max()))
