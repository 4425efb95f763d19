"""What travels in a package: golden items of the whole range, compared in their own size."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_targets.package import SigningKey
from edge_targets.runtime.contract import Golden, Manifest, Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.predictor import Predictor
from toolkit.artifact import compile_model
from toolkit.data import Dataset, Facts
from toolkit.data.dataset import Column
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, typical_items, with_choices, write_package
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.training import Settings, fit

EXACT = [n for n in formats.names() if not formats[n].lossy and not formats[n].package]
UNIT = 1e-5  # of what is predicted: small numbers must not pass by being small


@pytest.fixture(scope="module")
def small_numbers() -> Dataset:
    """A hundredth of a thousandth and less, to be told from one column."""
    x = np.linspace(-1, 1, 300, dtype=np.float32)[:, None]
    split = np.tile(np.array([0, 1, 2], np.uint8), 100)
    return Dataset("made", Facts("made", TensorSpec("x", (-1, 1))), x, UNIT * x[:, 0], split)


@pytest.fixture(scope="module")
def model(small_numbers: Dataset) -> Model:
    blank = Model(small_numbers.signature(), Mlp(hidden=(8,)), data=small_numbers)
    return fit(blank, Settings(epochs=30, learning_rate=0.01), QUIET).model


def packed(model: Model, format_name: str, folder: Path) -> Path:
    """A package of the model, unpacked."""
    data = small_data(model)
    graph = model.with_graph(graph_of(model, QUIET))
    compiled = compile_model(graph, format_name, data.inputs, QUIET)
    assert compiled.parity.passed
    contents = Contents(
        "m", format_name, compiled.data, model.signature, "simulator", compiled.quantized, "", ""
    )
    write_package(contents, data, SigningKey.from_seed(bytes(32)), folder / "m.sndl", QUIET)
    with zipfile.ZipFile(folder / "m.sndl") as file:
        file.extractall(folder)
    return folder


def small_data(model: Model) -> Dataset:
    return model.need_data("Testing")


@pytest.mark.parametrize("format_name", EXACT)
@pytest.mark.parametrize("int8", [False, True])
def test_small_numbers_are_replayed_in_their_own_size(
    model: Model, format_name: str, int8: bool, tmp_path: Path
) -> None:
    made = QuantizeInt8().apply(model, QUIET) if int8 else model

    folder = packed(made, format_name, tmp_path)

    manifest = Manifest.parse((folder / "manifest.json").read_text())
    assert manifest.tolerance == (0.05 if int8 else 1e-3)
    assert Predictor(folder).replay() <= manifest.tolerance


@pytest.mark.parametrize("format_name", EXACT)
def test_a_file_that_always_answers_zero_or_the_mean_is_found_out(
    model: Model, format_name: str, tmp_path: Path
) -> None:
    folder = packed(model, format_name, tmp_path)
    for bias in (0, UNIT / 2):
        last = {"1.2.weight": 0, "1.2.bias": bias}
        flat = model.with_weights(
            {k: np.full_like(v, last[k]) if k in last else v for k, v in model.weights.items()}
        )
        graph = graph_of(flat, QUIET)
        file = formats[format_name]().build(graph, flat.signature, QUIET).data
        (folder / f"model.{format_name}").write_bytes(file)

        with pytest.raises(IntegrityError, match="off here"):
            Predictor(folder).replay()


def test_golden_items_of_numbers_are_of_the_whole_range(small_numbers: Dataset) -> None:
    inputs, targets = small_numbers.part("test")

    found = typical_items(inputs, targets)

    assert len(found) == 10
    assert (found.min(), found.max()) == (inputs.min(), inputs.max())
    assert np.diff(found[:, 0]).max() < 0.3


def test_fewer_items_than_golden_ones_are_all_taken(small_numbers: Dataset) -> None:
    few = replace(small_numbers, split=np.where(np.arange(300) < 3, 2, 0).astype(np.uint8))

    found = typical_items(*few.part("test"))

    assert len(found) == 3


def test_golden_answers_hold_every_output(model: Model, tmp_path: Path) -> None:
    golden = Golden.parse((packed(model, "onnx", tmp_path) / "golden.json").read_text())

    assert list(golden.outputs) == ["prediction"]
    assert golden.outputs["prediction"].shape == (10, 1)


def test_a_package_brings_the_words_of_its_categories() -> None:
    columns = (Column("size", "number"), Column("colour", "category", ("green", "red")))
    spec = TensorSpec("features", (-1, 2), columns=("size", "colour"))
    signature = Signature((spec,), ())

    told = with_choices(signature, columns)

    assert told.inputs[0].extra == {"choices": {"colour": ["green", "red"]}}
    assert Signature.from_json(told.to_json()) == told
    assert with_choices(signature, columns[:1]) == signature  # of another table
