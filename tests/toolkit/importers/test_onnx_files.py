"""ONNX files as they come: data beside them, free sizes, rare types, maps, versions, metadata."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.errors import DataError, EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Found, Given, read_model
from toolkit.inference import Runner
from toolkit.onnx_graph import operators, parse

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
HEAD = '<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3, "com.microsoft" : 1]> g '
TIMES = "(float[n,4] x) => (float[n,3] y) { y = MatMul(x, w) }"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a graph in ONNX's own text form; weights `w` and other arrays are stored in it."""

    def make(text: str = TIMES, head: str = HEAD, meta: Any = None, **arrays: Any) -> Path:
        model = onnx.parser.parse_model(head + text)
        if "w)" in text:
            arrays = {"w": WEIGHTS, **arrays}
        for name, array in arrays.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        helper.set_model_props(model, meta or {})
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def imported(file: Path, **shapes: tuple[int, ...]) -> Found:
    return read_model(file, Given(shapes=shapes), QUIET)


def refused(file: Path, **shapes: tuple[int, ...]) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        imported(file, **shapes)
    assert caught.value.hint
    return caught.value


def first_answer(found: Found, items: Any) -> Any:
    return Runner.of_model(found.model, QUIET).first_output(np.asarray(items, np.float32), QUIET)


# ---------------------------------------------------------------------- weights in other files


def outside(file: Path, place: str = "data/w.bin", offset: int = 0, **entries: str) -> Path:
    """The same file with its weights in another; `entries` are said of that one."""
    model = onnx.load(file)
    data = file.parent / "data" / "w.bin"
    data.parent.mkdir(exist_ok=True)
    data.write_bytes(bytes(offset) + WEIGHTS.tobytes())
    [tensor] = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, "offset": str(offset), **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    file.write_bytes(model.SerializeToString())
    return file


def test_weights_beside_the_model_are_taken_inside(write: Write) -> None:
    found = imported(outside(write(), offset=64))

    assert not any(t.external_data for t in parse(found.model.graph).graph.initializer)
    assert first_answer(found, np.eye(4)).tolist() == WEIGHTS.tolist()
    assert any("48 bytes of weights" in note for note in found.notes)


@pytest.mark.parametrize(
    ("entries", "kind", "said"),
    [
        ({"place": "none.bin"}, DataError, "none.bin, which cannot be read"),
        ({"place": "../secret.bin"}, UnsupportedError, "not in its folder"),
        ({"place": "data/../data/w.bin"}, UnsupportedError, "not in its folder"),
        ({"place": "/etc/passwd"}, UnsupportedError, "not in its folder"),
        ({"place": "link/secret.bin"}, UnsupportedError, "not in its folder"),
        ({"place": "a\0b"}, UnsupportedError, "not in its folder"),
        ({"place": ""}, UnsupportedError, "not in its folder"),
        ({"place": "data"}, DataError, "cannot be read"),
        ({"length": "47"}, IntegrityError, "48 bytes by its shape, and 47"),
        ({"offset": 4, "length": "48"}, None, ""),
        ({"length": "-1"}, IntegrityError, "length '-1'"),
        ({"length": "9" * 30}, IntegrityError, "length"),
    ],
)
def test_data_is_read_only_where_and_as_it_should_be(
    write: Write, tmp_path: Path, entries: dict[str, Any], kind: type[EdgeError] | None, said: str
) -> None:
    folder = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    folder.mkdir()
    for place in (folder / "secret.bin", tmp_path.parent / "secret.bin"):
        place.write_bytes(bytes(48))
    (tmp_path / "link").symlink_to(folder)
    file = outside(write(), **entries)

    if kind is None:
        imported(file)
        return
    error = refused(file)

    assert type(error) is kind
    assert said in str(error)


def test_a_data_file_that_is_too_short_is_refused(write: Write) -> None:
    file = outside(write())
    (file.parent / "data" / "w.bin").write_bytes(bytes(40))

    assert "has 40 bytes; model.onnx needs 48" in str(refused(file))


def test_a_weight_larger_than_any_device_is_refused_before_it_is_read(write: Write) -> None:
    file = outside(write())
    model = onnx.load(file, load_external_data=False)
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    file.write_bytes(model.SerializeToString())

    assert "more than 1024 MiB" in str(refused(file))


# -------------------------------------------------------------------------------------- sizes

TWO = "(float[n,c,time] a, float[n,time,c] b) => (float[n,c,c] y){ y = MatMul(a, b) }"


