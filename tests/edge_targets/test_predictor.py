"""Answering on a device: golden outputs are replayed in their size, features keep their names."""

import hashlib
import json
import math
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_targets.agent.home import Settings
from edge_targets.runtime.answer import Answer
from edge_targets.runtime.arrays import Inputs
from edge_targets.runtime.contract import FileFact, Signature, Tensor, TensorSpec
from edge_targets.runtime.errors import DataError, EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.predictor import Predictor, difference, spread
from edge_targets.runtime.profiler import features
from edge_targets.runtime.spool import Spool
from tests.edge_targets import tiny
from tests.edge_targets.conftest import Build
from tests.edge_targets.tiny import Collector, wait_until

numbers = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20)


def vector(values: list[float]) -> Tensor:
    return Tensor((len(values),), values)


def unpacked(folder: Path, off: float) -> Path:
    """A package folder whose golden outputs are `off` by so much."""
    files = tiny.members(off=off) | {"manifest.json": tiny.manifest().dump().encode()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_golden_outputs_are_replayed_and_the_difference_is_a_share_of_their_spread(
    tmp_path: Path,
) -> None:
    predictor = Predictor(unpacked(tmp_path, off=1e-5))

    found = predictor.replay()

    shares = tiny.expected(tiny.INPUTS)
    assert found == pytest.approx(1e-5 / (shares.max() - shares.min()), rel=0.05)


def test_golden_outputs_that_are_too_far_off_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="off here, as a share of their spread") as caught:
        Predictor(unpacked(tmp_path, off=1e-3)).replay()

    assert caught.value.hint


def test_golden_outputs_that_are_small_are_not_all_the_same(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, off=0)
    golden = json.loads((folder / "golden.json").read_text())
    # the model still gives shares; a file that says 1e-5 of each is a thousand times off
    data = golden["outputs"]["probabilities"]["data"]
    golden["outputs"]["probabilities"]["data"] = [1e-5 * value for value in data]
    (folder / "golden.json").write_text(json.dumps(golden))

    with pytest.raises(IntegrityError, match="off here"):
        Predictor(folder).replay()


@given(values=numbers)
def test_nothing_differs_from_itself(values: list[float]) -> None:
    assert difference(vector(values), vector(values)) == 0


