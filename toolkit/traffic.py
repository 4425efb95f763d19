"""Ask a device for predictions, as its users' programs do: Open Inference Protocol v2, JSON."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import DTYPES, TensorSpec
from edge_targets.runtime.events import Job
from edge_targets.transport import post_json

DATATYPE = {name: datatype for datatype, name in DTYPES.items()}


def send(
    url: str, model: str, spec: TensorSpec, items: NDArray[np.float32], job: Job, batch: int = 8
) -> NDArray[Any]:
    """The first output for every item, shape (N, ...), asked for in small batches.

    Args:
        url: of the agent.
        model: the name it is served by.
        spec: the model's input.
        items: shape (N, ...).
        job: told of every batch.
        batch: items a request.

    Raises:
        DeviceError: the device does not answer, or refuses.
    """
    answers = []
    for start in job.track(range(0, len(items), batch), f"ask {model} for predictions"):
        chunk = items[start : start + batch]
        tensor = {
            "name": spec.name,
            "shape": list(chunk.shape),
            "datatype": DATATYPE[spec.dtype],
            "data": chunk.reshape(-1).tolist(),
        }
        found = post_json(f"{url}/v2/models/{model}/infer", {"inputs": [tensor]})
        [output] = found["outputs"]
        answers.append(np.array(output["data"]).reshape(output["shape"]))
    return np.concatenate(answers)
