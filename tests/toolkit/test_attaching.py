"""Steps inside the graph: the same answer as doing them by hand, in ONNX Runtime and in LiteRT."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import RecipeError, UnknownNameError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.anatomy import layers_of
from toolkit.attaching import answers_from_words, attach, steps_from_words
from toolkit.features.resize import Resize
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model

Array = np.ndarray[Any, Any]

CAMERA = (
    "from_bytes",
    "channels_last",
    "crop height=20 width=20 from_height=24 from_width=30",
    "resize height=8 width=8 from_height=20 from_width=20",
    "normalize mean=0.5 std=0.25 range=255",
)


def network(*shape: int, op: str = "Relu") -> Model:
    """A graph with one operator, whose values have the names that a step would choose."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "times"], ["val_0"], name="Resize_0"),
            helper.make_node(op, ["val_0"], ["y"], name="n"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", *shape])],
        [numpy_helper.from_array(np.float32(0), "times")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    given = (-1, *shape)
    signature = Signature((TensorSpec("x", given),), (TensorSpec("y", given),))
    return Model(signature, graph=model.SerializeToString())


def everywhere(model: Model, x: Array) -> list[Array]:
    """The first output by ONNX Runtime and by LiteRT, each from the file that is built for it."""
    return [
        Runner(
            formats[form]().build(model.graph, model.signature, QUIET).data, form, model.signature
        ).first_output(x, QUIET)
        for form in ("onnx", "tflite")
    ]


@pytest.fixture(scope="module")
def camera(exported: Model) -> Model:
    return attach(exported, steps_from_words(CAMERA), answers_from_words(["argmax"]), QUIET)


def test_a_camera_picture_goes_in_and_a_class_comes_out(camera: Model, exported: Model) -> None:
    items = np.random.default_rng(0).integers(0, 256, (6, 24, 30, 1)).astype(np.uint8)

    middle = items.transpose(0, 3, 1, 2)[:, :, 2:22, 5:25].astype(np.float32)
    at = np.arange(8) * 2.5 + 0.75  # (i + ½) · 20/8 - ½
    low, share = at.astype(int), (at % 1).astype(np.float32)
    rows = middle[:, :, low] * (1 - share)[:, None] + middle[:, :, low + 1] * share[:, None]
    small = rows[..., low] * (1 - share) + rows[..., low + 1] * share
    by_hand = Runner.of_model(exported, QUIET).first_output((small / 255 - 0.5) / 0.25, QUIET)

    assert camera.signature.inputs[0].shape == (-1, 24, 30, 1)
    assert camera.signature.inputs[0].dtype == "uint8"
    assert camera.signature.inputs[0].name == exported.signature.inputs[0].name
    for answer in everywhere(camera, items):
        np.testing.assert_array_equal(answer, by_hand.argmax(axis=1))


def test_the_layers_keep_their_names_and_old_data_goes(camera: Model, exported: Model) -> None:
    names = [[one.name for one in layers_of(model.graph)] for model in (camera, exported)]

    assert names[0] == names[1]
    assert camera.data is None
    assert exported.data is not None


def test_a_network_that_can_be_trained_becomes_a_graph_and_keeps_its_data(trained: Model) -> None:
    found = attach(trained, (), answers_from_words(["softmax temperature=2"]), QUIET)

    items = trained.need_data("Testing").part("test")[0][:30]
    shares = Runner.of_model(trained, QUIET).first_output(items, QUIET).astype(np.float64)
    warmer = shares**0.5 / (shares**0.5).sum(axis=1, keepdims=True)
    answer = Runner.of_model(found, QUIET).first_output(items, QUIET)
    assert found.kind == "graph"
    assert found.data is trained.data
    np.testing.assert_allclose(answer, warmer, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "shape", "items"),
    [
        (["resize height=11 width=9 from_height=7 from_width=16 mode=nearest"], (3, 11, 9), 9.0),
        (["impute fill=1,2", "bucketize edges=-1,0,1.5 one_hot=true"], (8,), 3.0),
        (["hash_text length=24 buckets=32 ngram=2 dtype=uint8"], (32,), 127),
        (["log_mel sample_rate=8000 window=64 mels=8"], (1, 5, 8), 1.0),
    ],
)
def test_both_runtimes_do_a_step_as_torch_does(
    words: list[str], shape: tuple[int, ...], items: float
) -> None:
    import torch

    steps = steps_from_words(words)
    found = attach(network(*shape), steps, (), QUIET)
    taken = found.signature.inputs[0]
    x = np.random.default_rng(1).uniform(-items, items, (4, *taken.shape[1:]))
    x = (abs(x) if taken.dtype == "uint8" else x).astype(taken.dtype)

    values = torch.from_numpy(x)
    with torch.no_grad():
        for step in steps:
            values = step.module().eval()(values)
    one, other = everywhere(found, x)

    np.testing.assert_allclose(one, torch.relu(values).numpy(), atol=1e-5)
    np.testing.assert_allclose(other, one, atol=1e-6)


def test_names_in_the_model_are_not_taken_for_those_of_a_step() -> None:
    found = attach(network(3, 4, 4), steps_from_words(["normalize mean=1 std=2"] * 2), (), QUIET)

    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32)
    wanted = np.maximum(((x - 1) / 2 - 1) / 2, 0)
    names = [node.name for node in onnx.load_from_string(found.graph).graph.node]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(everywhere(found, x)[0], wanted, atol=1e-6)


