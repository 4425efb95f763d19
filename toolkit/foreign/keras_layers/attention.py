"""Attention of several heads (Vaswani et al. 2017) on sequences (batch, time, features)."""

from typing import Any

import numpy as np

from toolkit.foreign.graph import Graph, Value
from toolkit.foreign.keras_layers.base import array, translates, untranslated


@translates("MultiHeadAttention")
def multi_head_attention(
    graph: Graph, layer: Any, query: Value, value: Value, key: Value | None = None,
    use_causal_mask: bool = False, return_attention_scores: bool = False,
) -> Value:  # fmt: skip
    key = key or value
    if any(taken.rank != 3 for taken in (query, value, key)) or return_attention_scores:
        raise untranslated(layer, "on anything but sequences, or giving its scores")
    parts = (("query", query), ("key", key), ("value", value))
    queries, keys, values = (project(graph, layer, stem, taken) for stem, taken in parts)
    scaled = graph.emit("Mul", queries, graph.constant(1 / np.sqrt(layer.key_dim)))
    turned = graph.emit("Transpose", keys, perm=[0, 1, 3, 2])
    scores = graph.emit("MatMul", scaled, turned)
    if use_causal_mask:
        steps, seen = int(query.shape[1] or 0), int(key.shape[1] or 0)
        later = np.triu(np.ones((steps, seen), bool), k=1)
        scores = graph.emit("Add", scores, graph.constant(np.where(later, -1e9, 0)))
    shares = graph.emit("Softmax", scores, axis=-1)
    heads = graph.emit("Transpose", graph.emit("MatMul", shares, values), perm=[0, 2, 1, 3])
    kernel = array(layer._output_dense.kernel)
    flat = kernel.reshape(-1, kernel.shape[-1])  # (heads * size, out)
    sizes = graph.constant([-1, query.shape[1], flat.shape[0]], np.int64)
    made = graph.emit("Reshape", heads, sizes)
    made = linear(graph, "output", made, flat, layer._output_dense.bias)
    return Value((*query.shape[:-1], flat.shape[1]), made)


def project(graph: Graph, layer: Any, stem: str, x: Value) -> str:
    """(batch, time, features) as (batch, heads, time, size)."""
    dense = getattr(layer, f"_{stem}_dense")
    kernel = array(dense.kernel)  # (features, heads, size)
    made = linear(graph, stem, graph.plain(x), kernel.reshape(kernel.shape[0], -1), dense.bias)
    sizes = graph.constant([-1, x.shape[1], *kernel.shape[1:]], np.int64)
    return graph.emit("Transpose", graph.emit("Reshape", made, sizes), perm=[0, 2, 1, 3])


def linear(graph: Graph, stem: str, name: str, kernel: Any, bias: Any) -> str:
    made = graph.emit("MatMul", name, graph.store(f"{stem}.weight", kernel))
    if bias is None:
        return made
    return graph.emit("Add", made, graph.store(f"{stem}.bias", array(bias).reshape(-1)))
