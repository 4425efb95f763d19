"""Why a layer suffers from quantization, in a sentence, from its numbers."""

import math

from toolkit.diagnosis.signals import Flow, Place, channel_ranges, outlier_of, widest

UNEQUAL = 8.0  # channels that differ more leave the median one 5 of 8 bits
OUTLIER = 8.0  # a weight so much larger than nearly all others takes 3 of 8 bits
STRETCHED = 4.0  # a range so much wider than what is common takes 2 of 8 bits
HURT = 30.0  # decibels: a noise of 3 % of the signal
FEW = 0.9  # a channel has few weights: its 99th percentile may be the outlier itself
CLEAR = 3.0  # decibels: one noise is then twice the other


def why(place: Place, flow: Flow, weight_sqnr_db: float, per_channel: bool) -> str:
    """What is most likely to blame, and what helps against it."""
    found = [*of_weights(place, per_channel), *of_flow(flow)]
    if found:
        return "; ".join(found)
    if min(weight_sqnr_db, flow.sqnr_db) > HURT:
        return "nothing stands out"
    if weight_sqnr_db < flow.sqnr_db - CLEAR:
        return "its weights are hurt more than its input, and none stands out: keep them in half"
    if flow.sqnr_db < weight_sqnr_db - CLEAR:
        return "its input is hurt more than its weights, and nothing stands out: int16"
    return "nothing stands out"


def of_weights(place: Place, per_channel: bool) -> list[str]:
    if per_channel:
        outlier = max((outlier_of(row, FEW) for row in place.weights), default=1.0)
        if outlier >= OUTLIER:
            return [
                f"one weight of a channel is {outlier:.0f} times larger than nearly all others: "
                f"the channel's scale wastes {bits(outlier)} bits; keep the weights in half"
            ]
        return []
    unequal, outlier = widest(channel_ranges(place.weights)), outlier_of(place.weights)
    if unequal >= UNEQUAL:
        kind = "depthwise channels" if place.depthwise else "output channels"
        return [
            f"one of its {kind} has weights {unequal:.0f} times larger than the median one: one "
            f"scale for the tensor wastes {bits(unequal)} bits; per_channel"
        ]
    if outlier >= OUTLIER:
        return [
            f"one weight is {outlier:.0f} times larger than nearly all others: the tensor's scale "
            f"wastes {bits(outlier)} bits; per_channel, or keep the weights in half"
        ]
    return []


def of_flow(flow: Flow) -> list[str]:
    if not math.isfinite(flow.low):
        return ["it takes in nothing finite"]
    whole = max(flow.high, 0.0) - min(flow.low, 0.0)
    common = max(flow.common_high, 0.0) - min(flow.common_low, 0.0)
    if common > 0 and whole / common >= STRETCHED:
        return [
            f"it takes in {flow.low:.3g} to {flow.high:.3g}, but 99.9 % lie in "
            f"{flow.common_low:.3g} to {flow.common_high:.3g}: clip the range with percentile"
        ]
    if flow.unequal >= UNEQUAL:
        return [
            f"one channel that it takes in is {flow.unequal:.0f} times wider than the median one: "
            f"the others keep {max(8 - math.log2(flow.unequal), 0):.1f} of 8 bits; equalize_layers "
            "before, or int16"
        ]
    return []


def bits(ratio: float) -> str:
    return f"{math.log2(ratio):.1f}"