def test_free_sizes_are_named_with_the_way_out(write: Write) -> None:
    error = refused(write("(float[n,3,height,width] x) => (float[n,3,h,w2] y) { y = Relu(x) }"))

    assert "'x' has shape [n, 3, height, width]" in str(error)
    assert "--shape x=1,3,224,224" in error.hint


def test_sizes_of_all_inputs_are_asked_for_at_once(write: Write) -> None:
    error = refused(write(TWO))

    assert "'a' has shape [n, c, time]; 'b' has shape [n, time, c]" in str(error)
    assert "--shape a=1," in error.hint
    assert "--shape b=1," in error.hint


@pytest.mark.parametrize("batch", [1, -1, 7])
def test_a_size_that_is_given_counts_wherever_its_name_stands(write: Write, batch: int) -> None:
    found = imported(write(TWO), a=(batch, 2, 5))

    assert [spec.shape for spec in found.model.signature.inputs] == [(-1, 2, 5), (-1, 5, 2)]
    assert [spec.shape for spec in found.model.signature.outputs] == [(-1, 2, 2)]


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"q": (1, 4)}, "has no input 'q'"),
        ({"x": (1, 4, 4)}, "[1, 4, 4] does not fit"),
        ({"x": (1, 5)}, "[1, 5] does not fit"),
        ({"x": (1, 0)}, "[1, 0] does not fit"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(
    write: Write, shapes: dict[str, tuple[int, ...]], said: str
) -> None:
    assert said in str(refused(write(), **shapes))


def test_an_input_that_says_nothing_of_its_shape_gets_the_one_that_is_given(write: Write) -> None:
    file = write("(float[n,3] x) => (float[n,3] y) { y = Relu(x) }")
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    file.write_bytes(model.SerializeToString())

    assert "--shape x=1,3,224,224" in refused(file).hint
    assert imported(file, x=(1, 2, 2)).model.signature.outputs[0].shape == (-1, 2, 2)


def test_outputs_have_the_shape_that_they_have_and_not_the_one_that_is_written(
    write: Write,
) -> None:
    file = write("(float[n,4] x) => (float[n,77] y) { y = MatMul(x, w) }")

    assert imported(file).model.signature.outputs[0].shape == (-1, 3)


# -------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("uint8", "uint8"), ("int8", "int8"), ("int32", "int32"), ("int64", "int64"),
        ("bool", "bool"), ("double", "float64"), ("float16", "float32"), ("uint16", "int32"),
        ("bfloat16", "float32"), ("uint64", "int64"),
    ],
)  # fmt: skip
def test_inputs_keep_their_type_or_get_the_next_that_holds_it(
    write: Write, kind: str, dtype: str
) -> None:
    file = write(f"({kind}[n,3] x) => ({kind}[n,3] y) {{ y = Identity(x) }}")

    found = imported(file)

    assert found.model.signature.inputs[0].dtype == dtype
    assert found.model.signature.outputs[0].dtype == dtype
    assert any(kind in note for note in found.notes) == (
        kind in {"uint16", "bfloat16", "uint64"} or kind == "float16"
    )


def test_several_inputs_and_outputs_keep_their_order(write: Write) -> None:
    file = write(
        "(float[n,2] b, int64[n,2] a) => (int64[n,2] z, float[n,2] y){ y = Neg(b) z = Neg(a) }"
    )

    signature = imported(file).model.signature

    assert [spec.name for spec in signature.inputs] == ["b", "a"]
    assert [(spec.name, spec.dtype) for spec in signature.outputs] == [
        ("z", "int64"), ("y", "float32"),
    ]  # fmt: skip


def test_what_is_never_used_is_left_out_with_a_note(write: Write) -> None:
    found = imported(write("(float[n,3] x, float[2] u) => (float[n,3] y) { y = Relu(x) }"))

    assert [spec.name for spec in found.model.signature.inputs] == ["x"]
    assert "Its input 'u' is never used, and was left out." in found.notes


@pytest.mark.parametrize(
    "text",
    [
        "(seq(float[n,3]) x) => (float[n,3] y) <int64 i = {0}> { y = SequenceAt(x, i) }",
        "(float[n,3] x) => (seq(float[n,3]) y) { y = SequenceConstruct(x) }",
        "(optional(float[n,3]) x) => (float[n,3] y) { y = OptionalGetElement(x) }",
    ],
)
def test_what_is_no_tensor_is_refused_by_name(write: Write, text: str) -> None:
    assert "is no tensor" in str(refused(write(text)))


