"""From calibration items to a range for every value that is held as integers."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from edge_targets.runtime.errors import UnsupportedError
from toolkit.quantization.observe import Observation
from toolkit.quantization.plan import LayerPlan
from toolkit.quantization.qdq import ranged_values
from toolkit.quantization.ranges import Range, choose


def ranges_for(
    graph: bytes,
    seen: Mapping[str, Observation],
    plan: Mapping[str, LayerPlan],
    base: LayerPlan,
    percentile: float = 99.99,
) -> dict[str, Range]:
    """The range of each value: chosen as the layer that made it asks, else as `base` does.

    Raises:
        UnsupportedError: a value was not-a-number or infinite.
    """
    found = {}
    for value, layer in ranged_values(graph, plan).items():
        observation = seen[value]
        if observation.broken:
            at = f"layer {layer!r}" if layer else f"value {value!r}"
            raise UnsupportedError(
                f"Calibration: {at} gives {observation.broken} numbers that are not-a-number or "
                "infinite.",
                "Look for gaps in the calibration data, or train the model again.",
            )
        asked = plan.get(layer, base) if layer else base
        wide = asked.activations == 16
        found[value] = choose(observation, asked.calibration, 16 if wide else 8, wide, percentile)
    return found


def channel_means(seen: Mapping[str, Observation]) -> dict[str, NDArray[Any]]:
    """What biases are corrected by; see `quantize_graph`."""
    return {name: each.channel_mean for name, each in seen.items() if each.channel_mean.size}