@given(values=numbers, unit=st.sampled_from([1e-9, 1e-3, 1e9]))
def test_a_difference_does_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    moved = [value + 1 for value in values]

    found = difference(vector(moved), vector(values))
    scaled = difference(vector([unit * v for v in moved]), vector([unit * v for v in values]))

    # but for zeros alone, which have no unit
    assert scaled == pytest.approx(found if any(values) else unit)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, 1), (-1.3e-5, 1.3e-5, 2.6e-5), (5, 5, 0.05), (0, 0, 1), (293, 293.1, 2.931)],
)
def test_a_spread_is_how_far_values_lie_apart_or_a_hundredth_of_their_size(
    low: float, high: float, expected: float
) -> None:
    assert spread(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_no_small_difference(bad: float) -> None:
    for found, expected in (([bad, 1.0], [0.0, 1.0]), ([0.0, 1.0], [bad, 1.0]), ([bad], [bad])):
        assert difference(vector(found), vector(expected)) == math.inf


def table(*columns: str) -> Signature:
    return Signature(
        (TensorSpec("features", (-1, len(columns)), columns=columns),),
        (TensorSpec("probabilities", (-1, 2)), TensorSpec("label", (-1, 1))),
        ("no", "yes"),
    )


def watched(signature: Signature, rows: np.ndarray) -> dict[str, list[float]]:
    shares = Tensor((len(rows), 2), [0.25, 0.75] * len(rows))
    extra = Tensor((len(rows), 1), [7.0] * len(rows))
    inputs = {"features": Tensor(rows.shape, rows.ravel().tolist())}
    return features(signature, inputs, {"probabilities": shares, "label": extra})


def test_columns_keep_their_names_where_nothing_else_has_them() -> None:
    found = watched(table("a", "b"), np.ones((1, 2)))

    assert list(found) == ["a", "b", "confidence", "label", "label.label"]


def test_a_column_that_is_called_like_an_output_is_counted_beside_it() -> None:
    rows = np.array([[10.0, 20.0, 30.0]])

    found = watched(table("label", "confidence", "features.label"), rows)

    assert found == {
        "features.features.label": [10.0],
        "features.confidence": [20.0],
        "features.label": [30.0],
        "confidence": [0.75],
        "label": [1.0],
        "label.label": [7.0],
    }


@pytest.fixture
def predictor(build: Build) -> Iterator[Predictor]:
    with Predictor(build("1")) as predictor:
        yield predictor


def test_an_array_is_answered_with_arrays(predictor: Predictor) -> None:
    answer = predictor(tiny.INPUTS)

    shares = tiny.expected(tiny.INPUTS)
    np.testing.assert_allclose(answer.outputs["probabilities"], shares, rtol=1e-5)
    assert len(answer) == 2
    assert [one.label for one in answer] == [("no", "yes")[i] for i in shares.argmax(axis=1)]
    assert [one.confidence for one in answer] == pytest.approx(shares.max(axis=1))
    assert not any(one.abstained for one in answer)


@pytest.mark.parametrize(
    "item",
    [
        [1.0, 2.0, 3.0],
        (1, 2, 3),
        np.array([1, 2, 3]),
        {"x": np.array([1.0, 2.0, 3.0])},
        np.array([9.0, 1, 9, 2, 9, 3])[1::2],  # every other value: not in one piece
    ],
)
def test_one_item_needs_no_batch(predictor: Predictor, item: Any) -> None:
    answer = predictor(item)

    [shares] = tiny.expected(np.array([[1, 2, 3]], np.float32))
    assert answer.outputs["probabilities"].shape == (2,)
    assert answer.confidence == pytest.approx(shares.max())
    assert answer.label == ("no", "yes")[shares.argmax()]
    assert len(answer) == 1
    assert answer[0] is answer
    assert [one.label for one in answer] == [answer.label]


def test_a_label_of_a_whole_batch_is_asked_for_in_vain(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="for 2 items") as caught:
        _ = predictor(tiny.INPUTS).label

    assert "for one in answer" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1.0, 2.0], [1.0]], "is no array"),
        (["a", "b", "c"], "cannot be made from"),
        ([1.0, 2.0], r"has shape \[1, 2\]; the model takes \[-1, 3\]"),
        (np.zeros((0, 3)), "has shape"),
        ({"y": [1.0, 2.0, 3.0]}, "takes x; it was given y"),
        ({}, "given nothing"),
    ],
)
def test_what_does_not_fit_is_named(predictor: Predictor, given: Any, message: str) -> None:
    predictor(tiny.INPUTS)  # what fitted before does not let it pass

    with pytest.raises(EdgeError, match=message) as caught:
        predictor(given)

    assert caught.value.hint
    record = predictor.close_window()
    assert record
    assert record.samples == 2


@pytest.mark.parametrize(
    ("dtype", "given", "fits"),
    [
        ("uint8", [0, 255], True),
        ("uint8", [0, 256], False),
        ("uint8", [-1, 0], False),
        ("int8", np.array([-128, 127], np.int64), True),
        ("uint8", [0.5, 1.0], False),
        ("int64", np.array([1, 2], np.uint8), True),
        ("bool", [0, 1], True),
        ("bool", [0, 2], False),
        ("float32", np.array([True, False]), True),
        ("float32", np.array([1.5, 2.5], np.float64), True),
    ],
)
def test_numbers_become_the_models_kind_where_none_loses_its_meaning(
    dtype: str, given: Any, fits: bool
) -> None:
    inputs = Inputs(Signature((TensorSpec("x", (-1, 2), dtype),), (TensorSpec("y", (-1, 1)),)))

    if not fits:
        with pytest.raises(DataError):
            inputs.read(given)
        return
    arrays, alone = inputs.read(given)

    assert alone
    assert arrays["x"].dtype == np.dtype(dtype)
    assert arrays["x"].tolist() == [list(given)]


def test_an_array_without_a_name_does_not_say_which_of_two_inputs_it_is() -> None:
    two = Signature((TensorSpec("x", (-1, 2)), TensorSpec("y", (-1, 2))), ())

    with pytest.raises(DataError, match="takes 2 inputs") as caught:
        Inputs(two).read([1.0, 2.0])

    assert "'x', 'y'" in caught.value.hint


def test_numbers_have_no_label() -> None:
    answer = Answer({"probabilities": np.ones((1, 2))}, replace(tiny.SIGNATURE, labels=()))

    with pytest.raises(UnsupportedError, match="no classes"):
        _ = answer.label


