"""Layers that work value by value, or on the last axis: dense, normal, joining, activations."""

from typing import Any

import numpy as np

from toolkit.foreign.graph import Graph, Value
from toolkit.foreign.keras_layers.base import (
    activate,
    activated,
    array,
    shape_after,
    translates,
    untranslated,
)

JOINS = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min",
    "Average": "Add",
}  # fmt: skip


@translates(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast",
    "RandomBrightness",
)  # fmt: skip
def in_training_only(graph: Graph, layer: Any, x: Value) -> Value:
    return x


@translates("Dense")
def dense(graph: Graph, layer: Any, x: Value) -> Value:
    name, kernel = graph.plain(x), array(layer.kernel)
    bias = [graph.store("bias", array(layer.bias))] if layer.use_bias else []
    if x.rank == 2:
        name = graph.emit("Gemm", name, graph.store("weight", kernel.T), *bias, transB=1)
    else:
        name = graph.emit("MatMul", name, graph.store("weight", kernel))
        name = graph.emit("Add", name, *bias) if bias else name
    return activated(graph, layer, Value((*x.shape[:-1], kernel.shape[1]), name))


@translates("Embedding")
def embedding(graph: Graph, layer: Any, x: Value) -> Value:
    rows = graph.store("weight", array(layer.embeddings))
    numbers = graph.emit("Cast", graph.plain(x), to=7)  # INT64
    return Value((*x.shape, layer.output_dim), graph.emit("Gather", rows, numbers))


@translates("BatchNormalization")
def batch_normalization(graph: Graph, layer: Any, x: Value) -> Value:
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    last = axis % x.rank == x.rank - 1
    if not last and axis % x.rank != 1:
        raise untranslated(layer, f"along axis {axis}")
    name = graph.second(x) if last and x.rank > 2 else graph.plain(x)
    mean = array(layer.moving_mean)
    words = {
        "weight": array(layer.gamma) if layer.scale else np.ones_like(mean),
        "bias": array(layer.beta) if layer.center else np.zeros_like(mean),
        "running_mean": mean,
        "running_var": array(layer.moving_variance),
    }
    stored = [graph.store(stem, values) for stem, values in words.items()]
    name = graph.emit("BatchNormalization", name, *stored, epsilon=layer.epsilon)
    return Value(x.shape, name, second=last and x.rank > 2)


@translates("LayerNormalization")
def layer_normalization(graph: Graph, layer: Any, x: Value) -> Value:
    axes = [layer.axis] if isinstance(layer.axis, int) else [*layer.axis]
    if [axis % x.rank for axis in axes] != [x.rank - 1] or getattr(layer, "rms_scaling", False):
        raise untranslated(layer, f"along axes {axes}")
    size = int(x.shape[-1] or 0)
    scale = array(layer.gamma) if layer.scale else np.ones(size, np.float32)
    stored = [graph.store("weight", scale)]
    if layer.center:
        stored.append(graph.store("bias", array(layer.beta)))
    name = graph.plain(x)
    made = graph.emit("LayerNormalization", name, *stored, axis=-1, epsilon=layer.epsilon)
    return Value(x.shape, made)


@translates(*JOINS)
def join(graph: Graph, layer: Any, values: list[Value]) -> Value:
    if len({value.rank for value in values}) > 1:
        raise untranslated(layer, "of values with different numbers of axes")
    shape = shape_after(layer, [v.shape for v in values])  # type: ignore[arg-type]
    kind = type(layer).__name__
    return joined(graph, JOINS[kind], values, shape, average=kind == "Average")


def joined(graph: Graph, op: str, values: list[Value], shape: Any, average: bool = False) -> Value:
    values = graph.together(values)
    name = values[0].name
    for other in values[1:]:
        name = graph.emit(op, name, other.name)
    if average:
        name = graph.emit("Div", name, graph.constant(len(values)))
    return Value(tuple(shape), name, values[0].second)


@translates("Activation")
def activation(graph: Graph, layer: Any, x: Value) -> Value:
    return activated(graph, layer, x)


@translates("ReLU")
def relu(graph: Graph, layer: Any, x: Value) -> Value:
    slope, most, threshold = layer.negative_slope, layer.max_value, layer.threshold
    if threshold:
        raise untranslated(layer, f"threshold {threshold}")
    if slope:
        name = graph.emit("LeakyRelu", x.name, alpha=float(slope))
        if most is not None:
            name = graph.emit("Min", name, graph.constant(most))
    elif most is not None:
        name = graph.emit("Clip", x.name, graph.constant(0), graph.constant(most))
    else:
        name = graph.emit("Relu", x.name)
    return Value(x.shape, name, x.second)


@translates("LeakyReLU")
def leaky_relu(graph: Graph, layer: Any, x: Value) -> Value:
    slope = float(layer.negative_slope)
    return Value(x.shape, graph.emit("LeakyRelu", x.name, alpha=slope), x.second)


@translates("ELU")
def elu(graph: Graph, layer: Any, x: Value) -> Value:
    return Value(x.shape, graph.emit("Elu", x.name, alpha=float(layer.alpha)), x.second)


@translates("PReLU")
def prelu(graph: Graph, layer: Any, x: Value) -> Value:
    slopes = array(layer.alpha)
    if x.second:
        slopes = np.moveaxis(slopes, -1, 0)
    return Value(x.shape, graph.emit("PRelu", x.name, graph.store("weight", slopes)), x.second)


@translates("Softmax")
def softmax(graph: Graph, layer: Any, x: Value) -> Value:
    if not isinstance(layer.axis, int):
        raise untranslated(layer, f"over axes {layer.axis}")
    axis = layer.axis % x.rank
    if axis == x.rank - 1:
        return activate(graph, "softmax", x, layer)
    return Value(x.shape, graph.emit("Softmax", x.name, axis=x.axis(axis)), x.second)


@translates("Rescaling")
def rescaling(graph: Graph, layer: Any, x: Value) -> Value:
    name = graph.emit("Mul", x.name, along_channels(graph, layer.scale, x))
    name = graph.emit("Add", name, along_channels(graph, layer.offset, x))
    return Value(x.shape, name, x.second)


@translates("Normalization")
def normalization(graph: Graph, layer: Any, x: Value) -> Value:
    import keras

    mean, variance = array(layer.mean), array(layer.variance)
    spread = np.maximum(np.sqrt(variance), keras.config.epsilon()).astype(np.float32)
    if layer.invert:
        name = graph.emit("Mul", x.name, along_channels(graph, spread, x))
        name = graph.emit("Add", name, along_channels(graph, mean, x))
    else:
        name = graph.emit("Sub", x.name, along_channels(graph, mean, x))
        name = graph.emit("Div", name, along_channels(graph, spread, x))
    return Value(x.shape, name, x.second)


def along_channels(graph: Graph, numbers: Any, x: Value) -> str:
    """A constant that is broadcast against `x.name`, given as it is against Keras' order."""
    values = np.asarray(numbers, np.float32)
    if x.second and values.size > 1:
        values = values.reshape((1,) * (x.rank - values.ndim) + values.shape)
        values = np.moveaxis(values, -1, 1)
    return graph.constant(values if values.size > 1 else values.reshape(()))
