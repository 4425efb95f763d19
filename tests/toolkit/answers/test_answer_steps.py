"""Steps behind a network: as worked out by hand, and what the graph gives then."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import EdgeError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.answers import Answer
from toolkit.answers.argmax import Argmax
from toolkit.answers.non_max_suppression import NonMaxSuppression
from toolkit.answers.sigmoid import Sigmoid
from toolkit.answers.softmax import Softmax
from toolkit.answers.threshold import Threshold
from toolkit.answers.top_k import TopK
from toolkit.attaching import attach
from toolkit.model import Model
from toolkit.onnx_graph import operators

Array = np.ndarray[Any, Any]
LABELS = ("blue", "green", "red", "white")


def model(
    shapes: dict[str, tuple[int, ...]], op: str = "Identity", labels: tuple[str, ...] = ()
) -> Model:
    """A graph that gives what it takes: `x` as `y`, after an operator."""
    nodes = [helper.make_node(op, [f"{name}_in"], [name], name=f"n_{name}") for name in shapes]
    graph = helper.make_graph(
        nodes,
        "g",
        [tensor(f"{name}_in", shape) for name, shape in shapes.items()],
        [tensor(name, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.zeros(3, np.float32), "most")],  # a name that steps want
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    signature = Signature(
        tuple(TensorSpec(f"{name}_in", (-1, *shape)) for name, shape in shapes.items()),
        tuple(TensorSpec(name, (-1, *shape)) for name, shape in shapes.items()),
        labels,
    )
    return Model(signature, graph=made.SerializeToString())


def tensor(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def scores(op: str = "Identity") -> Model:
    return model({"y": (4,)}, op, LABELS)


def answered(found: Model, *inputs: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(found.graph, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in found.signature.outputs]
    feeds = {spec.name: x for spec, x in zip(found.signature.inputs, inputs, strict=True)}
    answers = dict(zip(names, session.run(names, feeds), strict=True))
    for spec in found.signature.outputs:
        assert answers[spec.name].dtype == spec.dtype
        assert answers[spec.name].shape == (len(inputs[0]), *spec.shape[1:])
    return answers


def softmax(x: Array) -> Array:
    power = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


@pytest.fixture
def x() -> Array:
    return np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32) * 3


@pytest.mark.parametrize("temperature", [1.0, 1.5, 0.2])
@pytest.mark.parametrize("op", ["Identity", "Softmax"])
def test_a_temperature_divides_the_scores_also_where_shares_are_given(
    x: Array, temperature: float, op: str
) -> None:
    found = attach(scores(op), (), [Softmax(temperature=temperature)], QUIET)

    np.testing.assert_allclose(answered(found, x)["shares"], softmax(x / temperature), atol=1e-6)
    assert found.signature.labels == LABELS
    assert operators(found.graph)["Softmax"] == 1


def test_each_number_becomes_a_share_of_its_own(x: Array) -> None:
    found = attach(scores(), (), [Sigmoid()], QUIET)

    np.testing.assert_allclose(answered(found, x)["each_share"], 1 / (1 + np.exp(-x)), atol=1e-6)
    assert found.signature.labels == ()


def test_a_threshold_is_reached_by_what_is_equal_to_it() -> None:
    x = np.array([[0.25, 0.5, 0.75, np.nan]], np.float32)

    found = attach(scores(), (), [Threshold(at=0.5)], QUIET)

    assert answered(found, x)["yes"].tolist() == [[0, 1, 1, 0]]


def test_the_class_alone_is_the_first_of_the_largest() -> None:
    x = np.array([[0.1, 0.4, 0.4, 0.1], [0, 0, 0, 1]], np.float32)

    found = attach(scores(), (), [Argmax()], QUIET)

    assert answered(found, x)["label"].tolist() == [1, 3]
    assert found.signature.labels == ()
    assert found.signature.outputs[0].meaning == "class: 0 blue, 1 green, 2 red, 3 white"


def test_the_best_few_come_with_their_shares(x: Array) -> None:
    found = attach(scores(), (), [TopK(k=2)], QUIET)

    answers = answered(found, x)
    order = np.argsort(-x, axis=1)[:, :2]
    np.testing.assert_array_equal(answers["top_labels"], order)
    np.testing.assert_array_equal(answers["top_shares"], np.take_along_axis(x, order, axis=1))


def test_steps_follow_each_other(x: Array) -> None:
    found = attach(scores(), (), [Softmax(temperature=2), TopK(k=1)], QUIET)

    answers = answered(found, x)
    np.testing.assert_allclose(answers["top_shares"][:, 0], softmax(x / 2).max(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("subject", "step", "why"),
    [
        (scores(), TopK(k=5), "has 4 classes"),
        (model({"y": (4, 2)}), Argmax(), "one number a class"),
        (model({"y": (4, 2)}), Softmax(), "one number a class"),
        (scores(), NonMaxSuppression(), "no output 'boxes'"),
        (model({"boxes": (4, 4), "scores": (4,)}), NonMaxSuppression(), "are no boxes"),
    ],
)
def test_a_step_that_does_not_fit_says_so(subject: Model, step: Answer, why: str) -> None:
    with pytest.raises(UnsupportedError, match=why) as caught:
        attach(subject, (), [step], QUIET)

    assert caught.value.hint


@pytest.mark.parametrize("step", [Sigmoid(), Threshold(), Softmax(), TopK()])
def test_a_step_wants_numbers_not_classes(step: Answer) -> None:
    with pytest.raises(EdgeError, match="int32"):
        attach(scores(), (), [Argmax(), step], QUIET)


# ------------------------------------------------------------------------------------- boxes


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Shared area over joint area, corners (y, x, y, x)."""
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(height, 0) * max(width, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return float(shared / (sum(areas) - shared))


def by_hand(boxes: Array, values: Array, step: NonMaxSuppression) -> list[tuple[float, int, int]]:
    """Score, class and box of what is kept of an item, best first: the greedy way."""
    found = []
    for kind, row in enumerate(values):
        kept: list[int] = []
        for place in sorted(range(len(row)), key=lambda i: -row[i]):
            if row[place] <= step.least or len(kept) == step.most:
                break
            if all(overlap(boxes[place], boxes[other]) <= step.overlap for other in kept):
                kept.append(place)
                found.append((float(row[place]), kind, place))
    return sorted(found, key=lambda each: -each[0])[: step.most]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), most=st.sampled_from([1, 3, 40]), least=st.floats(0, 0.9))
