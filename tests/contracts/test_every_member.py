"""What every member promises, checked because it exists: add a file, and it is checked too."""

import contextlib
import json
import math
import os
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import BaseModel
from torch import nn

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before the first import of Qt

from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from edge_targets.catalog import targets
from edge_targets.runtime.contract import Manifest, Signature, Tensor, TensorSpec
from edge_targets.runtime.engines import engines
from edge_targets.runtime.errors import (
    Cancelled,
    EdgeError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import QUIET, Event, Job
from edge_targets.runtime.registry import Registry
from edge_targets.runtime.sketch import Sketch
from gui.pages import pages
from gui.session import Session
from toolkit.anatomy import layers_of
from toolkit.answers import answers
from toolkit.data.sources import sources
from toolkit.data.sources.base import Source as DataSource
from toolkit.describe import REGISTRIES
from toolkit.drift import drift_tests
from toolkit.features import features
from toolkit.formats import formats
from toolkit.importers import Given, Source, importers, read_model
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks import networks
from toolkit.onnx_graph import graph_of, parse
from toolkit.parameters import checked, fields_hint, from_words
from toolkit.passes import passes
from toolkit.recipe import Recipe
from toolkit.verification.places import places

ALL: dict[str, Registry[Any]] = {
    "answers": answers,
    "drift_tests": drift_tests,
    "engines": engines,
    "features": features,
    "formats": formats,
    "importers": importers,
    "networks": networks,
    "pages": pages,
    "passes": passes,
    "places": places,
    "sources": sources,
    "targets": targets,
}
MEMBERS = [(kind, name) for kind, registry in ALL.items() for name in registry.names()]
PARAMETRIC = [(kind, name) for kind, name in MEMBERS if issubclass(ALL[kind][name], BaseModel)]

every_pass = pytest.mark.parametrize("name", passes.names())
HERE = [name for name in formats.names() if not formats[name].package]  # the others: own tests
every_format = pytest.mark.parametrize("name", HERE)
every_importer = pytest.mark.parametrize("name", importers.names())
every_drift_test = pytest.mark.parametrize("name", drift_tests.names())
every_target = pytest.mark.parametrize("name", targets.names())
every_network = pytest.mark.parametrize("name", networks.names())
every_page = pytest.mark.parametrize("name", pages.names())


@pytest.fixture(scope="session")
def applied(trained: Model) -> dict[str, tuple[Model, list[Event]]]:
    """Each pass, with its defaults, on a trained network; and what it said."""
    found = {}
    for name in passes.names():
        events: list[Event] = []
        found[name] = (passes[name]().apply(trained, Job(events.append)), events)
    return found


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_kind_that_users_may_list_is_checked_here(kind: str) -> None:
    assert kind in ALL
    assert len(ALL[kind].names()) > 0


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_a_member_says_what_it_is_in_a_sentence(kind: str, name: str) -> None:
    member = ALL[kind][name]

    first = (member.__doc__ or "").strip().split("\n")[0]
    assert 10 < len(first) <= 100
    assert Registry.name_of(member) == name
    assert first != (ALL[kind].base.__doc__ or "").strip().split("\n")[0]


@pytest.mark.parametrize("kind", ALL)
def test_a_misspelt_member_is_answered_with_the_nearest(kind: str) -> None:
    name = ALL[kind].names()[0]

    with pytest.raises(UnknownNameError) as caught:
        ALL[kind][name + "x"]

    assert repr(name) in caught.value.hint


@pytest.mark.parametrize(("kind", "name"), PARAMETRIC)
def test_a_member_explains_every_field_in_a_sentence(kind: str, name: str) -> None:
    for field, facts in ALL[kind][name].model_fields.items():
        description = facts.description or ""
        assert description.endswith("."), field
        assert len(description) > 8, field
        assert field in fields_hint(ALL[kind][name], field)


@pytest.mark.parametrize(("kind", "name"), PARAMETRIC)
def test_a_member_is_frozen_and_refuses_fields_it_does_not_have(kind: str, name: str) -> None:
    member = ALL[kind][name]

    assert member.model_config.get("frozen")
    with pytest.raises(RecipeError, match="no field 'nonsense'"):
        checked(member, {"nonsense": 1}, "here")


@pytest.mark.parametrize(("kind", "name"), [m for m in PARAMETRIC if m[0] != "features"])
def test_a_member_with_defaults_survives_json_and_words(kind: str, name: str) -> None:
    member = ALL[kind][name]
    made = member()
    stored = json.loads(json.dumps(made.model_dump(mode="json")))

    assert member(**stored) == made
    assert from_words(member, [as_word(k, v) for k, v in stored.items()]) == made


def as_word(key: str, value: object) -> str:
    return f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}"


