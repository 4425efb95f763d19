"""Tiny models of every kind of input, each as a finished bundle: what a page has to suit.

All are linear with a softmax, or without one; what matters here is not what they know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.bundling import Options, bundle
from edge_targets.package import SigningKey, pack
from edge_targets.runtime.contract import (
    Abstention,
    Golden,
    Manifest,
    Signature,
    Tensor,
    TensorSpec,
)
from toolkit.telemetry.reference import reference_profile

KEY = SigningKey.from_seed(bytes(range(32)))
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Made:
    """A model to be packed: its items are its profile's, the first ones its examples."""

    signature: Signature
    items: Floats
    weights: Floats  # shape (values of an item, outputs)
    bias: Floats  # shape (outputs,)
    abstention: Abstention | None = None

    def answers(self, items: Floats) -> Floats:
        scores = items.reshape(len(items), -1) @ self.weights + self.bias
        if not self.signature.labels:
            return scores
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    def onnx(self) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        [given], [found] = self.signature.inputs, self.signature.outputs
        last = ("Softmax", {"axis": 1}) if self.signature.labels else ("Identity", {})
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", [given.name], ["flat"]),
                helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
                helper.make_node(last[0], ["scores"], [found.name], **last[1]),
            ],
            "linear",
            [helper.make_tensor_value_info(given.name, TensorProto.FLOAT, free(given))],
            [helper.make_tensor_value_info(found.name, TensorProto.FLOAT, free(found))],
            [numpy_helper.from_array(self.weights, "w"), numpy_helper.from_array(self.bias, "b")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        return bytes(model.SerializeToString())


def free(spec: TensorSpec) -> list[int | str]:
    return ["n" if size == -1 else size for size in spec.shape]


def digits() -> Made:
    """Learned from the first 1400 scans, which are its profile; the others are unseen."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    scans = load_digits()
    learned = LogisticRegression(C=0.01, max_iter=300).fit(scans.data[:1400], scans.target[:1400])
    image = TensorSpec("image", (-1, 1, 8, 8), meaning="ink on a 4x4 patch", unit="0-16")
    return Made(
        Signature((image,), (shares(10),), tuple("0123456789")),
        scans.images[:1400, None].astype(np.float32),
        learned.coef_.T.astype(np.float32),
        learned.intercept_.astype(np.float32),
    )


def flowers() -> Made:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    learned = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
    columns = ("sepal length", "sepal width", "petal length", "petal width")
    features = TensorSpec("features", (-1, 4), meaning="one row", unit="cm", columns=columns)
    return Made(
        Signature((features,), (shares(3),), ("setosa", "versicolor", "virginica")),
        np.roll(iris.data, 25, axis=0).astype(np.float32),
        learned.coef_.T.astype(np.float32),
        learned.intercept_.astype(np.float32),
    )


def prices() -> Made:
    """A number with its unit, from columns with long names."""
    columns = ("living area in square metres without the cellar", "rooms", "age")
    draw = np.random.default_rng(0)
    items = np.stack([draw.normal(90, 20, 200), draw.integers(1, 6, 200), draw.gamma(3, 9, 200)], 1)
    price = TensorSpec("price", (-1, 1), meaning="asking price", unit="thousand €")
    return Made(
        Signature((TensorSpec("home", (-1, 3), columns=columns),), (price,)),
        items.astype(np.float32),
        np.array([[3.1], [12.0], [-0.8]], np.float32),
        np.array([20], np.float32),
    )


def photos() -> Made:
    draw = np.random.default_rng(1)
    y, x = np.mgrid[0:32, 0:32] / 31
    blobs = [
        np.exp(-12 * ((x - a) ** 2 + (y - b) ** 2)) for a, b in draw.uniform(0.2, 0.8, (60, 2))
    ]
    colours = draw.uniform(40, 255, (60, 3, 1, 1))
    items = np.clip(
        np.stack(blobs)[:, None] * colours + draw.normal(30, 6, (60, 3, 32, 32)), 0, 255
    )
    image = TensorSpec("image", (-1, 3, 32, 32), meaning="red, green, blue", unit="0-255")
    weights = np.repeat(np.eye(3), 1024, axis=0) / 8000
    return Made(
        Signature((image,), (shares(3),), ("mostly red", "mostly green", "mostly blue")),
        items.astype(np.float32),
        weights.astype(np.float32),
        np.zeros(3, np.float32),
    )


def sensor() -> Made:
    draw = np.random.default_rng(2)
    time = np.arange(64) / 64
    waves = np.sin(2 * np.pi * (time * draw.uniform(1, 4, (80, 1)) + draw.uniform(0, 1, (80, 1))))
    items = 70 + 8 * waves + draw.normal(0, 0.6, (80, 64))
    spec = TensorSpec("series", (-1, 64), meaning="machine temperature", unit="°F")
    weights = np.stack([-(time - 0.5) * 0.01, (time - 0.5) * 0.01], axis=1)
    return Made(
        Signature((spec,), (shares(2),), ("normal", "anomaly")),
        items.astype(np.float32),
        weights.astype(np.float32),
        np.zeros(2, np.float32),
    )


def sounds() -> Made:
    draw = np.random.default_rng(3)
    time = np.arange(4000) / 8000
    pitch = draw.uniform(200, 1500, (40, 1))
    items = 0.4 * np.sin(2 * np.pi * pitch * time) * np.hanning(4000)
    spec = TensorSpec("audio", (-1, 1, 4000), meaning="sound pressure", unit="-1 to 1 at 8000 Hz")
    weights = np.stack([np.sin(2 * np.pi * f * time) for f in (300, 900)], axis=1) / 10
    return Made(
        Signature((spec,), (shares(2),), ("low", "high")),
        (items + draw.normal(0, 0.01, items.shape))[:, None].astype(np.float32),
        weights.astype(np.float32),
        np.zeros(2, np.float32),
    )


def species() -> Made:
    """A thousand classes, some with long names, some written from right to left."""
    draw = np.random.default_rng(4)
    names = [f"class {i}" for i in range(1000)]
    names[7] = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    names[8] = "طائر الرمل الصغير"
    names[9] = "חופית לבנה"
    weights = draw.normal(0, 0.2, (6, 1000))
    weights[:, 7:10] = np.abs(weights[:, 7:10]) + 1.2
    columns = tuple(f"measure {i}" for i in range(6))
    return Made(
        Signature((TensorSpec("bird", (-1, 6), columns=columns),), (shares(1000),), tuple(names)),
        draw.uniform(1, 2, (50, 6)).astype(np.float32),
        weights.astype(np.float32),
        np.zeros(1000, np.float32),
    )


def unsure() -> Made:
    """Abstains from nearly everything."""
    made = flowers()
    limit = Abstention(threshold=0.999, risk=0.01, certainty=0.95, coverage=0.1, items=150)
    return Made(made.signature, made.items, made.weights, made.bias, limit)


def shares(classes: int) -> TensorSpec:
    return TensorSpec("probabilities", (-1, classes), meaning="class share")


KINDS: dict[str, Callable[[], Made]] = {
    made.__name__: made
    for made in (digits, flowers, prices, photos, sensor, sounds, species, unsure)
}


LITE = Options(lite=True)


def tensor(values: NDArray[Any]) -> Tensor:
    return Tensor(values.shape, values.reshape(-1).tolist())


def bundled(name: str, folder: Path, options: Options = LITE) -> Path:
    """That kind's model as a bundle below `folder`."""
    made = KINDS[name]()
    [given], [found] = made.signature.inputs, made.signature.outputs
    first = made.items[:6]
    profile = reference_profile(
        made.signature,
        {given.name: made.items},
        {found.name: made.answers(made.items)},
        abstention=made.abstention,
    )
    golden = Golden({given.name: tensor(first)}, {found.name: tensor(made.answers(first))})
    manifest = Manifest(
        name=name,
        version="0123456789ab",
        target="browser",
        format="onnx",
        model="model.onnx",
        signature=made.signature,
        tolerance=1e-4,
        files={},
        abstention=made.abstention,
    )
    members = {"golden.json": golden.dump().encode(), "profile.json": profile.dump().encode()}
    path = folder / f"{name}.sndl"
    pack(manifest, {"model.onnx": made.onnx(), **members}, KEY, path)
    site = folder / name
    bundle(path, site, KEY, [KEY.public], options)
    return site
