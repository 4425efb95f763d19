"""TensorFlow Lite by litert-torch, Google's converter for torch networks: the other way there."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.ends import described
from toolkit.flatbuffer.serialize import renamed
from toolkit.formats.base import Format, Samples, Wish, Written
from toolkit.quiet import silent


class LitertTorch(Format):
    """For networks whose torch module is there; takes 2 to 40 seconds, unrolls recurrent layers."""

    title = "TensorFlow Lite by litert-torch"
    suffix = ".tflite"
    engine = "tflite"
    usual = False
    package = "litert_torch"

    def __init__(self, wish: Wish | None = None) -> None:
        self.wish = wish or Wish()

    @classmethod
    def of(cls, wish: Wish) -> Self:
        return cls(wish)

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        if self.wish.module is None:
            raise UnsupportedError(
                "litert-torch compiles torch networks, and this model is a finished graph.",
                "Build tflite: our own compiler takes graphs.",
            )
        if not find_spec(self.package):
            raise UnsupportedError(
                "litert-torch is not installed; it brings 900 MB and is not part of `all`.",
                "pip install 'sanderling[litert]'; or build tflite, which needs nothing more.",
            )
        with silent():
            import litert_torch
            import torch

        job.step("compile by litert-torch", 0, 1)
        [taken], [given] = signature.inputs, signature.outputs
        item = torch.zeros((1, *taken.shape[1:]))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.tflite"
            try:
                with silent(), storing(file):
                    litert_torch.convert(self.wish.module(), (item,)).export(str(file))
            except Exception as error:  # its errors share no other base
                job.step("compile by litert-torch", 0, 1)  # it may have wrapped an interruption
                raise UnsupportedError(
                    f"litert-torch does not take the network: {first_line(error)[:200]}.",
                    "Build tflite: our own compiler takes it from ONNX.",
                ) from error
            data = renamed(file.read_bytes(), [taken.name], [given.name])
        job.step("compile by litert-torch", 1, 1)
        return Written(described(data, signature))