@every_pass
def test_a_pass_works_with_its_defaults_and_gives_a_new_model(
    name: str, applied: dict[str, tuple[Model, list[Event]]], trained: Model
) -> None:
    found = applied[name][0]

    answers = Runner.of_model(found, QUIET).first_output(trained_items(trained), QUIET)
    assert found is not trained
    assert answers.shape == (20, 10)
    assert np.isfinite(answers).all()


def trained_items(model: Model) -> Any:
    return model.need_data("Testing").part("test")[0][:20]


@every_pass
def test_a_pass_reports_to_the_end(
    name: str, applied: dict[str, tuple[Model, list[Event]]]
) -> None:
    events = applied[name][1]

    assert events
    assert events[-1].done == events[-1].total > 0


@every_pass
def test_a_pass_keeps_the_signature_and_the_data(
    name: str, applied: dict[str, tuple[Model, list[Event]]], trained: Model
) -> None:
    assert applied[name][0].signature == trained.signature
    assert applied[name][0].data is trained.data


@every_pass
def test_a_pass_leaves_its_input_alone_and_is_deterministic(
    name: str, applied: dict[str, tuple[Model, list[Event]]], trained: Model
) -> None:
    before = trained.stored()

    again = passes[name]().apply(trained, QUIET)

    assert trained.stored() == before
    assert again.stored() == applied[name][0].stored()


@every_pass
def test_a_pass_stops_when_it_is_cancelled_anywhere(
    name: str, applied: dict[str, tuple[Model, list[Event]]], trained: Model
) -> None:
    said = len(applied[name][1])
    for stop in {1, said // 2, said - 1}:
        seen: list[Event] = []
        with pytest.raises(Cancelled):
            passes[name]().apply(trained, cancelled_after(stop, seen))
        assert len(seen) == stop


def cancelled_after(count: int, seen: list[Event]) -> Job:
    def listen(event: Event) -> None:
        seen.append(event)
        if len(seen) == count:
            job.cancel()

    job = Job(listen)
    return job


@every_pass
def test_a_pass_takes_a_finished_graph_or_says_that_it_needs_the_network(
    name: str, exported: Model
) -> None:
    step = passes[name]()
    if not step.needs_network:
        found = step.apply(exported, QUIET)
        assert found.signature == exported.signature
        assert exported.data is found.data
        return

    with pytest.raises(UnsupportedError, match=f"{name} needs the trainable network") as caught:
        step.apply(exported, QUIET)

    assert "before passes that make a graph" in caught.value.hint


@every_pass
def test_a_pass_that_leaves_layers_alone_gives_a_reason(name: str, trained: Model) -> None:
    known = {node.name for node in parse(graph_of(trained, QUIET)).graph.node}
    known |= {layer.name for layer in layers_of(graph_of(trained, QUIET))}

    for layer, reason in passes[name]().skips(trained, QUIET).items():
        assert layer in known
        assert len(reason) > 8


@every_pass
def test_a_pass_that_trains_says_that_it_needs_data(name: str, trained: Model) -> None:
    step = passes[name]()
    if not step.trains:
        pytest.skip("it does not train")

    with pytest.raises(UnsupportedError) as caught:
        step.apply(trained.with_data(None), QUIET)

    assert "--data" in caught.value.hint


@every_pass
def test_a_pass_survives_a_trip_through_toml(name: str, tmp_path: Path) -> None:
    recipe = Recipe((passes[name](),))
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml())

    assert Recipe.from_file(file) == recipe == Recipe.of_names(name)


@every_pass
def test_a_pass_gives_a_model_that_every_format_takes(
    name: str, applied: dict[str, tuple[Model, list[Event]]]
) -> None:
    found = applied[name][0]
    graph = graph_of(found, QUIET)

    for form in HERE:
        if not formats[form].lossy:
            assert formats[form]().build(graph, found.signature, QUIET).data