def test_a_loop_of_ones_own_is_watched_without_an_agent(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    Settings(device="pi-attic", collector=collector.url, window_s=3600).save(home)

    with Predictor(build("1"), home=home) as predictor:
        for _ in range(3):
            predictor(tiny.INPUTS)
        predictor(tiny.INPUTS, counted=False)

    [record] = collector.records.values()
    assert (record["device"], record["model"], record["samples"]) == ("pi-attic", "tiny", 6)
    assert record["sketches"]["a"]["counts"] == [0, 0, 3, 0, 3, 0]


def test_windows_are_closed_while_a_loop_runs(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    Settings(collector=collector.url, window_s=0.1).save(tmp_path)
    asked = 0

    with Predictor(build("1"), device="mine", home=tmp_path) as predictor:
        while len(collector.records) < 2:
            predictor(tiny.INPUTS)
            asked += 2
            time.sleep(0.01)

    assert sum(record["samples"] for record in collector.records.values()) == asked
    assert {record["device"] for record in collector.records.values()} == {"mine"}


def test_a_collector_that_is_named_while_a_loop_runs_gets_what_waits(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    with Predictor(build("1"), home=tmp_path) as predictor:
        predictor(tiny.INPUTS)
        Settings(collector=collector.url, window_s=3600).save(tmp_path)

    assert sum(record["samples"] for record in collector.records.values()) == 2


def test_what_the_collector_did_not_take_is_sent_by_the_next_run(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    collector.stop()
    Settings(collector=collector.url, window_s=3600).save(tmp_path)
    package = build("1")
    with Predictor(package, home=tmp_path) as predictor:
        predictor(tiny.INPUTS)

    collector.start()
    with Predictor(package, home=tmp_path):
        wait_until(lambda: collector.records)

    assert sum(record["samples"] for record in collector.records.values()) == 2


def test_a_record_that_is_refused_does_not_hold_up_the_others(
    build: Build, tmp_path: Path, collector: Collector
) -> None:
    Settings(collector=collector.url, window_s=3600).save(tmp_path)
    collector.refuses = lambda record: record["samples"] == 2
    with Predictor(build("1"), home=tmp_path) as predictor:
        assert predictor.reporter
        for items in (1, 2, 1):
            predictor(tiny.INPUTS[:items])
            predictor.reporter.close_window()

    assert [record["samples"] for record in collector.records.values()] == [1, 1]
    spool = Spool(tmp_path / "spool.db")
    assert spool.count == 1
    spool.close()


@pytest.mark.parametrize("text", ['{"schema": 1, "window_s": "soon"}', '{"collector": 3}', "no"])
def test_settings_that_cannot_be_used_are_told(build: Build, tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)

    with pytest.raises(EdgeError):
        Predictor(build("1"), home=tmp_path)


def test_a_damaged_package_is_not_loaded(build: Build) -> None:
    path = build("1")
    data = path.read_bytes()
    place = data.index(b"Softmax")
    path.write_bytes(data[:place] + b"Sigmoid" + data[place + 7 :])

    with pytest.raises(IntegrityError):
        Predictor(path)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", ".hidden", "a/b"])
def test_a_package_cannot_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    facts = {name: FileFact(hashlib.sha256(b"x").hexdigest(), 1)}
    manifest = replace(tiny.manifest(), files=facts)
    with zipfile.ZipFile(tmp_path / "evil.sndl", "w") as file:
        file.writestr("manifest.json", manifest.dump())
        file.writestr(name, b"x")

    with pytest.raises(IntegrityError, match="not as it was packed"):
        Predictor(tmp_path / "evil.sndl")


def test_a_package_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    facts = {"model.onnx": FileFact("0" * 64, 1 << 40)}
    with zipfile.ZipFile(tmp_path / "huge.sndl", "w") as file:
        file.writestr("manifest.json", replace(tiny.manifest(), files=facts).dump())

    with pytest.raises(IntegrityError, match="would unpack to more"):
        Predictor(tmp_path / "huge.sndl")


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.sndl").write_text("nothing")

    for path in (tmp_path / "x.sndl", tmp_path / "none.sndl"):
        with pytest.raises(IntegrityError, match="is no package"):
            Predictor(path)
    with pytest.raises(IntegrityError, match="holds no package"):
        Predictor(tmp_path)


def test_errors_are_imported_without_the_predictor() -> None:
    code = "import sys, edge_targets.runtime.errors; print(*sys.modules)"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "edge_targets.runtime.predictor" not in found.stdout.split()


def test_the_runtime_offers_the_predictor_by_name() -> None:
    import edge_targets.runtime as runtime

    assert runtime.Predictor is Predictor
    assert runtime.Answer is Answer
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = runtime.Predicter
