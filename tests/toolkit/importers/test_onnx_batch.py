"""ONNX files exported for a fixed number of items: freed, or refused by what holds the batch."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Found, Given, read_model
from toolkit.inference import Runner

RNG = np.random.default_rng(0)
Arrays = dict[str, Any]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a graph in ONNX's own text form, with stored arrays by name."""

    def make(text: str, arrays: Arrays | None = None, opset: int = 20) -> Path:
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {text}')
        for name, array in (arrays or {}).items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def weights(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def answers_as_item_by_item(found: Found, file: Path, size: int = 1) -> bool:
    """Five items at once, against the file itself in the runtime, `size` at a time."""
    session = onnxruntime.InferenceSession(file.read_bytes())
    spec = found.model.signature.inputs[0]
    items = RNG.standard_normal((5, *spec.shape[1:])).astype(np.float32)
    padded = np.concatenate([items, items[: -len(items) % size]])
    expected = np.concatenate(
        [
            session.run(None, {spec.name: padded[i : i + size]})[0]
            for i in range(0, len(padded), size)
        ]
    )[:5]
    runner = Runner.of_model(found.model, QUIET)
    return np.allclose(runner.first_output(items, QUIET), expected, rtol=1e-4, atol=1e-5)


FIXED: dict[str, tuple[str, Arrays]] = {
    "a stored shape": (
        "(float[1,2,3] x) => (float[1,4] y) <int64[2] s = {1, 6}>"
        "{ z = Reshape(x, s) y = MatMul(z, w) }",
        {"w": weights(6, 4)},
    ),
    "a shape with a rest": (
        "(float[1,2,3] x) => (float[1,4] y) <int64[2] s = {1, -1}>"
        "{ z = Reshape(x, s) y = MatMul(z, w) }",
        {"w": weights(6, 4)},
    ),
    "a batch merged with time": (
        "(float[1,3,2] x) => (float[1,3,4] y) <int64[2] s = {3, 2}, int64[3] t = {1, 3, 4}>"
        "{ z = Reshape(x, s) m = MatMul(z, w) y = Reshape(m, t) }",
        {"w": weights(2, 4)},
    ),
    "time before the batch": (
        "(float[1,3,4] x) => (float[1,3,4] y)"
        "<int64[2] s = {3, 4}, int64[3] t = {3, 1, 4}, int64[3] h = {3, 2, 2}>"
        "{ a = Transpose <perm = [1, 0, 2]> (x) b = Reshape(a, s) c = MatMul(b, w)"
        " d = Reshape(c, t) e = Reshape(d, h) f = Softmax <axis = 2> (e) k = Reshape(f, t)"
        " y = Transpose <perm = [1, 0, 2]> (k) }",
        {"w": weights(4, 4)},
    ),
    "a token joined to each item": (
        "(float[1,3,4] x) => (float[1,4,4] y) { y = Concat <axis = 1> (token, x) }",
        {"token": weights(1, 1, 4)},
    ),
    "all of the batch": (
        "(float[1,3] x) => (float[1,3] y) <int64[2] s = {1, 3}, int64[1] b = {0}, int64[1] e = {1}>"
        "{ z = Reshape(x, s) y = Slice(z, b, e, b) }",
        {},
    ),
    "a stored size": (
        "(float[1,1,2,2] x) => (float[1,1,5,5] y) <int64[4] s = {1, 1, 5, 5}>"
        '{ y = Resize <mode = "linear"> (x, , , s) }',
        {},
    ),
    "a grid": (
        "(float[1,1,4,4] x) => (float[1,1,2,2] y) { y = GridSample(x, grid) }",
        {"grid": np.clip(weights(1, 2, 2, 2), -1, 1)},
    ),
}


@pytest.mark.parametrize("case", FIXED)
def test_a_batch_of_one_is_made_free_where_a_constant_holds_it(write: Write, case: str) -> None:
    file = write(*FIXED[case])

    found = read_model(file, Given(), QUIET)

    assert "Its batch of 1 was made free." in found.notes
    assert all(spec.shape[0] == -1 for spec in found.model.signature.inputs)
    assert answers_as_item_by_item(found, file)


@pytest.mark.parametrize("state", [np.zeros((1, 1, 3)), RNG.standard_normal((1, 1, 3))])
def test_a_state_that_a_recurrent_layer_starts_from_is_given_to_every_item(
    write: Write, state: Any
) -> None:
    arrays = {
        "w": weights(1, 12, 2), "r": weights(1, 12, 3), "b": weights(1, 24),
        "h": state.astype(np.float32), "c": state.astype(np.float32),
    }  # fmt: skip
    file = write(
        "(float[1,4,2] x) => (float[1,4,3] y) <int64[1] one = {1}>"
        "{ t = Transpose <perm = [1, 0, 2]> (x)"
        " a = LSTM <hidden_size = 3> (t, w, r, b, , h, c) s = Squeeze(a, one)"
        " y = Transpose <perm = [1, 0, 2]> (s) }",
        arrays,
    )

    found = read_model(file, Given(), QUIET)

    assert answers_as_item_by_item(found, file)


def test_a_batch_of_four_is_made_free_too(write: Write) -> None:
    file = write(
        "(float[4,2,3] x) => (float[4,4] y) <int64[2] s = {4, 6}>"
        "{ z = Reshape(x, s) m = MatMul(z, w) y = Add(m, bias) }",
        {"w": weights(6, 4), "bias": np.repeat(weights(1, 4), 4, 0)},
    )

    found = read_model(file, Given(), QUIET)

    assert "Its batch of 4 was made free." in found.notes
    assert answers_as_item_by_item(found, file, 4)


def test_a_shape_that_repeats_rows_for_four_items_repeats_them_for_any(write: Write) -> None:
    file = write(
        "(float[4,1,3] x) => (float[4,2,3] y) <int64[3] s = {4, 2, 3}> { y = Expand(x, s) }"
    )

    assert answers_as_item_by_item(read_model(file, Given(), QUIET), file, 4)


def test_a_batch_that_is_free_by_name_only_is_made_free(write: Write) -> None:
    text, arrays = FIXED["a stored shape"]
    file = write(text.replace("[1,", '["n",').replace('"n"', "n"), arrays)

    found = read_model(file, Given(), QUIET)

    assert "Its batch of 1 was made free." in found.notes
    assert answers_as_item_by_item(found, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(float[1,3] x) => (float[1,3] y) { y = ReduceSum <keepdims = 1> (x, z) }", "ReduceSum"),
        ("(float[1,3] x) => (float[1,3] y) { y = Softmax <axis = 0> (x) }", "Softmax (node"),
        ("(float[1,3] x) => (float[3] y) { y = Squeeze(x, z) }", "its output 'y' has shape [3]"),
        (
            "(float[1,3] x) => (float[1,3] y){ a = Squeeze(x, z) b = Relu(a) y = Unsqueeze(b, z) }",
            "Squeeze (node",
        ),
        ("(float[1,3] x) => (float y) { y = ReduceSum <keepdims = 0> (x) }", "'y' has shape []"),
        ("(float[1,3] x, float[2,3] b) => (float[2,3] y) { y = Add(x, b) }", "first axes differ"),
        ("(float[4,3] x) => (float[4,3] y) { y = Add(x, rows) }", "Add (node"),
    ],
)
def test_what_holds_the_batch_is_named(write: Write, text: str, said: str) -> None:
    used = {"z": np.array([0]), "rows": weights(4, 3)}
    file = write(text, {name: array for name, array in used.items() if name in text})

    with pytest.raises(UnsupportedError) as caught:
        read_model(file, Given(), QUIET)

    assert "does not run with a batch of any size" in str(caught.value)
    assert said in str(caught.value)
    assert "free first axis" in caught.value.hint or "first axis of every" in caught.value.hint
    assert "/onnxruntime" not in str(caught.value)


def test_a_graph_that_mixes_its_items_is_taken_over_with_a_note(write: Write) -> None:
    file = write("(float[n,3] x) => (float[n,3] y) { y = Softmax <axis = 0> (x) }")

    assert any("mixes" in note for note in read_model(file, Given(), QUIET).notes)


class Sight(nn.Module):
    """A small vision transformer: patches, a token, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False
        )
        self.end = nn.Linear(16, 5)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rows = self.patches(pictures).flatten(2).transpose(1, 2)
        rows = torch.cat([self.token.expand(len(pictures), -1, -1), rows], 1)
        end: torch.Tensor = self.end(self.layers(rows)[:, 0])
        return end


@pytest.mark.parametrize("size", [1, 4])
def test_a_transformer_exported_for_a_fixed_batch_is_made_free(tmp_path: Path, size: int) -> None:
    torch.manual_seed(0)
    file = tmp_path / "sight.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Sight().eval(), (torch.randn(size, 3, 16, 16),), str(file),
            dynamo=False, opset_version=17,
        )  # fmt: skip

    found = read_model(file, Given(), QUIET)

    assert found.layout == "NCHW"
    assert found.opset == 17
    assert answers_as_item_by_item(found, file, size)