@every_network
def test_a_network_takes_digits_or_says_what_it_takes(name: str) -> None:
    taken = 0
    for shape in ((1, 8, 8), (5,)):
        with contextlib.suppress(UnsupportedError):
            module = networks[name]().build(shape, 3).eval()
            assert module(torch.zeros(2, *shape)).shape == (2, 3)
            taken += 1

    assert taken


@every_network
def test_a_network_ends_in_a_linear_layer(name: str) -> None:
    layers = list(networks[name]().build((1, 8, 8), 3).modules())

    assert isinstance(layers[-1], nn.Linear)


@every_format
def test_a_format_has_an_engine_that_answers_like_the_graph(
    name: str, exported: Model, job: Job, events: list[Event]
) -> None:
    items = trained_items(exported)

    samples = {exported.signature.inputs[0].name: items}
    data = formats[name]().build(exported.graph, exported.signature, job, samples).data

    assert formats[name].title
    assert formats[name].suffix == f".{name}" or not formats[name].usual
    assert formats[name].engine in engines.names()
    assert events[-1].done == events[-1].total
    found = Runner(data, name, exported.signature).first_output(items, QUIET)
    expected = Runner(exported.graph, "onnx", exported.signature).first_output(items, QUIET)
    np.testing.assert_allclose(found, expected, atol=0.2 if formats[name].lossy else 1e-4)


@every_format
def test_a_format_gives_the_same_bytes_again_and_stops_when_cancelled(
    name: str, exported: Model
) -> None:
    samples = {exported.signature.inputs[0].name: trained_items(exported)}
    one, other = (
        formats[name]().build(exported.graph, exported.signature, QUIET, samples).data
        for _ in range(2)
    )
    stopped = Job()
    stopped.cancel()

    assert one == other
    with pytest.raises(Cancelled):
        formats[name]().build(exported.graph, exported.signature, stopped, samples)


