"""Weights of torch with one of our networks; whole pickled models are not opened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edge_targets.runtime.errors import EdgeError, RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.importers import Given, Source, importers, read_model, recognised
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.networks.small_cnn import SmallCnn
from toolkit.training import Settings, fit

WORDS = ("channels=4,8", "hidden=8")
PICTURE = {"input": (1, 1, 8, 8)}
GIVEN = Given(network="small_cnn", words=WORDS, shapes=PICTURE)


def built() -> nn.Module:
    torch.manual_seed(0)
    module = SmallCnn(channels=(4, 8), hidden=8).build((1, 8, 8), 10)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            nn.init.uniform_(layer.running_mean)
    return module.eval()


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._orig_mod = inner


Saved = Callable[[dict[str, Any], Path], object]
WAYS: dict[str, Saved] = {
    "as it is": torch.save,
    "as torch before 1.6": lambda s, p: torch.save(s, p, _use_new_zipfile_serialization=False),
    "as safetensors": save_file,
    "in a checkpoint": lambda s, p: torch.save({"epoch": 3, "model": s, "lr": {"a": 0.1}}, p),
    "in wrappers": lambda s, p: torch.save({f"module._orig_mod.{k}": v for k, v in s.items()}, p),
    "in half precision": lambda s, p: torch.save(
        {k: v.half() if v.is_floating_point() else v for k, v in s.items()}, p
    ),
    "without counters": lambda s, p: torch.save(
        {k: v for k, v in s.items() if "num_batches" not in k}, p
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_answer_in_our_network_as_in_torch(tmp_path: Path, way: str) -> None:
    module, file = built(), tmp_path / "any.name"
    WAYS[way](module.state_dict(), file)

    found = read_model(file, GIVEN, QUIET)

    items = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        expected, answers = module(items).numpy(), found.model.module()(items).numpy()
    assert found.model.kind == "network"
    assert found.layout == "NCHW"
    np.testing.assert_allclose(answers, expected, atol=5e-3 if "half" in way else 1e-6)


def test_what_is_imported_can_be_trained_further(tmp_path: Path, digits: Dataset) -> None:
    torch.save(built().state_dict(), tmp_path / "w.pt")
    found: Model = read_model(tmp_path / "w.pt", GIVEN, QUIET).model

    after = fit(found.with_data(digits), Settings(epochs=1), QUIET).model

    assert any((after.weights[k] != found.weights[k]).any() for k in found.weights)


def test_the_width_of_a_table_is_known_from_its_first_layer(tmp_path: Path) -> None:
    network = Mlp(hidden=(5,))
    save_file(network.build((7,), 3).state_dict(), tmp_path / "w.safetensors")

    found = read_model(tmp_path / "w.safetensors", Given(network="mlp", words=("hidden=5",)), QUIET)

    assert found.model.signature.inputs[0].shape == (-1, 7)


def refused(file: Path, given: Given = GIVEN) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, given, QUIET)
    assert caught.value.hint
    return caught.value


def test_a_long_header_is_not_taken_for_onnx(tmp_path: Path) -> None:
    file = tmp_path / "long"
    file.write_bytes((0x120A08).to_bytes(8, "little") + b"{" + b" " * 0x120A10)

    assert recognised(Source.of(file)) == "torch_weights"


def test_weights_alone_are_refused_with_what_they_are(tmp_path: Path) -> None:
    torch.save(built().state_dict(), tmp_path / "w.pt")

    error = refused(tmp_path / "w.pt", Given())

    assert "0.weight [4, 1, 3, 3], 1.weight [4], 1.bias [4]" in str(error)
    assert "--network (ds_cnn, mlp" in error.hint
    assert "torch.export.save" in error.hint


def test_what_does_not_fit_is_named_one_by_one(tmp_path: Path) -> None:
    state = built().state_dict()
    del state["1.bias"]
    state["9.extra"] = torch.zeros(2)
    state["11.weight"] = torch.zeros(10, 9)
    torch.save(state, tmp_path / "w.pt")

    error = refused(tmp_path / "w.pt")

    assert "1.bias [4] is missing; 9.extra [2] is left over" in str(error)
    assert "11.weight is [10, 9], not [10, 8]" in str(error)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Given(network="small_cnn", words=WORDS), "height and width"),
        (Given(network="small_cnn", words=WORDS, shapes={"a": (1,)}), "is no shape"),
        (Given(network="small_cnn", words=WORDS, shapes={"a": (1, 2), "b": (1, 2)}), "one input"),
        (Given(network="mlp", shapes=PICTURE), "does not fit this network"),
        (Given(network="small_cnn", words=("chanels=4",)), "no field 'chanels'"),
        (Given(network="smal_cnn"), "no network named 'smal_cnn'"),
        (Given(network="small_cnn", words=("hidden=65536",), shapes={"a": (1, 1, 4096, 4096)}),
         "at most 100,000,000"),
    ],
)  # fmt: skip
def test_what_is_given_with_the_weights_has_to_fit(tmp_path: Path, given: Given, said: str) -> None:
    torch.save(built().state_dict(), tmp_path / "w.pt")

    error = refused(tmp_path / "w.pt", given)

    assert said in str(error)
    assert isinstance(error, UnsupportedError | RecipeError | EdgeError)


@pytest.mark.parametrize("new", [True, False])
def test_a_whole_pickled_model_is_not_opened(tmp_path: Path, new: bool) -> None:
    torch.save(built(), tmp_path / "m.pt", _use_new_zipfile_serialization=new)

    error = refused(tmp_path / "m.pt")

    assert "holds pickled objects (torch.nn.modules" in str(error)
    assert "torch.save(model.state_dict(), path)" in error.hint


@pytest.mark.parametrize("held", [{}, {"lr": 0.1}, [1, 2], {1: torch.zeros(2)}])
def test_a_file_without_weights_is_refused(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "m.pt")

    assert "holds no weights by name" in str(refused(tmp_path / "m.pt"))


def test_damage_gives_two_clear_lines(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "w"
    for way in ("as it is", "as torch before 1.6", "as safetensors"):
        WAYS[way](built().state_dict(), file)
        whole = np.frombuffer(file.read_bytes(), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, min(len(whole), 2000), 3)] = rng.integers(0, 256, 3)
            file.write_bytes(damaged[: rng.integers(1, len(damaged))].tobytes())
            if importers["torch_weights"].accepts(Source.of(file)):
                refused(file, Given())
