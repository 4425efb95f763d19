"""A Keras model in memory, and the graph it becomes."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError, first_line
from toolkit.foreign.graph import Graph, UntranslatedError, Value
from toolkit.foreign.keras_files import KerasFile
from toolkit.foreign.keras_layers import translate
from toolkit.foreign.keras_layers.base import array
from toolkit.foreign.keras_layers.values import joined
from toolkit.onnx_graph import BATCH, OPSET
from toolkit.quiet import quiet

MASKED = {"LSTM", "GRU", "SimpleRNN", "Bidirectional", "GlobalAveragePooling1D", "Attention",
          "MultiHeadAttention", "TimeDistributed", "Softmax", "Concatenate"}  # fmt: skip
ARITHMETIC = {
    "Add": "Add", "Divide": "Div", "Maximum": "Max", "Minimum": "Min", "Multiply": "Mul",
    "Subtract": "Sub", "TrueDivide": "Div",
}  # fmt: skip


def ready() -> None:
    """Choose the backend, which Keras reads once, when it is first imported.

    Raises:
        UnsupportedError: this program runs Keras with another one already.
    """
    os.environ["KERAS_BACKEND"] = "torch"
    with quiet():
        import keras
    if keras.backend.backend() != "torch":
        raise UnsupportedError(
            f"Keras runs on {keras.backend.backend()} here; files are read on torch.",
            "Set the environment variable KERAS_BACKEND=torch.",
        )


def build(file: KerasFile, config: Any, path: Path) -> Any:
    """The model with its weights; the description must have been checked.

    Raises:
        IntegrityError: description and weights do not fit each other or themselves.
    """
    import keras

    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            if file.legacy:
                whole = Path(folder) / "model.h5"
                whole.write_bytes(described(file.weights, config))
                return keras.models.load_model(whole, compile=False, safe_mode=True)
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            weights = Path(folder) / "model.weights.h5"
            weights.write_bytes(file.weights)
            model.load_weights(weights)
            return model
    except (EdgeError, MemoryError, RecursionError, ImportError):
        raise
    except Exception as error:  # whatever a library raises for settings it cannot use
        raise IntegrityError(
            f"{path} cannot be rebuilt by Keras: {reason(error)}.",
            "Save the model again with Keras 3: model.save('model.keras').",
        ) from error


def described(hdf5: bytes, config: Any) -> bytes:
    """The same file with the description that was checked in place of its own."""
    import json

    import h5py

    whole = io.BytesIO(hdf5)
    with h5py.File(whole, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
        if "training_config" in file.attrs:
            del file.attrs["training_config"]
    return whole.getvalue()


def reason(error: BaseException) -> str:
    return first_line(error)[:300].rstrip(". ")


def ends(tensors: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(tensors))


def translated(model: Any, names: tuple[list[str], list[str]]) -> Any:
    """The model as an ONNX graph, layer by layer.

    Raises:
        UntranslatedError: names the first layer that has no translation.
    """
    refuse_masks(model)
    graph = Graph()
    inputs = [Value(tensor.shape, name) for tensor, name in zip(model.inputs, names[0],
                                                                strict=True)]  # fmt: skip
    graph.names.update(names[0] + names[1])
    made = ends(through(graph, model, "", arranged(model, inputs)))
    outputs = []
    graph.layer = model.name
    sources = [graph.plain(value) for value in made]
    for source, name, tensor in zip(sources, names[1], model.outputs, strict=True):
        graph.give(source, name, names[0])
        outputs.append(graph.end(name, tensor.dtype, tensor.shape))
    taken = [graph.end(v.name, t.dtype, t.shape) for v, t in zip(inputs, model.inputs,
                                                                 strict=True)]  # fmt: skip
    return graph.model(taken, outputs)


def arranged(model: Any, inputs: list[Any]) -> Any:
    """A flat list of inputs in the form that the model is called with: one, a list, by name."""
    import keras

    inner = getattr(model, "_functional", None) or model
    return keras.tree.pack_sequence_as(inner._inputs_struct, inputs)


def through(graph: Graph, model: Any, prefix: str, inputs: Any) -> Any:
    """Everything in a model, those inside it included; layers of those carry its name."""
    import keras
    from keras.src.ops.function import Function

    inner = getattr(model, "_functional", None) or model

    def operation(one: Any, *_: Any) -> Callable[..., Any]:
        def call(*args: Any, **given: Any) -> Any:
            if isinstance(one, keras.Model):
                return through(graph, one, f"{prefix}{one.name}.", args[0])
            graph.layer = f"{prefix}{one.name}"
            if isinstance(one, keras.Layer):
                return translate(graph, one, *args, **given)
            return arithmetic(graph, one, *args, **given)

        return call

    if not isinstance(inner, Function):
        raise UntranslatedError(model.name, type(model).__name__)
    # Keras' own walk, which knows how layers are called: with lists, by name, several times
    return Function._run_through_graph(inner, inputs, operation)


def arithmetic(graph: Graph, one: Any, *args: Any, **given: Any) -> Value:
    """`a + b` and the like, of values with as many axes or of numbers."""
    kind = type(one).__name__
    values = [value for value in args if isinstance(value, Value)]
    plain = all(isinstance(value, Value | int | float) for value in args)
    if kind not in ARITHMETIC or given or not plain or len({v.rank for v in values}) != 1:
        raise UntranslatedError(one.name, kind)
    shape = np.broadcast_shapes(*(tuple(s or 1 for s in v.shape[1:]) for v in values))
    second = any(value.second for value in values)
    parts = [
        value if isinstance(value, Value) else Value(values[0].shape, graph.constant(value), second)
        for value in args
    ]
    return joined(graph, ARITHMETIC[kind], parts, (None, *shape))


def refuse_masks(model: Any) -> None:
    """Steps that are masked are left out by what comes later: that has no translation."""
    layers = list(model._flatten_layers())
    masking = [one for one in layers
               if type(one).__name__ == "Masking" or getattr(one, "mask_zero", False)]  # fmt: skip
    if masking and any(type(one).__name__ in MASKED for one in layers):
        raise UntranslatedError(masking[0].name, type(masking[0]).__name__, "its mask")


def exported(model: Any, examples: list[NDArray[Any]], names: tuple[list[str], list[str]]) -> Any:
    """The model as torch's exporter sees it: for layers without a translation."""
    import torch
    from torch import nn

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return ends(predicted(model, list(inputs)))

    tensors = tuple(torch.tensor(example) for example in examples)
    free = {0: torch.export.Dim(BATCH, min=1)}
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            Called().eval(),
            tensors,
            dynamo=True,
            verbose=False,
            external_data=False,
            opset_version=OPSET,
            input_names=names[0],
            output_names=names[1],
            dynamic_shapes=(tuple(free for _ in tensors),),
        )
    if program is None:
        raise AssertionError("the exporter gives a program unless it is told a file")
    return program.model_proto


def predicted(model: Any, inputs: list[Any]) -> Any:
    """What Keras itself answers, as in use and not in training."""
    return model(arranged(model, inputs), training=False)


def asked(model: Any, inputs: list[NDArray[Any]], path: Path) -> list[NDArray[Any]]:
    """The same as arrays, one for each output.

    Raises:
        UnsupportedError: Keras cannot compute it.
    """
    try:
        return [np.asarray(array(answer)) for answer in ends(predicted(model, inputs))]
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever a library raises for layers that do not fit
        raise UnsupportedError(
            f"{path} was rebuilt, but Keras cannot compute it: {reason(error)}.",
            "Try model.predict where it was made, and save it again.",
        ) from error
