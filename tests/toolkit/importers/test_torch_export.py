"""Programs of torch.export.save: real ones, and ones with code where numbers should be."""

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Given, Source, importers, read_model
from toolkit.inference import Runner
from toolkit.onnx_graph import parse
from toolkit.opening.program import MODEL, checked, plain

WEIGHTS = "data/weights/model_weights_config.json"


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4 * 6 * 6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.first(x).relu().reshape(x.shape[0], -1)
        scores: torch.Tensor = self.last(flat)
        return scores


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def fixed(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported for one picture."""
    path = tmp_path_factory.mktemp("export") / "fixed.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 8),)), path)
    return path


def changed(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of an archive, its members changed by `change`."""
    with zipfile.ZipFile(source) as archive:
        held = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(held)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in held.items():
            archive.writestr(f"fixed/{name}", content)
    return target


def refused(file: Path) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        read_model(file, Given(), QUIET)
    assert caught.value.hint
    return caught.value


def test_a_program_gives_the_same_answers_and_keeps_its_names(
    module: nn.Module, fixed: Path
) -> None:
    found = read_model(fixed, Given(), QUIET)

    items = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(items)).numpy()
    answers = Runner.of_model(found.model, QUIET).first_output(items, QUIET)
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)
    names = {tensor.name for tensor in parse(found.model.graph).graph.initializer}
    assert {"first.weight", "first.bias", "last.weight", "last.bias"} <= names
    assert found.model.signature.inputs[0].name == "x"
    assert (found.layout, found.opset) == ("NCHW", 0)
    assert any("made free" in note for note in found.notes)


def test_a_program_with_a_free_batch_is_taken_over(module: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "any.name"
    batch = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=(batch,))
    with file.open("wb") as stream:
        torch.export.save(program, stream)

    found = read_model(file, Given(), QUIET)

    assert found.model.signature.inputs[0].shape == (-1, 3, 8, 8)
    assert found.notes == ()


class Strike:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (Path.touch, (self.place,))


def test_sample_inputs_are_never_unpickled(fixed: Path, tmp_path: Path) -> None:
    struck, pickle = tmp_path / "struck", tmp_path / "pickle"
    torch.save(Strike(struck), pickle)

    def strike(held: dict[str, bytes]) -> None:
        held["data/sample_inputs/model.pt"] = pickle.read_bytes()

    file = changed(fixed, tmp_path / "bad.pt2", strike)

    torch.export.load(checked(file))

    assert not struck.exists()
    with contextlib.suppress(Exception):
        torch.export.load(file)  # the control: torch itself unpickles it
    assert struck.exists()


def test_pickled_weights_and_objects_are_refused(fixed: Path, tmp_path: Path) -> None:
    for name in (WEIGHTS, WEIGHTS.replace("weights", "constants")):

        def pickled(held: dict[str, bytes], name: str = name) -> None:
            config = json.loads(held[WEIGHTS])
            [entry, *_] = config["config"].values()
            entry["use_pickle"] = True
            held[name] = json.dumps({"config": {"first.weight": entry}}).encode()

        error = refused(changed(fixed, tmp_path / "bad.pt2", pickled))

        assert "'first.weight' as a pickled object" in str(error)
        assert isinstance(error, UnsupportedError)


def program_with(path: str, value: Any) -> Callable[[dict[str, bytes]], None]:
    """Puts a value at a place in the program: keys between slashes, numbers in lists."""

    def change(held: dict[str, bytes]) -> None:
        program = json.loads(held[MODEL])
        *keys, last = path.split("/")
        inner: Any = program
        for key in keys:
            inner = inner[int(key) if isinstance(inner, list) else key]
        inner[int(last) if isinstance(inner, list) else last] = value
        held[MODEL] = json.dumps(program).encode()

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("graph_module/graph/nodes/0/name", "x = __import__('os')"),
        ("graph_module/graph/inputs/0/as_tensor/name", "a: b"),
        (
            "graph_module/graph/tensor_values/x/sizes/0",
            {"as_expr": {"expr_str": "__import__('os').getpid()", "hint": None}},
        ),
        (
            "graph_module/module_call_graph/0/signature/out_spec",
            '[1, {"type": "builtins.dict", "context": "[{\\"__enum__\\": true, \\"fqn\\": '
            '\\"os:system\\"}]", "children_spec": []}]',
        ),
        ("graph_module/module_call_graph/0/fqn", "a; b"),
        ("graph_module", []),
        ("graph_module/graph/nodes/0/inputs", 7),
    ],
)
def test_code_in_the_place_of_names_and_sizes_is_refused_unread(
    fixed: Path, tmp_path: Path, path: str, value: Any
) -> None:
    error = refused(changed(fixed, tmp_path / "bad.pt2", program_with(path, value)))

    assert isinstance(error, IntegrityError)
    assert "was not loaded" in str(error)


@pytest.mark.parametrize(
    "target",
    ["torch.os.system", "torch.ops.acme.secret.default", "torch.ops.aten.from_file.default",
     "_operator.methodcaller", "math.__loader__.load_module", "#acme:x"],
)  # fmt: skip
def test_operators_that_torch_does_not_own_are_named(
    fixed: Path, tmp_path: Path, target: str
) -> None:
    change = program_with("graph_module/graph/nodes/0/target", target)

    error = refused(changed(fixed, tmp_path / "bad.pt2", change))

    assert target.removeprefix("torch.ops.") in str(error)


def test_guards_are_not_evaluated(fixed: Path, tmp_path: Path) -> None:
    guard = program_with("guards_code", ["__import__('os').getpid()"])

    archive = checked(changed(fixed, tmp_path / "guarded.pt2", guard))

    assert torch.export.load(archive)._guards_code == []


def test_a_program_exported_on_a_graphics_card_runs_here(fixed: Path, tmp_path: Path) -> None:
    def moved(held: dict[str, bytes]) -> None:
        for name in (MODEL, WEIGHTS):
            held[name] = held[name].replace(b'"type": "cpu"', b'"type": "cuda"')

    program = torch.export.load(checked(changed(fixed, tmp_path / "cuda.pt2", moved)))

    assert {str(value.device) for value in program.state_dict.values()} == {"cpu"}


@pytest.mark.parametrize("drop", [MODEL, WEIGHTS, "data/weights/weight_0"])
def test_an_archive_with_a_part_missing_is_refused(fixed: Path, tmp_path: Path, drop: str) -> None:
    file = changed(fixed, tmp_path / "bad.pt2", lambda held: held.__delitem__(drop))

    refused(file)


def test_an_archive_that_unpacks_to_far_more_than_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "swollen.pt2"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/models/model.json", bytes(100 << 20))

    assert importers["torch_export"].accepts(Source.of(file))
    assert "would unpack to 104,857,600 bytes" in str(refused(file))


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Mul(Integer(2), Symbol('s0', integer=True))", True),
        ("Add(Symbol('s0', positive=True), Integer(-1))", True),
        ("Symbol('s0', positive=open('x'))", False),
        ("Integer(9)**Integer(9)", False),
        ("exec('1')", False),
        ("1" * 40 + "x", False),
    ],
)
def test_sizes_are_sums_and_products_of_symbols(text: str, fine: bool) -> None:
    assert plain("expr_str", text) == fine


class Singular(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.linalg.svdvals(x)
        return found


def test_an_operator_without_translation_is_named(tmp_path: Path) -> None:
    file = tmp_path / "singular.pt2"
    torch.export.save(torch.export.export(Singular(), (torch.eye(3)[None],)), file)

    error = refused(file)

    assert "svd" in str(error)
    assert "has no translation" in str(error)
