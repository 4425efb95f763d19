"""Put steps into the graph of a finished model, so that every place gives the same answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import RecipeError, UnsupportedError, first_line
from edge_targets.runtime.events import Job
from toolkit.answers import Answer, answers
from toolkit.answers.base import Nodes
from toolkit.equivalence import Equivalence, noise, session_of
from toolkit.equivalence import answers as answered
from toolkit.features import Feature, features
from toolkit.model import Model
from toolkit.onnx_graph import OPSET, check, clean, graph_of, nodes_of, parse, traced, written
from toolkit.optimising import version_of
from toolkit.parameters import from_words
from toolkit.sizes import drop_dead

FLOAT = "float32"


def steps_from_words(words: Sequence[str]) -> tuple[Feature, ...]:
    """Steps before a network, one a text: `resize height=32 width=32`.

    Raises:
        UnknownNameError: no step has that name.
        RecipeError: names the field that does not fit.
    """
    return tuple(
        from_words(features[name], rest, f"--before {name}")
        for name, rest in (parts(text, "--before") for text in words)
    )


def answers_from_words(words: Sequence[str]) -> tuple[Answer, ...]:
    """Steps after a network, one a text: `top_k k=3`. Raises as `steps_from_words` does."""
    return tuple(
        from_words(answers[name], rest, f"--after {name}")
        for name, rest in (parts(text, "--after") for text in words)
    )


def parts(text: str, where: str) -> tuple[str, list[str]]:
    name, *rest = text.split() or [""]
    if not name:
        raise RecipeError(f"{where} names no step.", 'Such as "softmax temperature=1.5".')
    return name, rest


def attach(model: Model, before: Sequence[Feature], after: Sequence[Answer], job: Job) -> Model:
    """A graph that does the steps before, the model's work, and the steps after.

    Raises:
        UnsupportedError: a step does not fit the model, or its neighbour.
    """
    if not before and not after:
        raise UnsupportedError("There is nothing to attach.", "Name a step: --before or --after.")
    message = "attach steps"
    job.step(message, 0, 2)
    graph, signature = parse(graph_of(model, job)), model.signature
    if before:
        graph, signature = preceded(graph, signature, before)
    job.step(message, 1, 2)
    if after:
        graph, signature = followed(graph, signature, after)
    drop_dead(graph.graph)
    check(graph)
    data = written(graph)
    refuse_unrunnable(data, signature)
    job.step(message, 2, 2)
    found = replace(model.with_graph(data), signature=signature)
    # what it was trained on is no longer what it takes
    return found.with_data(None) if before else found


def preceded(graph: Any, signature: Signature, steps: Sequence[Feature]) -> tuple[Any, Signature]:
    """The graph with the steps in front of its only input, which keeps its name."""
    from torch import nn

    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise UnsupportedError(
            f"Steps go in front of one input; this model has {names}.",
            "Prepare these inputs where the model was made, and import it again.",
        )
    given = signature.inputs[0]
    taken = taken_by(steps, given)
    module = nn.Sequential(*(step.module() for step in steps)).eval()
    graph = raised(graph, signature)
    try:
        front = traced(module, taken, "prepared")
    except Exception as error:  # the exporter's errors share no other base
        raise UnsupportedError(
            f"These steps cannot be put in front of the model: {first_line(error)}.",
            "Leave one out, or put them in where the model was made.",
        ) from error
    joined(front.graph, graph, given.name)
    return graph, replace(signature, inputs=(taken,))


def taken_by(steps: Sequence[Feature], given: TensorSpec) -> TensorSpec:
    """What the first of the steps takes where the last gives `given`; the way there is checked."""
    wanted = given
    for step in reversed(steps):
        if wanted.dtype != FLOAT:
            raise UnsupportedError(
                f"{features.name_of(step)} gives {FLOAT}; what follows takes {wanted.dtype}.",
                "Put the step that takes whole numbers first, or leave it out.",
            )
        before = step.takes(wanted)
        if step.shape(before.shape[1:]) != wanted.shape[1:]:
            raise UnsupportedError(
                f"{features.name_of(step)} makes {list(step.shape(before.shape[1:]))} of "
                f"{list(before.shape[1:])}; {list(wanted.shape[1:])} is asked for.",
                "Change its sizes.",
            )
        wanted = before
    return wanted


def raised(graph: Any, signature: Signature) -> Any:
    """The model in the opset that steps are written in, compared with what it was.

    Raises:
        UnsupportedError: it answers otherwise then, or cannot be said so.
    """
    import onnx

    if version_of(graph) == OPSET:
        return graph
    try:
        found = clean(onnx.version_converter.convert_version(graph, OPSET))
        why = Equivalence(written(graph), signature, None).fault(written(found))
    except (RuntimeError, ValueError) as error:
        why = first_line(error)
    if why:
        raise UnsupportedError(
            f"This model cannot be brought to ONNX opset {OPSET}, which steps are written in: "
            f"{why}.",
            f"Export it in opset {OPSET}, and import it again.",
        )
    return found


def joined(front: Any, graph: Any, name: str) -> None:
    """Put the graph `front` before the input `name` of the main graph, in place."""
    main = graph.graph
    nodes = Nodes(main)
    inner = {front.output[0].name: nodes.name(f"{name}_prepared"), front.input[0].name: name}
    for node in nodes_of(main):
        for i, value in enumerate(node.input):
            node.input[i] = inner[front.output[0].name] if value == name else value
    for tensor in front.initializer:
        inner[tensor.name] = tensor.name = nodes.name(tensor.name)
    for node in front.node:
        node.name = nodes.name(node.name)
        for value in node.output:
            inner.setdefault(value, nodes.name(value))
        for names in (node.input, node.output):
            for i, value in enumerate(names):
                names[i] = inner.get(value, value)
    own = list(main.node)
    del main.node[:]
    main.node.extend([*front.node, *own])
    main.initializer.extend(front.initializer)
    place = next(i for i, value in enumerate(main.input) if value.name == name)
    taken = type(front.input[0])()
    taken.CopyFrom(front.input[0])
    main.input[place].CopyFrom(taken)


def followed(graph: Any, signature: Signature, steps: Sequence[Answer]) -> tuple[Any, Signature]:
    """The graph with the steps behind it."""
    from onnx import helper

    nodes = Nodes(graph.graph)
    for step in steps:
        signature = step.attach(nodes, signature)
    outputs = []
    for spec in signature.outputs:
        kind = helper.np_dtype_to_tensor_dtype(np_dtype(spec.dtype))
        outputs.append(helper.make_tensor_value_info(spec.name, kind, ["batch", *spec.shape[1:]]))
    del graph.graph.output[:]
    graph.graph.output.extend(outputs)
    return graph, signature


def np_dtype(name: str) -> Any:
    import numpy as np

    return np.dtype(name)


def refuse_unrunnable(data: bytes, signature: Signature) -> None:
    """Give the new graph a few made-up items: the proof that everything fits."""
    names = [spec.name for spec in signature.outputs]
    feeds = {spec.name: noise(spec) for spec in signature.inputs}
    found = answered(session_of(data), names, feeds)
    count = len(next(iter(feeds.values())))
    wanted = [(count, *spec.shape[1:]) for spec in signature.outputs]
    if found is None or [value.shape for value in found] != wanted:
        raise UnsupportedError(
            "The model does not run with these steps.",
            "Try them one at a time to see which does not fit it.",
        )
