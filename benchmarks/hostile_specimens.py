"""Small sound model files of every kind that is imported, to be damaged by `bench_hostile`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.formats import formats
from toolkit.model import Model
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import graph_of

Specimen = Callable[[Path], bytes]


def network() -> Model:
    import torch

    torch.manual_seed(0)
    signature = Signature(
        (TensorSpec("image", (-1, 1, 8, 8)),),
        (TensorSpec("probabilities", (-1, 3)),),
        ("a", "b", "c"),
    )
    return Model(signature, SmallCnn(channels=(4, 8), hidden=8))


def graph() -> tuple[bytes, Signature]:
    model = network()
    return graph_of(model, QUIET), model.signature


def onnx(_: Path) -> bytes:
    return graph()[0]


def tflite(_: Path) -> bytes:
    data, signature = graph()
    return formats["tflite"]().build(data, signature, QUIET).data


def torch_export(folder: Path) -> bytes:
    import torch

    file = folder / "program.pt2"
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(
        network().module(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, file)
    return file.read_bytes()


def keras(folder: Path) -> bytes:
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    from keras import Sequential, layers

    file = folder / "model.keras"
    Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    ).save(file)
    return file.read_bytes()


def trees() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4)).astype(np.float32)
    return values, (values.sum(1) > 0).astype(int)


def sklearn(_: Path) -> bytes:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    return bytes(skops.io.dumps(LogisticRegression().fit(*trees())))


def xgboost(_: Path) -> bytes:
    import xgboost as xgb

    values, classes = trees()
    booster = xgb.train(
        {"objective": "binary:logistic", "max_depth": 3}, xgb.DMatrix(values, classes), 5
    )
    return bytes(booster.save_raw("json"))


def lightgbm(_: Path) -> bytes:
    import lightgbm as lgb

    values, classes = trees()
    settings = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1}
    return str(lgb.train(settings, lgb.Dataset(values, classes), 5).model_to_string()).encode()


SPECIMENS: Mapping[str, Specimen] = {
    "onnx": onnx,
    "tflite": tflite,
    "torch_export": torch_export,
    "keras": keras,
    "sklearn": sklearn,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
}
