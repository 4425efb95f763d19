"""One small real package of each kind of input that the demo page has a card for."""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from edge_targets.package import pack
from edge_targets.runtime.contract import Golden, Manifest, Profile, Signature, Tensor, TensorSpec
from edge_targets.runtime.events import QUIET
from tests.web import packages
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.image_folder import ImageFolder
from toolkit.features import fit_features
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, write_package
from toolkit.training import Settings, fit

KINDS = ("drawing", "picture", "sound", "series", "table", "other")
SIDE = 32  # pixels of the picture model's input
GARDENS = ("north", "south")


def package(kind: str, folder: Path) -> Path:
    """The package of a kind below `folder`; real data that are not here skip the test."""
    if kind == "drawing":
        return packages.packed("digits", "float onnx", folder).path
    if kind == "sound":
        return packages.packed("spoken_digits", "float onnx", folder).path
    if kind == "series":
        return packages.packed("nab", "float onnx", folder).path
    if kind == "picture":
        return learned(
            "photos", photos(folder / "photos"), SmallCnn(channels=(8,), hidden=16), folder
        )
    if kind == "table":
        return learned("flowers", flowers(folder / "flowers.csv"), Mlp(hidden=(16,)), folder)
    return two_inputs(folder / "sum.sndl")


def learned(name: str, data: Dataset, network: Network, folder: Path) -> Path:
    """A network that has learned a dataset, packed."""
    blank = Model(data.signature(), network, fit_features(data), data=data)
    model = fit(blank, Settings(epochs=20), QUIET).model
    built = formats["onnx"]().build(graph_of(model, QUIET), model.signature, QUIET).data
    path = folder / f"{name}.sndl"
    contents = Contents(name, "onnx", built, model.signature, "browser", False, "", "# a card\n")
    write_package(contents, data, packages.KEY, path, QUIET)
    return path


def photos(folder: Path) -> Dataset:
    """Pieces of two photographs, of a temple and of a dahlia, as a folder of images."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, whole in photographs().items():
        (folder / name).mkdir(parents=True)
        height, width, _ = whole.shape
        for i in range(40):
            side = int(rng.integers(90, 240))
            top, left = int(rng.integers(height - side)), int(rng.integers(width - side))
            piece = Image.fromarray(whole[top : top + side, left : left + side])
            piece.save(folder / name / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    source = ImageFolder(height=SIDE, width=SIDE)
    return source.dataset("photos", str(folder), None, QUIET)


@cache
def photographs() -> dict[str, "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]"]:
    """As scikit-learn brings them: 427 x 640 pixels."""
    from sklearn.datasets import load_sample_image

    return {name: load_sample_image(f"{file}.jpg") for name, file in
            {"temple": "china", "dahlia": "flower"}.items()}  # fmt: skip


def flowers(file: Path) -> Dataset:
    """Fisher's irises (1936), with units in their columns' names, gaps, and a category."""
    from sklearn.datasets import load_iris

    found = load_iris()
    rng = np.random.default_rng(0)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*found.feature_names, "garden", "kind"])
        for row, target in zip(found.data, found.target, strict=True):
            cells = ["" if rng.random() < 0.02 else f"{value:g}" for value in row]
            garden = GARDENS[int(target == 0)] if rng.random() < 0.9 else GARDENS[0]
            writer.writerow([*cells, garden, found.target_names[target]])
    return Csv().dataset("flowers", str(file), "kind", QUIET)


def two_inputs(path: Path) -> Path:
    """A model that no card can ask: it adds two series of its own."""
    from onnx import TensorProto, helper

    shape = ["n", 3]
    both = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "ab"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        "sum",
        both,
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    inputs = (
        TensorSpec("a", (-1, 3), meaning="left wheel", unit="rad/s"),
        TensorSpec("b", (-1, 3), meaning="right wheel", unit="rad/s"),
    )
    signature = Signature(inputs, (TensorSpec("sum", (-1, 3)),))
    row = Tensor((1, 3), [1.0, 2.0, 3.0])
    golden = Golden({"a": row, "b": row}, {"sum": Tensor((1, 3), [2.0, 4.0, 6.0])})
    manifest = Manifest("sum", "1", "browser", "onnx", "model.onnx", signature, 1e-4, {})
    members = {
        "card.md": b"# sum\n",
        "golden.json": golden.dump().encode(),
        "model.onnx": model.SerializeToString(),
        "profile.json": Profile(0, {}).dump().encode(),
    }
    pack(manifest, members, packages.KEY, path)
    return path
