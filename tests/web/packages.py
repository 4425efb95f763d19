"""Tiny models of every data set there is, packed in both formats, in float and in int8.

`digits` and `flowers` are always there; the others are real data beside the checkout, which a
clone lacks.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.package import SigningKey
from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.data.sources import sources
from toolkit.data.sources.audio_folder import AudioFolder
from toolkit.data.sources.csv import Csv
from toolkit.features import fit_features
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.ds_cnn import DsCnn
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, write_package
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.training import Settings, fit

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
KEY = SigningKey.from_seed(bytes(range(32)))
FILES = ("float onnx", "float tflite", "int8 onnx", "int8 tflite")
WINDOW, STEP = 32, 8  # readings of a sensor that are judged together, and between two windows


@dataclass(frozen=True)
class Subject:
    """A data set and the network that learns it in seconds."""

    data: Callable[[], Dataset]
    network: Network
    epochs: int


@dataclass(frozen=True)
class Packed:
    """A package, and what its model answers here, on the desktop, to every test item."""

    path: Path
    data: Dataset
    float32: bool
    inputs: NDArray[np.float32]
    outputs: NDArray[np.float64]  # shape (N, classes)

    @property
    def labels(self) -> list[str]:
        return [self.data.labels[i] for i in self.outputs.argmax(axis=1)]


def digits() -> Dataset:
    return sources["digits"]().dataset("digits", "digits", None, QUIET)


def spoken_digits() -> Dataset:
    half = AudioFolder(sample_rate=4000, seconds=0.5, test_below=5)
    return half.dataset("spoken", str(beside("spoken_digits")), None, QUIET)


def hand_gesture() -> Dataset:
    table = beside("hand_gesture") / "keypoint.csv"
    return Csv(header=False).dataset("hands", str(table), "c0", QUIET)


def flowers_with_gaps() -> Dataset:
    """A table with missing values and a category, which are filled in and encoded in the graph."""
    from tests.web import kinds  # which packs the others' data as well

    with TemporaryDirectory() as folder:
        return kinds.flowers(Path(folder) / "flowers.csv")


def machine_temperature() -> Dataset:
    """Windows of a sensor's readings; those that reach into a labelled one are anomalies."""
    name = "machine_temperature_system_failure.csv"
    with (beside("nab") / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = json.loads((beside("nab") / "combined_windows.json").read_text())
    spans = np.array(known[f"realKnownCause/{name}"], "datetime64[s]")  # each from … to
    times = np.array([row["timestamp"] for row in rows], "datetime64[s]")[:, None]
    values = np.array([row["value"] for row in rows], np.float32)
    odd = np.any((spans[:, 0] <= times) & (times <= spans[:, 1]), axis=1)
    starts = range(0, len(rows) - WINDOW, STEP)
    spec = TensorSpec("series", (-1, WINDOW), meaning="machine temperature", unit="°F")
    return Dataset(
        "machine",
        Facts(name, spec, ("normal", "anomaly"), "state"),
        np.stack([values[start : start + WINDOW] for start in starts]),
        np.array([int(odd[start : start + WINDOW].any()) for start in starts]),
        np.resize(np.array([0, 0, 1, 2, 0], np.uint8), len(starts)),
    )


SUBJECTS = {
    "digits": Subject(digits, SmallCnn(channels=(8, 16), hidden=32), 4),
    "spoken_digits": Subject(spoken_digits, DsCnn(channels=16, blocks=1), 5),
    "hand_gesture": Subject(hand_gesture, Mlp(hidden=(24,)), 6),
    "flowers": Subject(flowers_with_gaps, Mlp(hidden=(16,)), 20),
    "nab": Subject(machine_temperature, Mlp(hidden=(24,)), 40),
}


def beside(folder: str) -> Path:
    """A folder of real data, which is no part of the repository."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the data set {folder} is not here")
    return SHARED / folder


@cache
def learned(subject: str) -> Model:
    made = SUBJECTS[subject]
    data = made.data()
    blank = Model(data.signature(), made.network, fit_features(data), data=data)
    return fit(blank, Settings(epochs=made.epochs), QUIET).model


def packed(subject: str, file: str, folder: Path) -> Packed:
    """The subject's model as one of `FILES`, in a package below `folder`."""
    number, _, form = file.partition(" ")
    model, float32 = learned(subject), number == "float"
    if not float32:
        model = QuantizeInt8().apply(model, QUIET)
    assert model.data
    data, signature = model.data, model.signature
    built = formats[form]().build(graph_of(model, QUIET), signature, QUIET).data
    path = folder / f"{subject}-{number}-{form}.sndl"
    contents = Contents(
        subject.replace("_", "-"), form, built, signature, "browser", not float32, "", "# a card\n"
    )
    write_package(contents, data, KEY, path, QUIET)
    inputs = data.part("test")[0]  # with its gaps: not-a-number is a missing value everywhere
    outputs = Runner(built, form, signature).first_output(inputs, QUIET)
    return Packed(path, data, float32, inputs, outputs)
