"""A `.tflite` file as a graph with a signature: read, translated, and tried."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.metadata import Metadata, read_metadata
from toolkit.onnx_graph import check, clean, written
from toolkit.tflite_graph.ends import End
from toolkit.tflite_graph.flat import read
from toolkit.tflite_graph.parts import File
from toolkit.tflite_graph.translate import translate
from toolkit.tflite_graph.trial import TRIAL_S, tried


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
    if not tried(graph, signature, name, {node.op_type for node in model.graph.node}):
        notes.append(f"It was not tried: two items take more than {TRIAL_S} seconds.")
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
