"""The description of a Keras model: looked through before Keras makes anything of it.

Keras finds classes and functions by the names in a file, so a file can name any function there is
(CVE-2025-1550, CVE-2025-8747). Here only layers on a list pass, and what matters in training alone
is dropped: nothing of it is ever looked up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_targets.runtime.errors import IntegrityError, UnsupportedError, first_line
from toolkit.foreign.keras_layers import KNOWN

MODELS = {"Functional", "Model", "Sequential"}
EXPORTED = {  # by torch's exporter, without a translation of ours: arithmetic and nothing else
    "AdditiveAttention", "Attention", "ConvLSTM1D", "ConvLSTM2D", "Dot", "EinsumDense",
    "GroupNormalization", "GroupQueryAttention", "Masking", "RMSNormalization", "UnitNormalization",
}  # fmt: skip
OPERATIONS = {  # of keras.ops, which a functional model may hold as they are
    "Abs", "Add", "Clip", "Concatenate", "Divide", "Exp", "ExpandDims", "GetItem", "Log", "Max",
    "Maximum", "Mean", "Min", "Minimum", "Multiply", "Negative", "Power", "Relu", "Reshape",
    "Sigmoid", "Softmax", "Sqrt", "Square", "Squeeze", "Subtract", "Sum", "Tanh", "Transpose",
    "TrueDivide",
}  # fmt: skip
PLAIN = {"__keras_tensor__", "__tuple__", "__ellipsis__", "__slice__"}  # values, not classes
LISTED = {"InputLayer", *KNOWN, *EXPORTED, *MODELS, *PLAIN}
CALLED = {"keras", "keras.layers", "keras.models", "builtins", None, ""}  # modules of layers
INSIDE = ("keras.src.layers.", "keras.src.models.", "keras.src.ops.", "keras.ops.")
TRAINING = ("_initializer", "_regularizer", "_constraint", "_regularizer_config")
FLOATS = {"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"}
DROPPED = {  # settings that no translation has, and the value that changes nothing
    "batch_input_shape": ..., "fused": ..., "implementation": ..., "input_dtype": ...,
    "ragged": False, "renorm": False, "sparse": False, "stateful": False, "time_major": False,
    "virtual_batch_size": None,
}  # fmt: skip
HARD = "hard_sigmoid"


@dataclass
class Checked:
    """A description that Keras may see.

    Attributes:
        shapes: of inputs whose sizes the file leaves free, as the user gave them.
        old: whether Keras 2 wrote it.
        notes: what was changed in it.
    """

    shapes: Mapping[str, tuple[int, ...]]
    old: bool
    notes: list[str] = field(default_factory=list)

    def checked(self, config: dict[str, Any]) -> dict[str, Any]:
        """The same description, its layers known and what only training needs left out.

        Raises:
            UnsupportedError: names the layer that is not on the list.
            IntegrityError: it is not built as Keras builds it.
        """
        try:
            return dict(self.walked(config))
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise IntegrityError(
                f"The description of the model is damaged: {first_line(error)}.",
                "Copy or save the model again.",
            ) from error

    def walked(self, config: Any) -> Any:
        if isinstance(config, list):
            return [self.walked(one) for one in config]
        if not isinstance(config, dict):
            return config
        if "class_name" not in config:
            if config.get("module") or config.get("registered_name"):
                raise foreign(str(config.get("module") or config["registered_name"]), config)
            return {key: self.walked(value) for key, value in config.items()}
        refuse_foreign(config)
        kind, inner = config["class_name"], config.get("config")
        kept = {key: value for key, value in config.items() if key not in {"build_config",
                "compile_config", "config"}}  # fmt: skip
        if not isinstance(inner, dict) or kind in PLAIN:
            return {key: self.walked(config[key]) for key in config if key in {*kept, "config"}}
        inner = self.settings(kind, inner)
        if kind == "Sequential":
            inner["layers"] = list(with_input(inner.get("layers"), config))
        others = {key: self.walked(value) for key, value in kept.items()}
        return {**others, "config": self.walked(inner)}

    def settings(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        """The settings of one layer as Keras 3 has them, in single precision, untrained."""
        kept = {key: value for key, value in given.items() if not key.endswith(TRAINING)}
        name = str(given.get("name", ""))
        if kind == "InputLayer":
            return self.entrance(name, kept)
        if "dtype" in kept:
            kept["dtype"] = self.precision(name, kept["dtype"])
        for key, harmless in DROPPED.items() if kind not in MODELS else ():
            if key in kept and harmless is not ... and kept[key] != harmless:
                raise UnsupportedError(
                    f"Layer {name!r} ({kind}) is set to {key}={kept[key]!r}.",
                    f"Train it with {key}={harmless!r}.",
                )
            kept.pop(key, None)
        if kind.startswith(("Depthwise", "Separable")) or kind.endswith("Transpose"):
            kept.pop("groups", None)
        axis = kept.get("axis")
        if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
            kept["axis"] = axis[0]
        if self.old and HARD in (kept.get("activation"), kept.get("recurrent_activation")):
            raise UnsupportedError(
                f"Layer {name!r} ({kind}) uses {HARD}, which is another function in Keras 3.",
                "Train it with sigmoid.",
            )
        return kept

    def entrance(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """An input with the sizes that the user gave, the batch free."""
        shape = given.get("batch_shape", given.get("batch_input_shape"))
        if isinstance(shape, dict):
            shape = shape.get("items", shape.get("config"))
        if given.get("ragged") or given.get("sparse") or not isinstance(shape, list):
            raise UnsupportedError(
                f"Input {name!r} is ragged, sparse or without a shape.",
                "Build the model with a dense input of known sizes.",
            )
        sizes = [*self.shapes.get(name, shape)]
        if len(sizes) != len(shape):
            raise UnsupportedError(
                f"Input {name!r} has {len(shape)} axes, the shape given for it {len(sizes)}.",
                "Give a size for every axis, the batch first.",
            )
        if any(not isinstance(size, int) or size < 1 for size in sizes[1:]):
            raise UnsupportedError(
                f"Input {name!r} has shape {shape}: only the first axis may be free.",
                f"Give its sizes: --shape {name}=1,… .",
            )
        dtype = self.precision(name, given.get("dtype", "float32"))
        return {"batch_shape": [None, *sizes[1:]], "dtype": dtype, "name": name}

    def precision(self, layer: str, dtype: Any) -> Any:
        """Single precision for every layer of floats; integers are left."""
        if isinstance(dtype, dict):
            kind = dtype.get("class_name")
            inner = dtype.get("config")
            if kind not in {"DTypePolicy", "Policy"} or not isinstance(inner, dict):
                raise UnsupportedError(
                    f"Layer {layer!r} is quantized ({kind}).",
                    "Import the model as it was before; `sanderling compress` quantizes it.",
                )
            dtype = inner.get("name")
        if dtype in FLOATS:
            note = f"Computed in {dtype} where it was trained; here in float32."
            if note not in self.notes:
                self.notes.append(note)
            return "float32"
        return dtype


def refuse_foreign(config: dict[str, Any]) -> None:
    """Let a class pass if it is on the list, comes from Keras and says so in every field."""
    kind, module = config["class_name"], config.get("module")
    registered = config.get("registered_name")
    known = isinstance(kind, str) and kind in LISTED
    operation = isinstance(module, str) and ".ops." in module
    if operation:
        known = isinstance(kind, str) and kind in OPERATIONS
    inside = isinstance(module, str) and module.startswith(INSIDE)
    if not known or not (inside or (isinstance(module, str | None) and module in CALLED)):
        raise foreign(str(kind), config)
    if registered and registered != kind:
        raise foreign(str(registered), config)


def foreign(kind: str, config: Mapping[str, Any]) -> UnsupportedError:
    inner = config.get("config")
    name = inner.get("name", "") if isinstance(inner, dict) else ""
    where = f" (layer {name!r})" if name else ""
    if kind in {"Lambda", "function", "__lambda__"}:
        return UnsupportedError(
            f"The model holds a function of its own{where}, which would run whatever it says.",
            "Rebuild the model with Keras' own layers in its place, and load the weights.",
        )
    return UnsupportedError(
        f"The model uses {kind}{where}, which is not among the layers of Keras that can be taken.",
        "Rebuild the model with standard layers, or export it to ONNX where it was made.",
    )


def with_input(layers: Any, config: dict[str, Any]) -> Iterator[Any]:
    """The layers of a sequence, an input first: the first layer or the file knows its shape."""
    if not isinstance(layers, list) or not layers:
        raise IntegrityError("The model has no layers.", "Save it again.")
    first = layers[0] if isinstance(layers[0], dict) else {}
    settings = first.get("config") if isinstance(first.get("config"), dict) else {}
    built = config.get("build_config")
    shape = settings.get("batch_input_shape", settings.get("batch_shape")) if settings else None
    if shape is None and isinstance(built, dict):
        shape = built.get("input_shape")
    if first.get("class_name") not in {"InputLayer", *MODELS} and shape:
        given = {"batch_shape": shape, "name": "input"}
        yield {"module": "keras.layers", "class_name": "InputLayer", "config": given}
    yield from layers
