"""The outcome of a diagnosis in a sentence."""

from collections.abc import Sequence

from toolkit.evaluation.gate import change, points
from toolkit.results import Diagnosed, RepairStep, Verdict


def healthy(verdict: Verdict, layers: int, gate: Verdict | None = None) -> str:
    """Why there is nothing to do; the verdict is on the validation items, the gate on test ones."""
    if not layers:
        return "Nothing to repair: no layer of the model is quantized."
    bound = (
        f"and surely loses less than {points(verdict.bound)}"
        if verdict.passed
        else "as far as so few items show"
    )
    yet = "" if gate is None or gate.passed else " On the test items the gate does not hold yet."
    return (
        f"Nothing to repair: in 8 bits the model {change(verdict.drop)} on "
        f"{verdict.items:,} validation items, {bound}.{yet}"
    )


def blamed(found: Diagnosed) -> str:
    if not found.layers:
        return "Quantization hurts the model, but none of its layers is quantized."
    worst = found.layers[0]
    lost = found.before.value - found.after.value
    return (
        f"Layer {worst.layer} does the most damage: {points(worst.damage)} alone, where all layers "
        f"together lose {points(lost)}. {worst.reason[:1].upper()}{worst.reason[1:]}."
    )


def useless(steps: Sequence[RepairStep], crowded: bool) -> str:
    why = "what helps is larger than --max-size allows" if crowded else "nothing helps"
    return f"No model was stored: of {len(steps)} attempts {why}."


def mended(verdict: Verdict, attempts: int, ending: str) -> str:
    """How the repair ended; the verdict is on the test items."""
    if verdict.passed:
        return f"The gate holds after {attempts} attempts: the model {verdict.reason}."
    return (
        f"Better after {attempts} attempts, but the gate does not hold, and {ending}: the model "
        f"{verdict.reason}."
    )
