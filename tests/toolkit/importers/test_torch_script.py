"""TorchScript archives: traced and scripted, and ones that would write files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Given, read_model
from toolkit.inference import Runner
from toolkit.opening.script import FILES, LOOKUP, PLAIN_LOOKUP

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
]


class Seen(nn.Module):
    """Looks at a picture; its batch of one stands in the program where `tied`."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.last = nn.Linear(4 * 6 * 6, 5)
        self.tied = tied

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = 1 if self.tied else x.shape[0]
        scores: torch.Tensor = self.last(self.layers(x).reshape(size, -1))
        return scores


class Both(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a.sum(1, keepdim=True)


class Writes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "stolen")
        return x


class Table(nn.Module):
    def forward(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
        return x["a"]


class Words(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"a": x}


def script(module: nn.Module, file: Path) -> Path:
    torch.jit.save(torch.jit.script(module.eval()), str(file))
    return file


def trace(module: nn.Module, file: Path, *example: torch.Tensor) -> Path:
    torch.jit.save(torch.jit.trace(module.eval(), example), str(file))  # type: ignore[no-untyped-call]
    return file


def refused(file: Path, **shapes: tuple[int, ...]) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, Given(shapes=shapes), QUIET)
    assert caught.value.hint
    return caught.value


def agrees(file: Path, module: nn.Module, given: Given) -> bool:
    items = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    found = read_model(file, given, QUIET).model
    with torch.no_grad():
        expected = np.concatenate([module(torch.from_numpy(item[None])).numpy() for item in items])
    answers = Runner.of_model(found, QUIET).first_output(items, QUIET)
    return np.allclose(answers, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_a_traced_program_says_its_sizes_itself(tmp_path: Path, tied: bool) -> None:
    module = Seen(tied).eval()
    file = trace(module, tmp_path / "any.name", torch.zeros(1, 3, 8, 8))

    assert agrees(file, module, Given())


@pytest.mark.parametrize("tied", [False, True])
def test_a_scripted_program_is_told_its_sizes(tmp_path: Path, tied: bool) -> None:
    module = Seen(tied).eval()
    file = script(module, tmp_path / "scripted.pt")

    error = refused(file)
    assert "does not say the sizes" in str(error)
    assert "--shape x=1,3,224,224" in error.hint
    assert "torch.export.save" in error.hint
    assert agrees(file, module, Given(shapes={"x": (1, 3, 8, 8)}))


def test_the_width_of_a_first_layer_is_the_width_of_the_input(tmp_path: Path) -> None:
    file = script(nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 2)), tmp_path / "a.pt")

    found = read_model(file, Given(), QUIET)

    assert found.model.signature.inputs[0].shape == (-1, 7)
    assert any("taken from its first weight" in note for note in found.notes)


def test_several_inputs_and_outputs_are_taken_over(tmp_path: Path) -> None:
    file = script(Both(), tmp_path / "both.pt")

    signature = read_model(file, Given(shapes={"a": (1, 4), "b": (1, 4)}), QUIET).model.signature

    assert [spec.name for spec in signature.inputs] == ["a", "b"]
    assert [(spec.name, spec.shape) for spec in signature.outputs] == [
        ("output_0", (-1, 4)), ("output_1", (-1, 1)),
    ]  # fmt: skip


def test_numbers_of_words_are_taken_by_their_type(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 2))
    file = trace(module, tmp_path / "words.pt", torch.zeros((1, 3), dtype=torch.int64))

    assert read_model(file, Given(), QUIET).model.signature.inputs[0].dtype == "int64"


@pytest.mark.parametrize(
    ("module", "shapes", "said"),
    [
        (Seen(), {"x": (1, 3, 9, 9)}, "does not take x=1,3,9,9"),
        (Seen(), {"y": (1, 3, 8, 8)}, "has no input 'y'"),
        (Table(), {}, "'x' is of type Dict[str, Tensor]"),
        (Words(), {"x": (1, 3)}, "answers with dict"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, module: nn.Module, shapes: dict[str, Any], said: str
) -> None:
    assert said in str(refused(script(module, tmp_path / "a.pt"), **shapes))


def test_a_program_that_writes_files_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = script(Writes(), tmp_path / "writes.pt")

    assert "may read or write files" in str(refused(file, x=(1, 3)))
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ('_0 = getattr(self, "0")', True),
        ("x = torch.saved", True),
        ("torch.save(x, y)", False),
        ("torch . save(x, y)", False),
        ("torch. # a\n save(x, y)", False),
        ("torch.\\\n save(x, y)", False),
        ("torch.from_file(y)", False),
        ('getattr(torch, "sa" + "ve")(x, y)', False),
        ('getattr(torch, "relu")(x)', False),
        ('getattr(mine, "save")(x, y)', False),
        ('getattr (mine, "relu")(x, y)', False),
    ],
)
def test_words_that_touch_files_are_seen_however_they_are_written(text: str, safe: bool) -> None:
    plain = len(LOOKUP.findall(text)) == len(PLAIN_LOOKUP.findall(text))

    assert (plain and not FILES.search(text)) == safe


@pytest.mark.parametrize("word", ["ops.acme.secret(x)", "a = ops", "ops.prim.rpc_async(x)"])
def test_operators_of_other_libraries_are_refused(tmp_path: Path, word: str) -> None:
    whole, file = script(Both(), tmp_path / "whole.pt"), tmp_path / "foreign.pt"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("__torch__.py") or ("/code/" in name and name.endswith(".py")):
                content += f"\n# {word}\n".encode()
            new.writestr(name, content)

    assert "library of their own" in str(refused(file, a=(1, 4), b=(1, 4)))
