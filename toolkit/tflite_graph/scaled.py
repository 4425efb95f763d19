"""Codes as real numbers: pairs of QuantizeLinear and DequantizeLinear, stored weights and biases.

Runtimes read such pairs as what they mean (Jacob et al. 2018, arXiv:1712.05877): integer kernels.
"""

from typing import Any

import numpy as np

from toolkit.tflite_graph.numbers import NUMBERS
from toolkit.tflite_graph.parts import Array, Scales, Tensor

Node = Any
Stored = dict[str, Array]
Made = tuple[list[Node], Stored, str]  # nodes, what they read, and the name of the result

UNSIGNED = 128  # what int8 codes gain to become uint8 ones
MOST_SUM = (1 << 31) - 1  # of int32
FINE = 1 << 30  # steps of a number that only looks quantized


def widest(dtype: str) -> int:
    """The opset that brought codes of a type."""
    return 21 if dtype in {"INT16", "INT4"} else 0


def stored_type(dtype: str) -> Any:
    if dtype != "INT4":
        return np.dtype(NUMBERS[dtype])
    from onnx import TensorProto, helper

    return helper.tensor_dtype_to_np_dtype(TensorProto.INT4)


def parameters(name: str, dtype: str, scales: Scales) -> tuple[list[str], Stored]:
    """Names of scale and zero point, and what they are."""
    shape = scales.scale.shape if scales.per_channel else ()
    stored = {f"{name}_scale": scales.scale.astype(np.float32).reshape(shape)}
    if dtype != "INT4" or scales.zero.any():  # onnxruntime wants one of stored int8, always
        stored[f"{name}_zero"] = scales.zero.astype(stored_type(dtype)).reshape(shape)
    return list(stored), stored


def pair(source: str, name: str, tensor: Tensor, *, signed: bool = False) -> Made:
    """Round `source` to the codes of a tensor, and read them back.

    Codes of 8 bits count from 0: onnxruntime has kernels for those wherever it has some.
    `signed`: they count from -128, so that it does not merge this pair with the one before it
    into a third one that has neither's scale (its DoubleQDQPairsRemover).
    """
    from onnx import helper

    assert tensor.scales is not None
    dtype, scales = tensor.dtype, tensor.scales
    wanted = "INT8" if signed else "UINT8"
    if dtype in {"INT8", "UINT8"} and dtype != wanted:
        shift = -UNSIGNED if signed else UNSIGNED
        dtype, scales = wanted, Scales(scales.scale, scales.zero + shift)
    # one name for all values of this scale: a file has few of them
    word = f"{dtype.lower()}_{float(scales.scale[0])!r}_{int(scales.zero[0])}"
    names, stored = parameters(word, dtype, scales)
    codes, result = f"{name}_codes", f"{name}_real"
    nodes = [
        helper.make_node("QuantizeLinear", [source, *names], [codes], f"{name}_quantize"),
        helper.make_node("DequantizeLinear", [codes, *names], [result], f"{name}_dequantize"),
    ]
    return nodes, stored, result


def constant_of_codes(name: str, codes: Array, tensor: Tensor, axis: int) -> Made:
    """Stored codes as real numbers; `axis` is where several scales lie."""
    from onnx import helper

    assert tensor.scales is not None
    inner = f"{name}_{tensor.dtype.lower()}"
    names, stored = parameters(inner, tensor.dtype, tensor.scales)
    stored[inner] = codes.astype(stored_type(tensor.dtype))
    along = {"axis": axis} if tensor.scales.per_channel else {}
    node = helper.make_node(
        "DequantizeLinear", [inner, *names], [f"{inner}_real"], f"{inner}_dequantize", **along
    )
    return [node], stored, f"{inner}_real"


def constant_of_sums(name: str, codes: Array, scale: Array) -> Made:
    """A bias, as int32 in the scale of the sums it is added to, or of one that it fits in."""
    from onnx import helper

    real = codes.astype(np.float64) * scale
    if np.abs(codes.astype(np.float64)).max(initial=0) > MOST_SUM:
        return shielded(name, real)
    return sums(helper, name, codes.astype(np.int32), scale)


def shielded(name: str, values: Array) -> Made:
    """The bias of a layer that stays float behind values that come from codes.

    onnxruntime would quantize the weights of such a layer by itself, one scale for all (its
    transformer WeightBiasQuantization), where the bias is stored in floats.
    """
    from onnx import helper

    row = np.abs(values.astype(np.float64)).reshape(-1)
    scale = np.where(row > 0, row, 1.0) / FINE
    return sums(helper, name, np.rint(values / scale).astype(np.int32), scale)


def sums(helper: Any, name: str, codes: Array, scale: Array) -> Made:
    inner = f"{name}_int32"
    flat = np.asarray(scale, np.float32).reshape(-1)
    stored: Stored = {inner: codes, f"{inner}_scale": flat if flat.size > 1 else flat.reshape(())}
    along = {"axis": 0} if flat.size > 1 else {}
    node = helper.make_node(
        "DequantizeLinear", list(stored), [f"{inner}_real"], f"{inner}_dequantize", **along
    )
    return [node], stored, f"{inner}_real"
