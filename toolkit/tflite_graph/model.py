"""A `.tflite` file as a graph with a signature: read, translated, and tried."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.metadata import Metadata, read_metadata
from toolkit.onnx_graph import check, clean, written
from toolkit.tflite_graph.ends import End
from toolkit.tflite_graph.flat import read
from toolkit.tflite_graph.parts import Array, File
from toolkit.tflite_graph.translate import translate

ITEMS = 2  # that the graph is tried with: one would not show a fixed batch
ALIKE = 1e-3  # share of an output's spread that may lie between an item alone and among others
ALIKE_ROUNDED = 0.1  # where values are rounded to codes: other kernels round some the other way
ROUNDING = {"DynamicQuantizeLinear", "QuantizeLinear"}


@dataclass(frozen=True)
class Imported:
    """What a file is here; `notes` say what was changed, `metadata` what it says of itself."""

    graph: bytes
    signature: Signature
    notes: tuple[str, ...]
    metadata: Mapping[str, str]


def read_model(data: bytes, name: str, job: Job) -> Imported:
    """The model in the bytes of a file; `name` is what errors call it.

    Raises:
        IntegrityError: the file is damaged.
        UnsupportedError: names the operator or input that cannot be taken over.
    """
    file = read(data)
    model, ends, notes = translate(file, job)
    check(model)
    signature = Signature(
        tuple(spec(end) for end in ends.inputs), tuple(spec(end) for end in ends.outputs)
    )
    graph = written(clean(model))
    rounds = any(node.op_type in ROUNDING for node in model.graph.node)
    refuse_unrunnable(graph, signature, name, ALIKE_ROUNDED if rounds else ALIKE)
    said = read_metadata(data)
    facts = {} if said is None else facts_of(said)
    signature = signature if said is None else described(signature, said)
    return Imported(graph, signature, (*notes, *notes_of(file)), facts)


def spec(end: End) -> TensorSpec:
    return TensorSpec(end.name, (-1, *end.shape), end.numpy.name)


def notes_of(file: File) -> list[str]:
    found = []
    if file.graphs > 1:
        found.append(f"The file holds {file.graphs} graphs; the first one is read.")
    if any(tensor.dtype == "FLOAT16" for tensor in file.tensors):
        found.append(
            "Weights in float16 are float32 here; quantize_weights with 16 bits halves them again."
        )
    if any(tensor.is_state for tensor in file.tensors):
        found.append("Its state starts from zero with every item, and is not kept between them.")
    return found


def facts_of(said: Metadata) -> dict[str, str]:
    words = {
        "name": said.name,
        "description": said.description,
        "labels": ", ".join(said.labels),
        "means": ", ".join(f"{value:g}" for value in said.means),
        "deviations": ", ".join(f"{value:g}" for value in said.deviations),
    }
    return {key: value for key, value in words.items() if value}


def described(signature: Signature, said: Metadata) -> Signature:
    """With the labels and meanings that the file brings, where they fit."""
    first = signature.outputs[0]
    fit = first.shape[1:] and len(said.labels) == first.shape[-1]
    inputs = named(signature.inputs, said.inputs)
    inputs = (replace(inputs[0], unit=unit_of(said)), *inputs[1:])
    labels = said.labels if fit else ()
    return Signature(inputs, named(signature.outputs, said.outputs), labels)


def unit_of(said: Metadata) -> str:
    """What is done to a value before it goes in; empty where that is nothing."""
    if len(said.means) != len(said.deviations) or not all(said.deviations):
        return ""
    both = zip(said.means, said.deviations, strict=True)
    steps = dict.fromkeys(f"(value - {mean:g}) / {spread:g}" for mean, spread in both)
    return "" if list(steps) == ["(value - 0) / 1"] else ", ".join(steps)


def named(specs: tuple[TensorSpec, ...], words: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """With what the file calls them for people; words for the last ones may be missing."""
    filled = (*words, *[""] * len(specs))[: len(specs)]
    return tuple(
        replace(one, meaning="" if word == one.name else word)
        for one, word in zip(specs, filled, strict=True)
    )


def refuse_unrunnable(data: bytes, signature: Signature, name: str, alike: float) -> None:
    """Give the graph two items: the proof that the batch is free, and that they do not mix."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said once, by us
    options.add_session_config_entry("session.x64quantprecision", "1")
    feeds = examples(signature)
    outputs = [spec.name for spec in signature.outputs]
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        answers = session.run(outputs, feeds)
        alone = [
            session.run(outputs, {k: v[i : i + 1] for k, v in feeds.items()}) for i in range(ITEMS)
        ]
    except Exception as error:  # onnxruntime's errors share no other base
        raise IntegrityError(
            f"{name} does not run: its operators do not fit together.",
            "Export the model again; if LiteRT runs it, report this file.",
        ) from error
    if [a.shape for a in answers] != [(ITEMS, *s.shape[1:]) for s in signature.outputs]:
        raise UnsupportedError(
            f"{name} does not run with a batch of any size.",
            "Export the model with the batch as first axis of every value.",
        )
    for together, *single in zip(answers, *alone, strict=True):
        if not agree(together, np.concatenate(single), alike):
            raise UnsupportedError(
                f"{name} answers otherwise for an item among others than for that item alone.",
                "Export the model with the batch as first axis of every value.",
            )


def examples(signature: Signature) -> dict[str, Array]:
    """Items that differ, the same each time; integers are zero, which is an index of anything."""
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for one in signature.inputs:
        shape = (ITEMS, *one.shape[1:])
        real = np.dtype(one.dtype).kind == "f"
        feeds[one.name] = (random.standard_normal(shape) if real else np.zeros(shape)).astype(
            one.dtype
        )
    return feeds


def agree(one: Array, other: Array, share: float) -> bool:
    if one.dtype.kind != "f":
        return bool((one == other).mean() > 1 - share) if one.size > 1 / share else True
    if not np.isfinite(one).all() or not np.isfinite(other).all():
        return True  # these examples say nothing of it
    spread = float(one.max() - one.min()) if one.size else 0.0
    return bool(np.abs(one - other).max(initial=0) <= share * max(spread, 1e-3))
