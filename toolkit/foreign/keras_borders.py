"""Average pooling at uneven borders, where Keras on torch differs from Keras on anything else."""

from collections.abc import Callable
from typing import Any

from toolkit.foreign.keras_layers.windows import pads


def corrected(model: Any) -> tuple[str, ...]:
    """Average pooling whose padding is uneven, as it is with TensorFlow and JAX.

    On torch Keras repeats the border instead, and counts it: a fault of that backend alone.
    """
    found = []
    for layer in model._flatten_layers():
        if type(layer).__name__.startswith("AveragePooling") and uneven(layer):
            object.__setattr__(layer, "call", average_without_padding(layer))
            found.append(layer.name)
    if not found:
        return ()
    return (
        f"Averages at borders ({', '.join(found)}) are those of TensorFlow and JAX: Keras on torch "
        "counts padding where it is uneven.",
    )


def uneven(layer: Any) -> bool:
    if layer.padding != "same" or not layer._inbound_nodes:
        return bool(layer.padding == "same")
    shape = layer._inbound_nodes[0].input_tensors[0].shape
    space = shape[1:-1] if layer.data_format == "channels_last" else shape[2:]
    rank = len(space)
    around = pads("same", space, layer.pool_size, layer.strides, [1] * rank)
    return around[:rank] != around[rank:]


def average_without_padding(layer: Any) -> Callable[..., Any]:
    """Sums over counts of what lies inside the picture."""
    import torch

    last = layer.data_format == "channels_last"
    rank = len(layer.pool_size)
    pool = (torch.nn.functional.avg_pool1d, torch.nn.functional.avg_pool2d,
            torch.nn.functional.avg_pool3d)[rank - 1]  # fmt: skip

    def call(inputs: Any) -> Any:
        x = torch.movedim(inputs, -1, 1) if last else inputs
        sizes = [int(size) for size in x.shape[2:]]
        around = pads("same", sizes, layer.pool_size, layer.strides, [1] * rank)
        flat = [side for axis in reversed(range(rank)) for side in (around[axis],
                                                                  around[axis + rank])]  # fmt: skip
        ones = torch.ones_like(x[:1, :1])
        sums, counts = (
            pool(torch.nn.functional.pad(one, flat), layer.pool_size, layer.strides)
            for one in (x, ones)
        )
        made = sums / counts
        return torch.movedim(made, 1, -1) if last else made

    return call
