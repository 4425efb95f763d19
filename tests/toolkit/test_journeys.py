"""The line on a workspace, step by step, with what each step refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import (
    Cancelled,
    DataError,
    EdgeError,
    IntegrityError,
    RecipeError,
    StorageError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit import compression, journeys, shelf, shipping
from toolkit.data import Dataset
from toolkit.data.sources.csv import Csv
from toolkit.data.sources.digits import Digits
from toolkit.meaning import Told
from toolkit.model import Model
from toolkit.onnx_graph import graph_of, parse
from toolkit.recipe import Recipe
from toolkit.workspace import Workspace

WORDS = ("channels=4,8", "hidden=16", "epochs=4", "seed=1")
WriteTable = Callable[..., Path]


def test_training_tells_how_good_the_model_is_and_keeps_it(
    workspace: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(workspace, digits, "data add", {})

    found = journeys.train(workspace, "digits", "small_cnn", WORDS, "m", QUIET)

    assert (found.name, found.network, found.data, found.epochs) == ("m", "small_cnn", "digits", 4)
    assert found.metric == "accuracy"
    assert 0.8 < found.test.low < found.test.value < found.test.high
    entry = workspace.get("models", "m")
    assert entry.parameters["channels"] == [4, 8]
    assert shelf.load_model(workspace, entry).parameters == found.parameters
    assert not list((workspace.root / "runs").iterdir())


def test_a_cancelled_training_goes_on_when_it_is_typed_again(
    workspace: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(workspace, digits, "data add", {})

    def cancel_in_the_third_epoch(event: Event) -> None:
        if event.done == 2:
            job.cancel()

    job, events = Job(cancel_in_the_third_epoch), list[Event]()
    with pytest.raises(Cancelled):
        journeys.train(workspace, "digits", "small_cnn", WORDS, "m", job)
    assert workspace.names("models") == []

    journeys.train(workspace, "digits", "small_cnn", WORDS, "m", Job(events.append))

    assert events[0].done == 2


@pytest.mark.parametrize(
    ("data", "network", "words", "name", "said"),
    [
        ("digits", "small_cnn", (), "../m", "is not a name"),
        ("digit", "small_cnn", (), "m", "no dataset named 'digit'"),
        ("digits", "smal_cnn", (), "m", "no network named 'smal_cnn'"),
        ("digits", "small_cnn", ("chanels=3",), "m", "no field 'chanels'"),
        ("digits", "small_cnn", ("epochs=0",), "m", "epochs"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_done(
    line: Workspace, data: str, network: str, words: tuple[str, ...], name: str, said: str
) -> None:
    events: list[Event] = []

    with pytest.raises(EdgeError, match=said) as caught:
        journeys.train(line, data, network, words, name, Job(events.append))

    assert caught.value.hint
    assert events == []


def test_an_image_network_on_a_table_is_refused_with_the_one_to_use(
    workspace: Workspace, table: WriteTable
) -> None:
    rows = [["x", "kind"], *[[i, "ab"[i % 2]] for i in range(20)]]
    data = Csv().dataset("rows", str(table(rows)), "kind", QUIET)
    shelf.save_dataset(workspace, data, "data add", {})

    with pytest.raises(UnsupportedError) as caught:
        journeys.train(workspace, "rows", "small_cnn", (), "m", QUIET)

    assert "--network mlp" in caught.value.hint


def test_a_built_file_is_proven_on_all_data(line: Workspace) -> None:
    found = journeys.build(line, "m", ("onnx", "tflite"), None, QUIET)

    assert found.ok
    assert [artifact.name for artifact in found.artifacts] == ["m.onnx", "m.tflite"]
    for artifact in found.artifacts:
        entry = line.get("artifacts", artifact.name)
        parity = entry.facts["parity"]
        assert (artifact.samples, artifact.label_agreement) == (1797, 1)
        assert artifact.max_difference <= parity["tolerance"] == 1e-4
        assert parity["explained"] is None
        assert line.file(entry, f"model{Path(artifact.name).suffix}").name == artifact.sha256
        assert not entry.facts["quantized"]


def test_an_int8_file_keeps_the_labels_of_its_model(line: Workspace) -> None:
    for name in ("m-int8.onnx", "m-int8.tflite"):
        facts = line.get("artifacts", name).facts
        assert facts["quantized"]
        assert facts["parity"]["passed"]
        assert facts["parity"]["label_agreement"] >= 0.995


def test_a_name_that_would_grow_too_long_fails_before_any_work(line: Workspace) -> None:
    model = line.get("models", "m")
    data = shelf.data_of(line, model)
    long = "m" * 76
    shelf.save_model(line, long, shelf.load_model(line, model), "train", {}, data, data)
    events: list[Event] = []

    with pytest.raises(RecipeError, match=rf"'{long}\.onnx' is not a name"):
        journeys.build(line, long, ("onnx",), None, Job(events.append))

    assert events == []


def test_an_artifact_in_place_of_its_model_is_answered_with_the_model(line: Workspace) -> None:
    with pytest.raises(UnsupportedError, match=r"m-int8\.onnx is an artifact") as caught:
        journeys.build(line, "m-int8.onnx", ("onnx",), None, QUIET)

    assert caught.value.hint.endswith("built from: m-int8.")


def test_a_folder_that_cannot_be_made_is_told(workspace: Workspace, digits: Dataset) -> None:
    shelf.save_dataset(workspace, digits, "data add", {})
    (workspace.root / "runs").write_text("a file where the folder should be")

    with pytest.raises(StorageError, match="runs could not be written") as caught:
        journeys.train(workspace, "digits", "small_cnn", WORDS, "m", QUIET)

    assert caught.value.hint


def test_an_unknown_format_fails_before_any_work(line: Workspace) -> None:
    with pytest.raises(UnknownNameError) as caught:
        journeys.build(line, "m", ("onnx", "tflit"), None, QUIET)

    assert caught.value.hint == "Did you mean 'tflite'?"


@pytest.mark.parametrize("name", ["m", "m-int8", "m-int8.tflite"])
def test_measuring_tells_quality_equality_size_and_speed(line: Workspace, name: str) -> None:
    found = journeys.measure(line, name, "digits", 1, QUIET)

    rows = {row.name: row for row in found.rows}
    assert found.ok
    assert rows["accuracy"].value > 0.8  # type: ignore[operator]
    assert rows["test items"].value == 359
    assert rows["already learned, left out"].value == 0
    assert rows["latency p50"].value <= rows["latency p99"].value  # type: ignore[operator]
    assert ("largest difference" in rows) == name.endswith("tflite")


def add_table(shelves: Workspace, table: WriteTable, name: str, kinds: str) -> None:
    rows = [["colour", "kind"], *[[c, k] for c, k in zip("rgb" * 20, kinds * 30, strict=False)]]
    data = Csv().dataset(name, str(table(rows, f"{name}.csv")), "kind", QUIET)
    shelf.save_dataset(shelves, data, "data add", {})


def test_measuring_with_data_of_another_kind_is_refused_with_the_difference(
    workspace: Workspace, digits: Dataset, table: WriteTable
) -> None:
    add_table(workspace, table, "rows", "ab")
    journeys.train(workspace, "rows", "mlp", ("epochs=1",), "m", QUIET)
    shelf.save_dataset(workspace, digits, "data add", {})
    add_table(workspace, table, "three", "abc")
    add_table(workspace, table, "renamed", "ac")
    blue = Csv().dataset(
        "blue", str(table("colour,kind\n" + "b,a\nb,b\nx,a\nx,b\n" * 9)), "kind", QUIET
    )
    shelf.save_dataset(workspace, blue, "data add", {})
    said = {}
    for name in ("digits", "three", "renamed", "blue"):
        with pytest.raises(DataError) as caught:
            journeys.measure(workspace, "m", name, 1, QUIET)
        said[name] = str(caught.value)
        assert caught.value.hint

    assert "[-1, 1]; digits holds [-1, 1, 8, 8]" in said["digits"]
    assert "three has 3 classes" in said["three"]
    assert "a, b; renamed has a, c" in said["renamed"]
    assert "in column 'colour' b, x and not b, g, r" in said["blue"]


@pytest.mark.parametrize("threads", [0, -1, 65, 99_999_999_999])
def test_no_thread_at_all_or_far_too_many_are_refused(line: Workspace, threads: int) -> None:
    with pytest.raises(UsageError, match=f"{threads} threads") as caught:
        journeys.measure(line, "m", "digits", threads, QUIET)

    assert "1 to 64" in caught.value.hint


def test_compressing_with_data_of_another_shape_is_refused(
    line: Workspace, table: WriteTable
) -> None:
    add_table(line, table, "other", "ab")

    with pytest.raises(DataError, match="holds"):
        compression.compress(line, "m", Recipe.of_names("quantize_int8"), "other", "x", QUIET)


def add_digits(shelves: Workspace, name: str, **parameters: float) -> None:
    data = Digits(**parameters).dataset(name, "digits", None, QUIET)
    shelf.save_dataset(shelves, data, "data add", {})


@pytest.mark.parametrize("name", ["m", "m-int8.tflite"])
def test_measuring_leaves_out_what_was_learned_and_says_how_much(
    line: Workspace, name: str
) -> None:
    add_digits(line, "split-otherwise", seed=1)

    found = journeys.measure(line, name, "split-otherwise", 1, QUIET)

    rows = {row.name: row.value for row in found.rows}
    assert rows["already learned, left out"] == 290
    assert rows["test items"] == 359 - 290


def test_measuring_with_nothing_but_what_was_learned_is_refused(
    line: Workspace, digits: Dataset
) -> None:
    # the training items of `digits`, said to be for test
    known = replace(digits, name="known", split=np.where(digits.split == 0, 2, 0).astype(np.uint8))
    shelf.save_dataset(line, known, "data add", {})

    with pytest.raises(DataError, match="1079 of the 1079 test items of known were learned"):
        journeys.measure(line, "m", "known", 1, QUIET)


def test_a_measurement_is_stopped_at_once(line: Workspace) -> None:
    def cancel_when_timed(event: Event) -> None:
        seen.append(event)
        if event.message.startswith("time"):
            job.cancel()

    seen: list[Event] = []
    job = Job(cancel_when_timed)

    with pytest.raises(Cancelled):
        journeys.measure(line, "m", "digits", 1, job)

    assert (seen[-1].message, seen[-1].done) == ("time single predictions", 0)


def test_data_in_another_unit_is_refused(line: Workspace, digits: Dataset) -> None:
    grey = replace(digits.facts.input, unit="0-255")
    scans = replace(digits, name="grey", facts=replace(digits.facts, input=grey))
    shelf.save_dataset(line, scans, "data add", {})

    for call in (
        lambda: journeys.measure(line, "m", "grey", 1, QUIET),
        lambda: journeys.retrain(line, "m", "grey", (), "m5", QUIET),
        lambda: journeys.build(line, "m", ("onnx",), "grey", QUIET),
    ):
        with pytest.raises(DataError, match=r"0-255.* and not .*0-16"):
            call()


def test_retraining_is_better_on_what_is_new_and_not_worse_on_what_was(line: Workspace) -> None:
    found = journeys.retrain(line, "m-int8", "turned", ("epochs=12",), "m2", QUIET)

    today, before = found.comparisons
    assert (today.data, before.data) == ("turned", "digits")
    assert today.passed
    assert today.low > 0
    assert today.new.value - today.old.value == pytest.approx(today.difference)
    assert found.source == "m-int8"
    entry = line.get("models", "m2")
    assert [e.name for e in shelf.data_of(line, entry)] == ["turned", "digits"]
    assert entry.parameters["seed"] == 1
    assert entry.parameters["epochs"] == 12


def test_retraining_is_proven_on_what_neither_model_has_learned(line: Workspace) -> None:
    add_digits(line, "drawn-again", seed=1)

    found = journeys.retrain(line, "m", "drawn-again", ("epochs=1",), "m6", QUIET)

    # whatever is for test in one is mostly learned in the other
    assert [row.data for row in found.comparisons] == ["drawn-again", "digits"]
    for row in found.comparisons:
        assert row.bound.endswith("on 69 items; 290 learned already, left out")
    assert not found.comparisons[0].passed


def test_retraining_that_nothing_could_prove_is_refused_before_it_begins(
    line: Workspace, digits: Dataset
) -> None:
    swapped = np.where(digits.split == 2, 0, 2).astype(np.uint8)
    shelf.save_dataset(line, replace(digits, name="swapped", split=swapped), "data add", {})
    events: list[Event] = []

    with pytest.raises(DataError, match="learned already"):
        journeys.retrain(line, "m", "swapped", (), "m7", Job(events.append))

    assert events == []


def test_retraining_with_what_was_learned_already_is_refused(
    line: Workspace, digits: Dataset
) -> None:
    shelf.save_dataset(line, replace(digits, name="digits-again"), "data add", {})

    for name in ("digits", "digits-again"):
        with pytest.raises(DataError, match=f"learned from {name} already") as caught:
            journeys.retrain(line, "m", name, (), "m3", QUIET)
        assert caught.value.hint
    assert "m3" not in line.names("models")


def test_an_imported_model_travels_the_line_once_its_data_is_named(
    line: Workspace, tmp_path: Path
) -> None:
    entry = line.get("artifacts", "m-int8.onnx")
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(entry, "model.onnx"))

    alone = journeys.import_file(line, file, "alone", None, QUIET)
    known = journeys.import_file(line, file, "known", "digits", QUIET)

    assert alone.inputs[0].unit == ""
    assert known.inputs[0].unit == "0-16"
    assert known.operators["QuantizeLinear"] > 0
    assert journeys.measure(line, "alone", "digits", 1, QUIET).rows[0].value > 0.8  # type: ignore[operator]
    assert journeys.build(line, "known", ("onnx",), None, QUIET).ok
    assert journeys.build(line, "alone", ("onnx",), None, QUIET).ok
    with pytest.raises(UnsupportedError, match="no network to train"):
        journeys.retrain(line, "known", "turned", (), "m4", QUIET)


def test_labels_of_the_user_name_the_numbered_classes_of_the_data(
    line: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(line.get("artifacts", "m-int8.onnx"), "model.onnx"))
    names = tuple(f"the digit {number}" for number in range(10))

    found = journeys.import_file(line, file, "named", "digits", QUIET, told=Told(names))

    assert found.labels == names
    assert journeys.measure(line, "named", "digits", 1, QUIET).rows[0].value > 0.8  # type: ignore[operator]
    built = journeys.build(line, "named", ("tflite",), "digits", QUIET, "simulator")
    assert built.ok
    assert built.next == (
        "sanderling measure named.tflite --data digits",
        "sanderling package named.tflite --target simulator",
    )


def test_data_that_names_numbered_classes_is_said_to_give_their_order(
    line: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(line.get("artifacts", "m-int8.onnx"), "model.onnx"))
    data = shelf.dataset(line, "digits")
    facts = replace(data.facts, labels=tuple("abcdefghij"))
    shelf.save_dataset(line, replace(data, name="letters", facts=facts), "data add", {})

    found = journeys.import_file(line, file, "lettered", "letters", QUIET)

    assert found.labels == tuple("abcdefghij")
    assert any("a, b, c" in note and "--labels" in note for note in found.notes)


def test_an_answer_alone_keeps_what_the_model_has_learned_from(line: Workspace) -> None:
    journeys.attach(line, "m", (), ("softmax temperature=2",), "cool", QUIET)
    journeys.attach(line, "m", ("from_bytes",), (), "bytes", QUIET)

    assert shelf.data_of(line, line.get("models", "cool"))
    assert not shelf.data_of(line, line.get("models", "bytes"))


def test_a_format_that_refuses_a_model_leaves_nothing_of_the_others(
    line: Workspace, tmp_path: Path
) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 20]> g (float[n,4] x) => (float[n,4] y)'
        " { y = Loop <body = b (int64 i, bool c, float[n,4] a) => (bool d, float[n,4] e)"
        " { d = Identity(c) e = Add(a, a) }> (many, , x) }"
    )
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int64(3), "many"))
    (tmp_path / "loop.onnx").write_bytes(model.SerializeToString())
    journeys.import_file(line, tmp_path / "loop.onnx", "again", None, QUIET)

    with pytest.raises(UnsupportedError, match="Loop") as caught:
        journeys.build(line, "again", ("onnx", "tflite"), None, QUIET)

    assert "--format onnx" in caught.value.hint
    assert "again.onnx" not in line.names("artifacts")


def test_a_model_is_not_imported_with_data_of_another_shape(
    line: Workspace, table: WriteTable, tmp_path: Path
) -> None:
    add_table(line, table, "rows", "ab")
    file = tmp_path / "theirs.onnx"
    file.write_bytes(line.read(line.get("artifacts", "m-int8.onnx"), "model.onnx"))

    with pytest.raises(DataError, match="rows holds"):
        journeys.import_file(line, file, "theirs", "rows", QUIET)

    assert "theirs" not in line.names("models")


def test_a_classifier_with_a_second_output_is_refused_by_its_name(
    line: Workspace, tmp_path: Path
) -> None:
    graph = parse(line.read(line.get("artifacts", "m-int8.onnx"), "model.onnx"))
    given = graph.graph.output[0].name
    graph.graph.node.append(onnx.helper.make_node("Identity", [given], ["embedding"]))
    extra = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["batch", 10])
    graph.graph.output.append(extra)
    file = tmp_path / "two.onnx"
    file.write_bytes(graph.SerializeToString())

    with pytest.raises(DataError, match="also gives embedding") as caught:
        journeys.import_file(line, file, "two", "digits", QUIET)

    assert "only output" in caught.value.hint
    journeys.import_file(line, file, "two", None, QUIET)


def test_a_damaged_weight_file_is_said_when_the_model_is_used(
    workspace: Workspace, trained: Model, digits: Dataset
) -> None:
    source = (shelf.save_dataset(workspace, digits, "data add", {}),)
    entry = shelf.save_model(workspace, "m", trained, "train", {}, source, source)
    file = workspace.file(entry, "weights.safetensors")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(IntegrityError, match="is damaged"):
        journeys.build(workspace, "m", ("onnx",), None, QUIET)


def test_names_are_checked_first_everywhere(line: Workspace, tmp_path: Path) -> None:
    recipe = Recipe.of_names("quantize_int8")
    calls: list[Callable[[], object]] = [
        lambda: journeys.train(line, "digits", "small_cnn", (), "M", QUIET),
        lambda: compression.compress(line, "m", recipe, None, "M", QUIET),
        lambda: journeys.import_file(line, tmp_path / "none", "M", None, QUIET),
        lambda: journeys.retrain(line, "m", "turned", (), "M", QUIET),
    ]

    for call in calls:
        with pytest.raises(RecipeError, match="'M' is not a name"):
            call()


def test_a_model_that_decides_is_built_and_packed_and_not_measured(line: Workspace) -> None:
    journeys.attach(line, "m", (), ("argmax",), "decided", QUIET)

    assert journeys.build(line, "decided", ("tflite",), "digits", QUIET).ok
    packed = shipping.package(line, "decided.tflite", "simulator", "decided", None, QUIET, "digits")

    assert packed.name == "decided"
    with pytest.raises(DataError, match="10 classes"):
        journeys.measure(line, "decided", "digits", 1, QUIET)


def test_a_usual_format_that_does_not_fit_is_left_out_and_told(line: Workspace) -> None:
    model = shelf.load_model(line, line.get("models", "m"))
    graph = parse(graph_of(model, QUIET))
    answer = graph.graph.output[0].name
    spectrum = [
        onnx.helper.make_node("Unsqueeze", [answer, "last"], ["re"]),
        onnx.helper.make_node("DFT", ["re"], ["z"], name="spectrum"),
    ]
    graph.graph.node.extend(spectrum)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2]), "last"))
    del graph.graph.output[:]
    kind = onnx.TensorProto.FLOAT
    graph.graph.output.append(onnx.helper.make_tensor_value_info("z", kind, ["batch", 10, 2]))
    signature = replace(model.signature, outputs=(TensorSpec("z", (-1, 10, 2)),), labels=())
    spectral = replace(model, signature=signature).with_graph(graph.SerializeToString())
    shelf.save_model(line, "spectral", spectral, "import", {}, (), ())

    found = journeys.build(line, "spectral", (), None, QUIET)

    assert [made.format for made in found.artifacts] == ["onnx"]
    [left] = found.left_out
    assert (left.format, left.fits) == ("tflite", False)
    assert "DFT" in left.reason
    with pytest.raises(UnsupportedError, match="DFT"):
        journeys.build(line, "spectral", ("onnx", "tflite"), None, QUIET)
