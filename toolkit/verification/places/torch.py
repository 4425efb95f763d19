"""The torch network itself, as it was trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.events import Job
from toolkit.inference import BATCH
from toolkit.verification.places.base import Place, Session, Values
from toolkit.verification.subject import File, Subject


class Torch(Place):
    """What every other place is held against, for a model that is a network."""

    title = "PyTorch"

    def files(self, subject: Subject) -> tuple[File, ...]:
        return (File("", "", b"", quantized=False, note="the network"),)

    def available(self, subject: Subject) -> str:
        return "" if subject.model.network else "The model is a finished graph, and no network."

    @contextmanager
    def opened(self, subject: Subject, job: Job) -> Iterator[Session]:
        import torch
        from torch import nn

        head = nn.Softmax(dim=1) if subject.model.signature.labels else nn.Identity()
        module = nn.Sequential(subject.model.module(), head).eval()

        def run(file: File, signature: Signature, inputs: Values, job: Job) -> Values:
            [taken], [given] = signature.inputs, signature.outputs
            items = inputs[taken.name]
            with torch.no_grad():
                parts = [
                    module(torch.from_numpy(items[i : i + BATCH])).numpy()
                    for i in job.track(range(0, len(items), BATCH), "run the network")
                ]
            return {given.name: np.concatenate(parts)}

        yield Session(torch.__version__.partition("+")[0], run)