@pytest.mark.parametrize("name", engines.names())
def test_an_engine_refuses_a_file_that_is_none(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"model.{name}"
    file.write_bytes(b"not a model" * 20)
    signature = Signature((TensorSpec("x", (-1, 1)),), (TensorSpec("y", (-1, 1)),))

    with pytest.raises(EdgeError) as caught:
        engines[name](file, signature)

    assert caught.value.hint
    assert engines[name].title
    assert engines[name].package


@pytest.mark.parametrize("name", engines.names())
def test_an_engine_takes_plain_lists_and_any_batch(
    name: str, exported: Model, tmp_path: Path
) -> None:
    file = tmp_path / f"model.{name}"
    file.write_bytes(formats[name]().build(exported.graph, exported.signature, QUIET).data)
    engine = engines[name](file, exported.signature)

    for count in (1, 3):
        found = engine.run({"image": Tensor((count, 1, 8, 8), [1.0] * 64 * count)})
        assert found["probabilities"].shape == (count, 10)
        assert sum(found["probabilities"].data) == pytest.approx(count, abs=1e-4)


@every_importer
def test_an_importer_recognises_its_kind_and_no_other(
    name: str, exported: Model, tmp_path: Path
) -> None:
    member = importers[name]
    file = tmp_path / "file"
    usual = [form for form in formats.names() if formats[form].usual]

    for garbage in (b"", b"\0" * 4096, b"text " * 500, b"PK\3\4" + bytes(90), b"\x89PNG\r\n\x1a\n"):
        file.write_bytes(garbage)
        assert not member.accepts(Source.of(file))
    for form in usual:
        file.write_bytes(formats[form]().build(exported.graph, exported.signature, QUIET).data)
        assert member.accepts(Source.of(file)) == (form == name)
    assert not member.accepts(Source.of(tmp_path))
    assert member.title


@every_importer
@given(rest=st.binary(max_size=100))
def test_an_importer_answers_any_bytes_with_two_clear_lines(
    name: str, tmp_path_factory: pytest.TempPathFactory, rest: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage"
    file.write_bytes(rest)

    with pytest.raises(EdgeError) as caught:
        importers[name]().read(Source.of(file), Given(), QUIET)

    assert caught.value.hint


def foreign_onnx() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Frobnicate", ["x"], ["y"], name="n")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def foreign_tflite() -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def value(name: str) -> Any:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1, 4], schema.TensorType.FLOAT32
        return tensor

    model, graph = schema.ModelT(), schema.SubGraphT()
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "Frobnicate"
    operator.inputs, operator.outputs = [0], [1]
    graph.tensors, graph.operators = [value("x"), value("y")], [operator]
    graph.inputs, graph.outputs = [0], [1]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


FOREIGN = {"onnx": foreign_onnx, "tflite": foreign_tflite}
"""Files of importers of graphs with an operator `Frobnicate`, which nobody knows."""


@pytest.mark.parametrize("name", FOREIGN)
def test_an_importer_says_which_operator_it_cannot_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"foreign.{name}"
    file.write_bytes(FOREIGN[name]())

    with pytest.raises(UnsupportedError, match="Frobnicate") as caught:
        read_model(file, Given(), QUIET)

    assert caught.value.hint


def normal(shift: float) -> Sketch:
    """A thousand values that follow the normal distribution without any chance."""
    made = Sketch([NormalDist().inv_cdf(i / 10) for i in range(1, 10)])
    made.add(shift + NormalDist().inv_cdf((i + 0.5) / 1000) for i in range(1000))
    return made


@every_drift_test
def test_a_drift_test_is_zero_against_itself_never_negative_and_grows(name: str) -> None:
    test = drift_tests[name]()
    shifts = [0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0]

    scores = [test.score(normal(0), normal(shift)) for shift in shifts]

    assert scores[0] == 0
    assert all(score >= 0 for score in scores)
    assert scores == sorted(scores)
    assert scores[2] < scores[-2]


@every_drift_test
def test_a_drift_test_raises_no_alarm_without_data_and_one_for_a_large_shift(name: str) -> None:
    test, empty = drift_tests[name](), normal(0).empty()

    assert test.score(normal(0), empty) == 0
    assert test.threshold(1000, 0, 10) == math.inf
    assert test.score(normal(0), normal(2)) > test.threshold(1000, 1000, 10)


@every_target
def test_a_target_says_what_it_is_and_what_it_holds(name: str) -> None:
    target = targets[name]()

    assert target.title
    assert set(target.formats) <= set(formats.names())
    assert target.formats
    assert min(target.facts.ram_bytes, target.facts.flash_bytes, target.facts.cores) > 0
    assert target.facts.cpu


def manifest(format_name: str, name: str) -> Manifest:
    return Manifest(
        name="digits",
        version="0" * 12,
        target=name,
        format=format_name,
        model="model",
        signature=Signature((), ()),
        tolerance=0.0,
        files={},
    )


@every_target
def test_a_target_takes_its_formats_and_refuses_others_and_what_is_too_large(name: str) -> None:
    target = targets[name]()

    for form in target.formats:
        target.fits(manifest(form, name), 10_000)
        with pytest.raises(UnsupportedError, match="room for"):
            target.fits(manifest(form, name), target.facts.flash_bytes + 1)
    for form in {*formats.names(), "core_ml"} - set(target.formats):
        with pytest.raises(UnsupportedError, match=form) as caught:
            target.fits(manifest(form, name), 10_000)
        assert target.formats[0] in caught.value.hint


@pytest.mark.parametrize("name", sources.names())
def test_a_source_says_what_it_reads_and_how_it_splits(name: str) -> None:
    member = sources[name]

    assert not member.accepts("nothing-like-this.xyz")
    assert set(DataSource.model_fields) <= set(member.model_fields)


@pytest.fixture
def session(tmp_path: Path, qtbot: QtBot) -> Session:
    return Session(tmp_path / "nowhere")


@every_page
def test_a_page_opens_and_paints(name: str, session: Session, qtbot: QtBot) -> None:
    page = pages[name](session)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    session.refresh()

    image = page.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    colours = {image.pixel(x, y) for x in range(0, 1000, 7) for y in range(0, 700, 7)}
    assert page.title
    assert page.icon
    assert len(colours) > 3


def test_pages_stand_in_an_order_of_their_own() -> None:
    orders = [pages[name].order for name in pages.names()]

    assert len(set(orders)) == len(orders)
