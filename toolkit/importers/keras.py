"""Keras models: `.keras` archives and the older `.h5`, read by Keras on torch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import DTYPES, Signature, TensorSpec
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.alone import within
from toolkit.foreign import proof
from toolkit.foreign.graph import UntranslatedError
from toolkit.importers.base import Found, Given, Importer, Source, labelled, layout_of
from toolkit.model import Model
from toolkit.onnx_graph import check, clean, written
from toolkit.quiet import quiet

MEMBERS = {"config.json", "metadata.json"}
STEPS = 4
LONGEST_S = 5  # to read a file: HDF5 follows damaged offsets round and round
PICTURES = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D",
            "GlobalAveragePooling2D"}  # fmt: skip
PREPARING = {"Rescaling", "Normalization", "Resizing", "CenterCrop"}


class Keras(Importer):
    """Sequential and functional models of Keras' own layers; their weights keep the layers' names.

    A layer becomes the operator that ONNX has for it; where there is none, the whole model goes
    through torch's exporter. Either graph must answer as Keras does.
    """

    title = "Keras"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        from toolkit.foreign.keras_files import HDF5

        return source.head.startswith(HDF5) or source.members >= MEMBERS

    def read(self, source: Source, given: Given, job: Job) -> Found:
        from toolkit.foreign.keras_borders import corrected
        from toolkit.foreign.keras_config import Checked
        from toolkit.foreign.keras_files import read_keras
        from toolkit.foreign.keras_model import asked, build, ready

        file = source.path
        job.step("import Keras", 0, STEPS)
        with within(LONGEST_S):
            stored = read_keras(file)
        version = stored.metadata.get("keras_version", "")
        seen = Checked(given.shapes, old=version.startswith(("1.", "2.")))
        config = seen.checked(stored.config)
        job.step("import Keras", 1, STEPS)
        ready()
        with quiet():
            model = build(stored, config, file)
            job.step("import Keras", 2, STEPS)
            averages = corrected(model)
            signature = signature_of(model)
            examples = examples_of(model, signature)
            expected = asked(model, examples, file)
            graph, notes = graph_of(model, signature, examples, file)
        job.step("import Keras", 3, STEPS)
        data = written(clean(graph))
        feeds = {spec.name: x for spec, x in zip(signature.inputs, examples, strict=True)}
        proof.agree(data, feeds, expected, file)
        job.step("import Keras", 4, STEPS)
        layers = list(model._flatten_layers())
        return Found(
            Model(labelled(signature), graph=data),
            layout(layers, signature),
            metadata={"framework": f"keras {version}", "name": model.name, **stored.metadata},
            notes=(*seen.notes, *averages, *notes, *preparing(layers)),
        )


def signature_of(model: Any) -> Signature:
    taken, made = names_of(model)
    return Signature(
        tuple(spec(t, name) for t, name in zip(model.inputs, taken, strict=True)),
        tuple(spec(t, name) for t, name in zip(model.outputs, made, strict=True)),
    )


def names_of(model: Any) -> tuple[list[str], list[str]]:
    """Of inputs, as the layers are called; and of outputs, kept apart from every other."""
    from toolkit.foreign.graph import Graph

    names = Graph()
    taken, made = (
        [names.fresh(tensor._keras_history.operation.name) for tensor in tensors]
        for tensors in (model.inputs, model.outputs)
    )
    return taken, made


def spec(tensor: Any, name: str) -> TensorSpec:
    dtype = str(tensor.dtype)
    if dtype not in DTYPES.values():
        raise UnsupportedError(
            f"{name!r} has type {dtype}.", "Build the model with inputs of float32 or integers."
        )
    if len(tensor.shape) < 2 or any(not size for size in tensor.shape[1:]):
        raise UnsupportedError(
            f"{name!r} has shape {list(tensor.shape)}: only the first axis may be free.",
            "Give the sizes of the inputs with --shape.",
        )
    return TensorSpec(name, (-1, *tensor.shape[1:]), dtype)


def examples_of(model: Any, signature: Signature) -> list[NDArray[Any]]:
    """Seeded inputs; where they are rows of an embedding, ones that it has."""
    tables = [one for one in model._flatten_layers() if type(one).__name__ == "Embedding"]
    rows = {
        one._inbound_nodes[0].input_tensors[0]._keras_history.operation.name: one.input_dim
        for one in tables
        if one in model.layers
    }
    fewest = min((one.input_dim for one in tables), default=2)
    inner = len(tables) > len(rows)  # a table inside another layer: who fills it is not known
    rng = np.random.default_rng(proof.SEED)
    made: list[NDArray[Any]] = []
    for taken in signature.inputs:
        shape = (proof.ITEMS, *taken.shape[1:])
        whole = inner or taken.name in rows or not taken.dtype.startswith("float")
        numbers = rng.integers(0, rows.get(taken.name, fewest), shape) if whole else (
            rng.standard_normal(shape)
        )  # fmt: skip
        made.append(np.asarray(numbers, taken.dtype))
    return made


def graph_of(
    model: Any, signature: Signature, examples: list[NDArray[Any]], file: Path
) -> tuple[Any, tuple[str, ...]]:
    """Layer by layer where every layer has a translation, else through torch's exporter."""
    from toolkit.foreign.keras_model import exported, reason, translated

    names = ([s.name for s in signature.inputs], [s.name for s in signature.outputs])
    try:
        graph = translated(model, names)
        check(graph)
    except UntranslatedError as missing:
        try:
            graph = exported(model, examples, names)
        except Exception as error:  # the exporter's errors share no other base
            raise UnsupportedError(
                f"{file} uses {missing}, and torch's exporter gives it up as well: "
                f"{reason(error.__cause__ or error)}.",
                "Rebuild the model with another layer in its place.",
            ) from error
        return graph, (f"{missing} has no operator of its own: names of layers are lost.",)
    return graph, ()


def layout(layers: list[Any], signature: Signature) -> str:
    orders = {layer.data_format for layer in layers if type(layer).__name__ in PICTURES}
    if len(orders) == 1:
        return "NHWC" if orders == {"channels_last"} else "NCHW"
    return layout_of(signature)


def preparing(layers: list[Any]) -> tuple[str, ...]:
    """Layers that prepare the input: whoever uses the model must not do it once more."""
    found = []
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Rescaling":
            pixels = isinstance(layer.scale, float) and 1 / 260 < layer.scale < 1 / 120
            likely = "; inputs are likely pixels, 0 to 255" if pixels else ""
            kind += f" (times {layer.scale}, plus {layer.offset}{likely})"
        if type(layer).__name__ in PREPARING:
            found.append(f"{kind} is part of the model: give it inputs as they are.")
    return tuple(found)
