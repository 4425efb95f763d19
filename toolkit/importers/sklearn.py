"""scikit-learn estimators and pipelines: skops files, and pickles that the user vouches for."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source
from toolkit.model import Model

SCHEMA = "schema.json"
PROTOCOLS = range(2, 6)
TORCH = (
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that older torch files start with
)
MOST_UNPACKED = 1 << 30  # bytes of a skops file
STEPS = 3
RAN = (
    "The file is a pickle: reading it ran whatever code it holds, with your rights, as --trust "
    "allows. Use that for files you made yourself only; skops files need no trust."
)
REVIEWED = {  # beside what skops trusts itself: data without code that is built from arrays
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process.kernels.ConstantKernel", "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product", "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum", "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance32",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer", "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.neighbors._ball_tree.BallTree", "sklearn.neighbors._ball_tree.BallTree64",
    "sklearn.neighbors._kd_tree.KDTree", "sklearn.neighbors._kd_tree.KDTree64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree", "sklearn.utils._bunch.Bunch",
}  # fmt: skip


class ScikitLearn(Importer):
    """Estimators with their preparation, as one graph from a row of numbers to shares or values."""

    title = "scikit-learn"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        return SCHEMA in source.members or is_pickle(source.head)

    def read(self, source: Source, given: Given, job: Job) -> Found:
        from toolkit.foreign.estimators import translated

        file = source.path
        job.step("import scikit-learn", 0, STEPS)
        pickled = is_pickle(source.head)
        if pickled and not given.trust:
            raise UnsupportedError(
                f"{file} is a pickle: reading it runs whatever code is in it.",
                "Save the model with skops: skops.io.dump(model, 'model.skops'); or, if you made "
                "the file yourself, say so with --trust.",
            )
        estimator, notes = unpickled(file) if pickled else loaded(file)
        job.step("import scikit-learn", 1, STEPS)
        graph, signature, said = translated(estimator, file)
        job.step("import scikit-learn", 3, STEPS)
        facts = {"framework": "scikit-learn", "estimator": type(estimator).__name__}
        told = (RAN,) if pickled else ()
        model = Model(signature, graph=graph)
        return Found(model, metadata=facts, notes=(*notes, *said), warnings=told)


def is_pickle(head: bytes) -> bool:
    """Whether a file starts as a pickle does, or as one that joblib has packed."""
    inner = unpacked(head)
    binary = len(inner) > 1 and inner[0] == 0x80 and inner[1] in PROTOCOLS
    return binary and not inner.startswith(TORCH)


def unpacked(head: bytes) -> bytes:
    """The first bytes inside zlib, gzip, bzip2 or xz; the same bytes where there is no packing."""
    import bz2
    import lzma

    if head[:1] == b"\x80":
        return head
    try:
        if head.startswith((b"x\x01", b"x^", b"x\x9c", b"x\xda")):
            return zlib.decompressobj().decompress(head, 64)
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(head, 64)
        if head.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(head, 64)
        if head.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
            return lzma.LZMADecompressor().decompress(head, 64)
    except (zlib.error, OSError, lzma.LZMAError):
        return b""
    return b""


def loaded(file: Path) -> tuple[Any, tuple[str, ...]]:
    """The estimator in a skops file, of nothing but types that were reviewed.

    Raises:
        UnsupportedError: names the types that were not.
    """
    refuse_bomb(file)
    import skops.io  # seconds: not before it is known to be an archive

    try:
        unknown = set(skops.io.get_untrusted_types(file=file)) - REVIEWED
        if unknown:
            raise UnsupportedError(
                f"{file} holds types that are not known to be harmless: "
                f"{', '.join(sorted(unknown))}.",
                "Use scikit-learn's own estimators and numpy's functions in the model.",
            )
        return watched(lambda: skops.io.load(file, trusted=sorted(REVIEWED)))
    except (UnsupportedError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:  # skops builds objects from whatever the file says
        raise IntegrityError(
            f"{file} is a damaged skops file: {first_line(error)[:200]}.",
            "Copy or save the model again.",
        ) from error


def refuse_bomb(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise IntegrityError(
            f"{file} is a damaged archive: {first_line(error)}.", "Copy or save the model again."
        ) from error
    if size > MOST_UNPACKED:
        raise IntegrityError(
            f"{file} would unpack to {size >> 20} MB.", "It is damaged, or no model for a device."
        )


def unpickled(file: Path) -> tuple[Any, tuple[str, ...]]:
    """The object in a pickle that the user has said to trust: this runs what is in it."""
    import joblib

    try:
        found, notes = watched(lambda: joblib.load(file))
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"{file} needs the module {error.name!r}, which is not here.",
            "Install what the model was made with, or save it without classes of your own.",
        ) from error
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # a pickle can fail in any way
        raise IntegrityError(
            f"{file} cannot be unpickled: {first_line(error)[:200]}.",
            "Copy the file again, or save the model with skops.",
        ) from error
    return found, notes


def watched(load: Any) -> tuple[Any, tuple[str, ...]]:
    """What is loaded; a note where another version of scikit-learn made it."""
    import warnings

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = load()
    for warning in said:
        if type(warning.message).__name__ == "InconsistentVersionWarning":
            made = getattr(warning.message, "original_sklearn_version", "another version")
            here = getattr(warning.message, "current_sklearn_version", "")
            note = f"It was made by scikit-learn {made} and read by {here}: check its answers."
            return found, (note,)
    return found, ()
