"""The browser's engines, in real Chromium, against those of this machine."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_targets.bundling import PROVING, WEB
from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit import doctor
from toolkit.formats import formats
from toolkit.formats.tflite import TFLite
from toolkit.inference import Runner
from toolkit.verification.parting import first_parting
from toolkit.verification.places import Session
from toolkit.verification.proving import proving
from toolkit.verification.subject import File


@pytest.fixture(scope="module", params=["onnx", "tflite"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(engine: str) -> Iterator[Session]:
    if not doctor.chromium():
        pytest.skip("there is no Chromium here")
    if not (WEB / PROVING / "index.html").is_file():
        pytest.skip("the browser files are not built: make web")
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with proving(engine) as session:
        yield session


def file_of(graph: bytes, engine: str, signature: Signature) -> File:
    data = formats[engine]().build(graph, signature, QUIET).data
    return File(engine, engine, data, quantized=False, note="made")


def test_both_engines_answer_as_those_of_this_machine(
    engine: str, session: Session, digits: Any
) -> None:
    signature = digits_signature()
    file = file_of(digits.model, engine, signature)
    inputs = {"image": digits.test[:40]}

    found = session.run(file, signature, inputs, QUIET)["probabilities"]

    expected = Runner(file.data, engine, signature).outputs(inputs, QUIET)["probabilities"]
    assert found.shape == (40, 10)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "Chromium" in session.version


def test_missing_values_travel_to_the_page_and_back(
    engine: str, session: Session, digits: Any
) -> None:
    signature = digits_signature()
    images = digits.test[:2].copy()
    images[1] = np.nan

    file = file_of(digits.model, engine, signature)
    found = session.run(file, signature, {"image": images}, QUIET)["probabilities"]

    assert np.isfinite(found[0]).all()
    expected = Runner(file.data, engine, signature).outputs({"image": images}, QUIET)
    assert np.array_equal(np.isnan(found), np.isnan(expected["probabilities"]))


def test_a_changed_layer_is_found_inside_the_browser_too(
    engine: str, session: Session, digits: Any
) -> None:
    import onnx
    from onnx import numpy_helper

    signature = digits_signature()
    named = onnx.load_model_from_string(digits.model)
    for place, node in enumerate(named.graph.node):
        node.name = f"{node.op_type}_{place}"
    changed = onnx.ModelProto()
    changed.CopyFrom(named)
    [weights] = [one for one in changed.graph.initializer if one.name == "w2"]
    values = numpy_helper.to_array(weights).copy()
    values[:, 3] += 1
    weights.CopyFrom(numpy_helper.from_array(values, "w2"))
    file = file_of(changed.SerializeToString(), engine, signature)

    item = {"image": digits.test[:1]}
    graph = named.SerializeToString()

    assert first_parting(graph, file, signature, item, session, QUIET) == "Gemm_3 (Gemm)"
    healthy = file_of(graph, engine, signature)
    assert first_parting(graph, healthy, signature, item, session, QUIET) == ""


def test_what_is_no_model_is_refused_in_words(engine: str, session: Session) -> None:
    signature = digits_signature()
    broken = File(engine, engine, b"no model at all", quantized=False, note="broken")

    with pytest.raises(UnsupportedError, match="cannot load the model"):
        session.run(broken, signature, {"image": np.zeros((1, 1, 8, 8), np.float32)}, QUIET)


def test_a_type_that_an_engine_does_not_know_is_named(
    engine: str, session: Session, digits: Any
) -> None:
    signature = digits_signature()
    [taken] = signature.inputs
    file = file_of(digits.model, engine, signature)
    other = replace(signature, inputs=(replace(taken, dtype="float16"),))

    with pytest.raises(UnsupportedError, match="float16"):
        session.run(file, other, {"image": digits.test[:1]}, QUIET)


@pytest.mark.parametrize("engine", ["tflite"], indirect=True)
def test_a_file_for_any_number_of_items_is_refused_in_words(
    engine: str, session: Session, digits: Any
) -> None:
    signature = digits_signature()
    data = TFLite(free_batch=True).build(digits.model, signature, QUIET).data
    file = File(engine, engine, data, quantized=False, note="made")

    with pytest.raises(UnsupportedError, match="any number of items"):
        session.run(file, signature, {"image": digits.test[:1]}, QUIET)


def test_the_page_for_proving_is_in_no_bundle(bundled: Any) -> None:
    names = json.loads((bundled / "bundle.json").read_text())["files"]

    assert not [name for name in names if PROVING in name or "litert" in name]
    assert "page.js" in names


def digits_signature() -> Signature:
    return Signature(
        (TensorSpec("image", (-1, 1, 8, 8)),),
        (TensorSpec("probabilities", (-1, 10)),),
        tuple("0123456789"),
    )