# -------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (["resize height=8 width=8"], "does not know the size"),
        (["resize height=9 width=8 from_height=20 from_width=20"], "gives pictures of 9 by 8"),
        (["crop height=8 width=8 from_height=7 from_width=20"], "no middle"),
        (["normalize", "from_bytes"], "normalize gives float32; what follows takes uint8"),
    ],
)
def test_steps_that_do_not_fit_are_refused(before: list[str], why: str) -> None:
    with pytest.raises(UnsupportedError, match=why) as caught:
        attach(network(3, 8, 8), steps_from_words(before), (), QUIET)

    assert caught.value.hint


def test_nothing_to_attach_is_said_and_not_done_silently() -> None:
    with pytest.raises(UnsupportedError, match="nothing to attach"):
        attach(network(3, 8, 8), (), (), QUIET)


def test_a_model_with_several_inputs_is_refused() -> None:
    model = network(4)
    two = Signature((*model.signature.inputs, TensorSpec("z", (-1, 4))), model.signature.outputs)

    with pytest.raises(UnsupportedError, match="this model has x, z"):
        attach(Model(two, graph=model.graph), steps_from_words(["normalize"]), (), QUIET)


def test_words_become_steps_in_their_order() -> None:
    steps = steps_from_words(["resize height=2 width=3 mode=nearest", "normalize"])

    assert steps[0] == Resize(height=2, width=3, mode="nearest")
    assert [type(step).__name__ for step in steps] == ["Resize", "Normalize"]


def test_a_misspelt_step_or_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as name:
        steps_from_words(["resise height=2 width=3"])
    with pytest.raises(RecipeError, match="--before resize") as field:
        steps_from_words(["resize hight=2 width=3"])
    with pytest.raises(UnknownNameError) as answer:
        answers_from_words(["softmx"])
    with pytest.raises(RecipeError, match="names no step"):
        answers_from_words([" "])

    assert "'resize'" in name.value.hint
    assert "'height'" in field.value.hint
    assert "'softmax'" in answer.value.hint


def test_it_says_where_it_is(job: Job, events: list[Event]) -> None:
    attach(network(4), (), answers_from_words(["sigmoid"]), job)

    assert events[-1].done == events[-1].total == 2


def test_a_parameter_without_a_default_is_told_without_one() -> None:
    with pytest.raises(RecipeError, match="height") as caught:
        steps_from_words(["resize height=0 width=3"])

    assert caught.value.hint.endswith("It must be given.")
