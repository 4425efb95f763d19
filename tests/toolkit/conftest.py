"""A workspace on which the line has been gone once."""

import pytest

from edge_targets.runtime.events import QUIET
from toolkit import compression, journeys, shelf
from toolkit.data import Dataset
from toolkit.data.sources.digits import Digits
from toolkit.recipe import Recipe
from toolkit.workspace import Workspace

WORDS = ("channels=4,8", "hidden=16", "epochs=4", "seed=1")


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Workspace:
    """Digits, turned digits, a model `m`, an int8 model and its artifacts; add, do not replace."""
    shelves = Workspace.create(tmp_path_factory.mktemp("line"))
    shelf.save_dataset(shelves, digits, "data add", {})
    turned = Digits(rotation_deg=30, noise=1).dataset("turned", "digits", None, QUIET)
    shelf.save_dataset(shelves, turned, "data add", {})
    journeys.train(shelves, "digits", "small_cnn", WORDS, "m", QUIET)
    compression.compress(shelves, "m", Recipe.of_names("quantize_int8"), None, "m-int8", QUIET)
    journeys.build(shelves, "m-int8", ("onnx", "tflite"), None, QUIET)
    return shelves
