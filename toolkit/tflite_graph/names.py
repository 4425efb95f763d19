"""Tidy names: `model/conv2d_1/Conv2D` is the layer `conv2d_1`."""

import re

GENERIC = {
    "BiasAdd", "Conv2D", "FusedBatchNormV3", "MatMul", "ReadVariableOp", "Relu", "Relu6",
    "Tensordot", "add", "bias", "depthwise", "depthwise_kernel", "depthwise_weights", "kernel",
    "read", "resource", "transpose", "weight", "weights",
}  # fmt: skip
"""Last words that say what a tensor is for, and not whose it is."""

NORM = re.compile(r"(^|/)batch_norm\w*(/|$)")
WHOLE = re.compile(r"(model|sequential|functional|StatefulPartitionedCall|main)(_\d+)?$")
ANONYMOUS = re.compile(r"(arith\.|tfl\.|pseudo|const|jax|XlaCall|unknown)", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z_][\w.-]*$")


def layer_name(tensor: str) -> str:
    """The layer that a weight belongs to; empty where the converter gave it a number only."""
    merged = tensor.split(";")  # a layer and what was folded into it
    own = [part for part in merged if not NORM.search(part)]
    first = (own or merged)[0].partition("#")[0].partition(":")[0]
    words = [word for word in first.split("/") if word]
    while len(words) > 1 and WHOLE.match(words[0]):
        words = words[1:]
    while words and words[-1] in GENERIC:
        words = words[:-1]
    found = ".".join(words).removesuffix(".weight")
    return found if WORD.match(found) and not ANONYMOUS.match(found) else ""


def value_name(tensor: str) -> str:
    """The name of an input or output, without what the converter put around it."""
    return re.sub(r":\d+$", "", tensor.removeprefix("serving_default_"))
