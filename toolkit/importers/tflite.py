"""TensorFlow Lite files with float weights (or float16 ones, which are widened)."""

from pathlib import Path

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source, labelled, layout_of
from toolkit.model import Model
from toolkit.onnx_graph import check, clean, written
from toolkit.tflite_graph.flat import IDENTIFIER, read
from toolkit.tflite_graph.translate import translate

ITEMS = 2  # that the graph is tried with: one would not show a fixed batch


class TFLite(Importer):
    """Float networks that LiteRT runs; what it takes and gives keeps its shape, the batch free."""

    title = "TensorFlow Lite"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        return source.head[4:8] == IDENTIFIER

    def read(self, source: Source, given: Given, job: Job) -> Found:
        file = source.path
        model, ends = translate(read(file.read_bytes()), job)
        check(model)
        signature = Signature(
            tuple(TensorSpec(name, (-1, *shape)) for name, shape in ends.inputs),
            tuple(TensorSpec(name, (-1, *shape)) for name, shape in ends.outputs),
        )
        data = written(clean(model))
        refuse_unrunnable(data, signature, file)
        return Found(Model(labelled(signature), graph=data), layout_of(signature))


def refuse_unrunnable(data: bytes, signature: Signature, file: Path) -> None:
    """Give the graph two items: the proof that the batch is free."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    feeds = {s.name: np.zeros((ITEMS, *s.shape[1:]), s.dtype) for s in signature.inputs}
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        answers = session.run([s.name for s in signature.outputs], feeds)
    except Exception as error:  # onnxruntime's errors share no other base
        raise IntegrityError(
            f"{file} does not run: its operators do not fit together.",
            "Export the model again; if LiteRT runs it, report this file.",
        ) from error
    if [a.shape for a in answers] != [(ITEMS, *s.shape[1:]) for s in signature.outputs]:
        raise UnsupportedError(
            f"{file} does not run with a batch of any size.",
            "Export the model with the batch as first axis of every value.",
        )
