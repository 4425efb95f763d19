"""What translates a layer: a function of the graph, the layer and what the layer is called with."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.foreign.graph import Graph, Shape, UntranslatedError, Value

Translation = Callable[..., Any]
TRANSLATIONS: dict[str, Translation] = {}

UNARY = {
    "exponential": "Exp", "mish": "Mish", "relu": "Relu", "sigmoid": "Sigmoid",
    "softplus": "Softplus", "softsign": "Softsign", "tanh": "Tanh",
}  # fmt: skip


def translates(*kinds: str) -> Callable[[Translation], Translation]:
    """Register a translation for layers of these classes."""

    def register(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(kinds, function))
        return function

    return register


def untranslated(layer: Any, why: str = "") -> UntranslatedError:
    return UntranslatedError(layer.name, type(layer).__name__, why)


def array(weight: Any) -> NDArray[Any]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def shape_after(layer: Any, shape: Shape) -> Shape:
    return tuple(layer.compute_output_shape(shape))


def activated(graph: Graph, layer: Any, value: Value) -> Value:
    """A value after the layer's own activation."""
    kind = getattr(layer.activation, "__name__", "")
    if not kind:  # a layer as activation
        after: Value = translate(graph, layer.activation, value)
        return after
    return activate(graph, kind, value, layer)


def activate(graph: Graph, kind: str, value: Value, layer: Any) -> Value:
    name = value.name

    def made(op: str, *others: str, **given: Any) -> Value:
        return Value(value.shape, graph.emit(op, name, *others, **given), value.second)

    if kind == "linear":
        return value
    if kind in UNARY:
        return made(UNARY[kind])
    if kind in {"softmax", "log_softmax"}:
        axis = value.axis(-1)
        return made("Softmax" if kind == "softmax" else "LogSoftmax", axis=axis)
    if kind == "relu6":
        return made("Clip", graph.constant(0), graph.constant(6))
    if kind in {"silu", "swish"}:
        return made("Mul", graph.emit("Sigmoid", name))
    if kind == "gelu":
        return made("Gelu", approximate="none")
    if kind == "elu":
        return made("Elu", alpha=1.0)
    if kind == "selu":
        return made("Selu")
    if kind == "leaky_relu":
        return made("LeakyRelu", alpha=0.2)
    if kind == "hard_sigmoid":
        return made("HardSigmoid", alpha=1 / 6, beta=0.5)
    if kind in {"hard_silu", "hard_swish"}:
        return made("HardSwish")
    raise untranslated(layer, f"activation {kind!r}")


def translate(graph: Graph, layer: Any, *args: Any, **given: Any) -> Any:
    """Add a layer to the graph.

    Raises:
        UntranslatedError: names the layer.
    """
    kind = type(layer).__name__
    said = {name: word for name, word in given.items() if word is not None and name != "training"}
    if kind not in TRANSLATIONS:
        raise untranslated(layer)
    try:
        return TRANSLATIONS[kind](graph, layer, *args, **said)
    except TypeError as error:
        if said:  # called with words that the translation does not know
            raise untranslated(layer, f"called with {', '.join(said)}") from error
        raise
