"""What the browser's figures are taken on: a small CNN for 48 × 48 colour pictures, 320 KB."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import trained
from edge_targets.package import SigningKey
from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of
from toolkit.packaging import Contents, write_package
from toolkit.passes.quantize_weights import QuantizeWeights

KEY = SigningKey.from_seed(bytes(range(32)))
SIDE, CLASSES, ITEMS = 48, 10, 600
NETWORK = SmallCnn(channels=(16, 32, 32), hidden=16, dropout=0)
SMALL = "int8 weights"  # as TFLite; computes in float32


@dataclass(frozen=True)
class Subject:
    """The model as files, a package of each, and what it answers here in each format."""

    model: Model
    files: Mapping[str, bytes]
    packages: Mapping[str, Path]
    items: NDArray[np.float32]  # the test part, shape (N, 3, 48, 48)
    outputs: Mapping[str, NDArray[np.float64]]  # of the engine of each format, on this machine

    @property
    def signature(self) -> Signature:
        return self.model.signature


def made(folder: Path) -> Subject:
    data = gratings()
    model = trained(NETWORK, data, epochs=4, batch_size=16)
    small = QuantizeWeights().apply(model, QUIET)
    files, packages = {}, {}
    for name, (form, given) in {
        "onnx": ("onnx", model),
        "tflite": ("tflite", model),
        SMALL: ("tflite", small),
    }.items():
        files[name] = formats[form]().build(graph_of(given, QUIET), given.signature, QUIET).data
        packages[name] = folder / f"{name}.sndl"
        signature, quantized = given.signature, given is small
        contents = Contents(
            "gratings", form, files[name], signature, "browser", quantized, "", "# a card\n"
        )
        write_package(contents, data, KEY, packages[name], QUIET)
    items = data.part("test")[0]
    outputs = {
        name: Runner(files[name], name, model.signature).first_output(items, QUIET)
        for name in ("onnx", "tflite")
    }
    return Subject(model, files, packages, items, outputs)


def gratings() -> Dataset:
    """Noisy stripes in one of ten directions; learned in seconds."""
    rng = np.random.default_rng(0)
    targets = np.arange(ITEMS) % CLASSES
    angles = (targets * np.pi / CLASSES)[:, None, None, None]
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    waves = np.sin(0.5 * (x * np.cos(angles) + y * np.sin(angles)))
    pixels = (128 + 60 * waves + 15 * rng.standard_normal((ITEMS, 3, SIDE, SIDE))).clip(0, 255)
    spec = TensorSpec("image", (-1, 3, SIDE, SIDE), "float32", "pixel intensity", "0-255")
    labels = tuple(f"{round(180 * i / CLASSES)}°" for i in range(CLASSES))
    split = np.array([0, 0, 0, 1, 2], np.uint8)[np.arange(ITEMS) // CLASSES % 5]
    return Dataset(
        "gratings", Facts("made", spec, labels), pixels.round().astype(np.float32), targets, split
    )


def layers(onnx_file: bytes) -> list[tuple[str, list[NDArray[np.float32]]]]:
    """What the ONNX file does, step by step, with its weights as TensorFlow lays them out."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(onnx_file).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    found: list[tuple[str, list[NDArray[np.float32]]]] = []
    flat = False
    for node in graph.node:
        weights = [stored[name] for name in node.input if name in stored]
        if node.op_type == "Conv":
            weights[0] = weights[0].transpose(2, 3, 1, 0)
        elif node.op_type == "Reshape":
            flat, weights = True, []
        elif node.op_type == "Gemm":
            weights[0] = channels_last(weights[0]) if flat else weights[0].T
            flat = False
        found.append((node.op_type, weights))
    return found


def channels_last(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the layer that takes a picture's values in a row: (in, out), its channels innermost."""
    outputs, channels = len(weights), NETWORK.channels[-1]
    side = int((weights.shape[1] // channels) ** 0.5)
    return weights.reshape(outputs, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, outputs)
