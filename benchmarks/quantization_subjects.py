"""Float models of several kinds, with items to calibrate and to test them, for benchmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import SHARED, trained
from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.data.dataset import Facts
from toolkit.data.sampling import thinned
from toolkit.data.sources import sources
from toolkit.importers import Given, read_model
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import clean, graph_of, written

Array = NDArray[Any]
SAMPLES = 256


@dataclass(frozen=True)
class Subject:
    """A float model, what to calibrate it with, and what to ask it; targets where known."""

    name: str
    model: Model
    calibration: Array
    items: Array
    targets: Array | None


def subjects(quick: bool) -> Iterator[Subject]:
    yield taught("digits CNN", sources["digits"]().dataset("d", "d", None, QUIET), SmallCnn())
    if quick:
        return
    yield taught("breast cancer MLP", table("load_breast_cancer"), Mlp())
    yield ugly(sources["digits"]().dataset("d", "d", None, QUIET))
    gestures = SHARED / "hand_gesture" / "keypoint.csv"
    if gestures.is_file():
        rows = np.loadtxt(gestures, delimiter=",", dtype=np.float32)
        data = dataset("gestures", rows[:, 1:], rows[:, 0].astype(np.int64), ("0", "1", "2"))
        yield taught("hand gesture MLP", data, Mlp(hidden=(32, 16)))
    for name, draw in (("resnet", pictures), ("kws", spectra)):
        file = SHARED / "mlperf_tiny" / f"{name}_fp32.tflite"
        if not file.is_file():
            print(f"(MLPerf Tiny {name} left out: {file.name} is not here)")
            continue
        found = read_model(file, Given(), QUIET).model
        model = found if isinstance(found, Model) else found.model
        yield Subject(f"MLPerf {name}", model, draw(SAMPLES, 0), draw(500, 1), None)


def taught(name: str, data: Dataset, network: Network) -> Subject:
    model = trained(network, data, epochs=15)
    graph = model.with_graph(graph_of(model, QUIET))
    return Subject(name, graph, thinned(data.part("train")[0], SAMPLES), *data.part("test"))


def table(loader: str) -> Dataset:
    import sklearn.datasets

    found = getattr(sklearn.datasets, loader)()
    labels = tuple(str(name) for name in found.target_names)
    return dataset(loader, found.data.astype(np.float32), found.target.astype(np.int64), labels)


def dataset(name: str, inputs: Array, targets: Array, labels: tuple[str, ...]) -> Dataset:
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    inputs = ((inputs - low) / np.where(high > low, high - low, 1)).astype(np.float32)
    split = np.random.default_rng(0).choice(3, len(inputs), p=[0.6, 0.1, 0.3]).astype(np.uint8)
    facts = Facts(name, TensorSpec("features", (-1, inputs.shape[1])), labels)
    return Dataset(name, facts, inputs, targets, split)


def ugly(data: Dataset) -> Subject:
    """Depthwise and pointwise convolutions whose channels differ a thousandfold in size.

    Factors of neighbouring layers undo each other, so it answers as the network it was made of.
    """
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers: list[Any] = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()]
    for inputs, outputs in ((16, 32), (32, 32)):
        layers += [nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs), nn.ReLU()]
        layers += [nn.Conv2d(inputs, outputs, 1), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10), nn.Softmax(dim=1))
    x, y = (torch.tensor(part) for part in data.part("train"))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(15):
        order = torch.randperm(len(x))
        for part in torch.chunk(order, len(order) // 64):
            loss = nn.functional.nll_loss(torch.log(network(x[part] / 16) + 1e-9), y[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for one, other in pairwise(convolutions):
            factor = torch.logspace(-1.5, 1.5, one.out_channels)[torch.randperm(one.out_channels)]
            one.weight *= factor[:, None, None, None]
            assert one.bias is not None
            one.bias *= factor
            taken = factor[:, None, None]
            other.weight /= taken[:, None] if other.groups > 1 else taken
    signature = data.signature()
    program = torch.onnx.export(
        network.eval(), (x[:2],), dynamo=True, verbose=False, external_data=False,
        input_names=[signature.inputs[0].name], output_names=[signature.outputs[0].name],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )  # fmt: skip
    assert program is not None
    model = Model(signature, graph=written(clean(program.model_proto)))
    small = [np.asarray(data.part(p)[0] / 16, np.float32) for p in ("train", "test")]
    targets = data.part("test")[1]
    return Subject("depthwise, ugly ranges", model, thinned(small[0], SAMPLES), small[1], targets)


def pictures(count: int, seed: int) -> Array:
    """Smooth random images, 0 to 255, channels last: the model's own data set is not here."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 5, 5, 3))
    places = np.linspace(0, 4, 32)
    low = np.minimum(places.astype(int), 3)
    share = places - low
    for axis in (1, 2):
        weight = share.reshape([-1 if a == axis else 1 for a in range(4)])
        coarse = np.take(coarse, low, axis) * (1 - weight) + np.take(coarse, low + 1, axis) * weight
    return coarse.astype(np.float32)


def spectra(count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 4, (count, 49, 10, 1)), axis=1).astype(np.float32)
