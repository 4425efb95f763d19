"""SavedModels of TensorFlow: known, and not read; reading them would need TensorFlow."""

from typing import NoReturn

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Given, Importer, Source
from toolkit.opening.kinds import is_saved_model

FILE = "saved_model.pb"


class SavedModel(Importer):
    """Says how a SavedModel becomes a file that can be imported."""

    reads = False
    title = "TensorFlow SavedModel (with how to export it)"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        return FILE in source.members or is_saved_model(source.head)

    def read(self, source: Source, given: Given, job: Job) -> NoReturn:
        folder = source.path if source.members else source.path.parent
        raise UnsupportedError(
            f"{source.path} is a SavedModel of TensorFlow, which only TensorFlow itself reads.",
            "Where TensorFlow is, export it: python -m tf2onnx.convert --saved-model "
            f"{folder} --output model.onnx; or to TFLite: tf.lite.TFLiteConverter."
            f'from_saved_model("{folder}").convert(). Then import that file.',
        )