TREES = (
    "(float[n,2] x) => (int64[n] label, seq(map(int64, float)) shares)"
    "{ label, p = LINEAR (x) shares = ai.onnx.ml.ZipMap <KEYS> (p) }"
)
LINEAR = (
    "ai.onnx.ml.LinearClassifier <classlabels_LABELS, coefficients = [1.0, 0.0, 0.0, 1.0],"
    ' intercepts = [0.0, 0.0], post_transform = "SOFTMAX">'
)


@pytest.mark.parametrize(
    ("kind", "keys", "labels"),
    [
        ("ints", "ints = [3, 7]", ("3", "7")),
        ("strings", 'strings = ["cat", "dog"]', ("cat", "dog")),
    ],
)
def test_a_map_of_shares_becomes_its_shares(
    write: Write, kind: str, keys: str, labels: tuple[str, ...]
) -> None:
    text = TREES.replace("LINEAR", LINEAR).replace("LABELS", keys)
    text = text.replace("KEYS", f"classlabels_{keys.replace('ints', 'int64s')}")
    if kind == "strings":
        text = text.replace("int64[n] label", "string[n] label").replace("map(int64", "map(string")

    found = imported(write(text))

    assert [(s.name, s.shape) for s in found.model.signature.outputs] == [("p", (-1, 2))]
    assert found.model.signature.labels == labels
    assert any("ZipMap" in note for note in found.notes)
    assert first_answer(found, [[0, 0]]).tolist() == [[0.5, 0.5]]
    assert any("onnxruntime, not in TensorFlow Lite" in note for note in found.notes)


# ------------------------------------------------------------------------ operators, versions


def test_every_operator_that_stands_in_the_way_is_named_at_once(write: Write) -> None:
    head = HEAD.replace("]>", ', "acme" : 1]>').replace('20, "ai', '20, "ai')
    file = write(
        "(float[n,4] x) => (float[n,4] y)"
        "{ [one] a = Fancy(x) [two] b = acme.Secret(a) [three] y = com.microsoft.Nope(b) }",
        head,
    )

    error = refused(file)

    for said in ("Fancy (node 'one')", "acme.Secret (node 'two')", "com.microsoft.Nope"):
        assert said in str(error)
    assert "Update onnxruntime" in error.hint


def test_an_operator_of_the_runtimes_own_is_taken_over_with_a_note(write: Write) -> None:
    file = write("(float[n,4] x) => (float[n,4] y) { y = com.microsoft.Gelu(x) }")

    assert any("Gelu × 1" in note for note in imported(file).notes)


def test_integer_layers_stay_as_they_are_with_a_note(write: Write) -> None:
    file = write(
        "(uint8[n,4] x) => (int32[n,3] y) { y = MatMulInteger(x, q) }",
        q=np.ones((4, 3), np.int8),
    )

    found = imported(file)

    assert operators(found.model.graph) == {"MatMulInteger": 1}
    assert any("quantized already (MatMulInteger × 1)" in note for note in found.notes)


@pytest.mark.parametrize("opset", [1, 7, 9, 13, 18, 21, 24, 28])
def test_any_opset_gives_the_same_answers_at_ours(write: Write, opset: int) -> None:
    head = f'<ir_version: 3, opset_import: ["" : {opset}]> g '
    file = write(
        "(float[n,4] x, float[4,3] w) => (float[n,3] y) { y = MatMul(x, w) }",
        head if opset < 9 else head.replace("3", "14", 1), w=WEIGHTS,
    )  # fmt: skip

    found = imported(file)

    assert found.opset == opset
    assert [o.version for o in parse(found.model.graph).opset_import] == [20]
    assert first_answer(found, np.eye(4)).tolist() == WEIGHTS.tolist()
    assert any("newer than onnxruntime's" in note for note in found.notes) == (opset > 26)


def test_an_opset_that_nobody_knows_is_refused_by_number(write: Write) -> None:
    file = write(head='<ir_version: 10, opset_import: ["" : 99]> g ')

    assert "opset 99" in str(refused(file))