def test_boxes_that_are_kept_are_those_of_the_greedy_way(
    seed: int, most: int, least: float
) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 5, (2, 12, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 4, (2, 12, 2))], axis=2)
    boxes, values = boxes.astype(np.float32), rng.uniform(size=(2, 3, 12)).astype(np.float32)
    step = NonMaxSuppression(most=most, least=float(np.float32(least)), overlap=0.3)
    subject = model({"boxes": (12, 4), "scores": (3, 12)})

    answers = answered(attach(subject, (), [step], QUIET), boxes, values)

    for item in range(2):
        kept = by_hand(boxes[item], values[item], step)
        count = min(most, 36)
        rest = count - len(kept)
        found = {name: value[item] for name, value in answers.items()}
        assert found["best_labels"].tolist() == [kind for _, kind, _ in kept] + [-1] * rest
        np.testing.assert_allclose(found["best_scores"], [s for s, _, _ in kept] + [0] * rest)
        wanted = [boxes[item][place] for _, _, place in kept] + [np.zeros(4)] * rest
        np.testing.assert_array_equal(found["best_boxes"], np.array(wanted).reshape(count, 4))


def test_boxes_may_be_given_by_their_centres_and_nothing_may_be_found() -> None:
    boxes = np.array([[[5, 5, 2, 2], [5, 5.1, 2, 2], [9, 9, 2, 2]]], np.float32)
    step = NonMaxSuppression(centre=True, most=2)
    found = attach(model({"boxes": (3, 4), "scores": (1, 3)}), (), [step], QUIET)

    some = answered(found, boxes, np.array([[[0.9, 0.8, 0.7]]], np.float32))
    none = answered(found, boxes, np.zeros((1, 1, 3), np.float32))

    np.testing.assert_array_equal(some["best_boxes"], boxes[:, [0, 2]])
    assert none["best_labels"].tolist() == [[-1, -1]]
    assert not none["best_boxes"].any()