OLD = {
    "Upsample": (
        9,
        "(float[n,1,4,4] x) => (float[n,1,8,8] y) { y = Upsample <mode = MODE> (x, s) }",
    ),
    "Resize": (10, "(float[n,1,5,5] x) => (float[n,1,8,8] y) { y = Resize <mode = MODE> (x, s) }"),
    "Softmax": (11, "(float[n,3,4] x) => (float[n,3,4] y) { y = Softmax(x) }"),
    "Hardmax": (11, "(float[n,3,4] x) => (float[n,3,4] y) { y = Hardmax(x) }"),
}


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("name", OLD)
def test_an_opset_is_raised_only_where_the_answers_stay(write: Write, name: str, mode: str) -> None:
    opset, text = OLD[name]
    head, text = HEAD.replace('"" : 20', f'"" : {opset}'), text.replace("MODE", f'"{mode}"')
    scale = 2 if name == "Upsample" else 1.6
    stored = {"s": np.array([1, 1, scale, scale], np.float32)} if "s)" in text else {}
    file = write(text, head, **stored)

    found = imported(file)

    items = np.random.default_rng(0).standard_normal(
        (2, *found.model.signature.inputs[0].shape[1:])
    )
    expected = onnxruntime.InferenceSession(file.read_bytes()).run(
        None, {"x": items.astype(np.float32)}
    )
    np.testing.assert_allclose(first_answer(found, items), expected[0], rtol=1e-5, atol=1e-6)
    [version] = [o.version for o in parse(found.model.graph).opset_import if not o.domain]
    kept = name == "Hardmax"  # which the converter gets wrong
    assert version == (11 if kept else 20)
    assert any("stays at opset 11" in note for note in found.notes) == kept


# ----------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("labels", "cat,dog,hen"),
        ("labels", "cat\ndog\nhen\n"),
        ("names", "{0: 'cat', 1: 'dog', 2: 'hen'}"),
        ("class_names", json.dumps(["cat", "dog", "hen"])),
        ("id2label", json.dumps({"0": "cat", "1": "dog", "2": "hen"})),
        ("classes", "('cat', 'dog', 'hen')"),
        ("classes", json.dumps({"cat": 0, "dog": 1, "hen": 2})),
    ],
)
def test_classes_get_the_names_that_the_file_tells(write: Write, key: str, text: str) -> None:
    found = imported(write(meta={key: text}))

    assert found.model.signature.labels == ("cat", "dog", "hen")
    assert found.metadata[key] == text


@pytest.mark.parametrize(
    "text",
    [
        "cat,dog", "{0: 'cat', 2: 'dog', 3: 'hen'}", "__import__('os').getpid()", "[" * 50_000,
        "{0: 'a', 1: 'a', 2: 'b'}", "[['a'], 'b', 'c']", "", "[1e999, {}, 2]",
    ],
)  # fmt: skip
def test_words_that_are_no_fitting_names_are_left_out(write: Write, text: str) -> None:
    assert imported(write(meta={"names": text})).model.signature.labels == ("0", "1", "2")


def test_how_inputs_were_prepared_is_said(write: Write) -> None:
    found = imported(write(meta={"image_mean": "[0.485]", "author": "Ada"}))

    assert any("image_mean = [0.485]" in note for note in found.notes)
    assert found.metadata["author"] == "Ada"


def test_nodes_without_a_name_or_with_a_name_of_another_get_their_own(write: Write) -> None:
    file = write("(float[n,3] x) => (float[n,3] y) { [a] p = Relu(x) [a] q = Neg(p) y = Abs(q) }")

    names = [node.name for node in parse(imported(file).model.graph).graph.node]

    assert len(set(names)) == 3
    assert all(names)


def test_an_output_that_is_listed_twice_is_one(write: Write) -> None:
    file = write("(float[n,3] x) => (float[n,3] y, float[n,3] y) { y = Relu(x) }")

    assert [spec.name for spec in imported(file).model.signature.outputs] == ["y"]


def test_an_output_whose_size_depends_on_values_is_refused_by_name(write: Write) -> None:
    file = write("(float[n,4] x) => (int64[k,2] y) { r = Relu(x) z = NonZero(r) y = Transpose(z) }")

    assert "how much 'y' holds depends on the values" in str(refused(file))


def test_words_counted_into_a_table_are_drawn_from_it(write: Write) -> None:
    file = write("(int64[n,5] x) => (float[n,5,3] y) { y = Gather(w, x) z = Relu(w) }")

    assert imported(file).model.signature.inputs[0].dtype == "int64"


def test_a_model_that_needs_too_much_memory_is_refused(write: Write) -> None:
    file = write(
        "(float[n,4] x) => (float[n,4] y)"
        "{ h = ConstantOfShape(s) m = ReduceMax <keepdims = 0> (h) y = Add(x, m) }",
        s=np.array([1 << 20, 1 << 20]),
    )

    assert "needs more memory" in str(refused(file))
