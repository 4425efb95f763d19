"""Dense layers and products of matrices."""

import math
from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.layout import permuted
from toolkit.tflite_graph.activations import activated
from toolkit.tflite_graph.builder import Builder, Translation
from toolkit.tflite_graph.parts import Operation, Tensor, damaged
from toolkit.tflite_graph.weights import stored_bias, stored_weight, weights_of


def dense(builder: Builder, operation: Operation) -> None:
    """Weights are stored as (outputs, inputs); more axes than two are rows."""
    weights = weights_of(builder, operation, 1)
    source, target = builder.tensor(operation, 0), builder.output(operation).shape
    if len(weights.shape) != 2 or operation.option("WeightsFormat"):
        raise operation.unsupported("has shuffled weights", "Export the model again.")
    if not target or target[-1] != weights.shape[0] or not weights.shape[1]:
        raise damaged(f"{operation.code} has weights for another result")
    builder.scope = builder.layer(operation, "dense")
    batch = builder.batch(builder.place(operation, 0))
    if batch == len(source.shape) - 1:
        builder.axis(operation, -1)  # it is along the batch, and refused
    rows = math.prod(target[:-1])
    if math.prod(source.shape) != rows * weights.shape[1]:
        raise damaged(f"{operation.code} has weights for another input")
    x = builder.take(operation, 0)
    is_dynamic = dynamic(builder, operation, weights)
    if len(target) == 2 or source.quantized:
        if source.shape != (rows, weights.shape[1]):
            flat = (rows, weights.shape[1])
            if batch and len(target) == 2:
                raise operation.unsupported("flattens the batch", "Put the batch first.")
            x = builder.paired(builder.reshaped(x, flat), source, flat)
        made = product(builder, operation, x, (rows, weights.shape[0]), is_dynamic)
        made = activated(builder, operation, made, (rows, weights.shape[0]))
        if len(target) != 2:
            made = builder.paired(made, builder.output(operation), (rows, weights.shape[0]))
            sizes = [-1 if axis == batch else size for axis, size in enumerate(target)]
            made = builder.emit("Reshape", [made, builder.integers(sizes)], target)
        builder.give(operation, made)
        return
    made = matrix(builder, operation, x, target, is_dynamic)
    builder.give(operation, activated(builder, operation, made, target))


def dynamic(builder: Builder, operation: Operation, weights: Tensor) -> bool:
    """Whether the kernel measures the range of what it takes, and multiplies integers."""
    is_read_as_it_is = builder.tensor(operation, 1) is weights  # and not unpacked before
    if builder.tensor(operation, 0).quantized or not is_read_as_it_is or weights.scales is None:
        return False
    return weights.dtype == "INT8" and not weights.scales.zero.any()


def product(
    builder: Builder, operation: Operation, x: str, shape: tuple[int, ...], is_dynamic: bool
) -> str:
    """Rows times weights, as an operator that every pass knows."""
    if is_dynamic:
        return matrix(builder, operation, x, shape, True)
    weights, source = weights_of(builder, operation, 1), builder.tensor(operation, 0)
    inputs = [x, stored_weight(builder, weights, (0, 1))]
    inputs.append(stored_bias(builder, operation, 2, source, weights))
    return builder.emit("Gemm", [name for name in inputs if name], shape, transB=1)


def matrix(
    builder: Builder, operation: Operation, x: str, shape: tuple[int, ...], is_dynamic: bool
) -> str:
    """Rows of any number of axes times weights, and the bias."""
    weights, source = weights_of(builder, operation, 1), builder.tensor(operation, 0)
    if is_dynamic:
        made = measured(builder, x, weights, shape)
    else:
        made = builder.emit("MatMul", [x, stored_weight(builder, weights, (1, 0))], shape)
    if not builder.has(operation, 2):
        return made
    bias = stored_bias(builder, operation, 2, source, weights)
    return builder.emit("Add", [made, bias], shape)


def measured(builder: Builder, x: str, weights: Tensor, shape: tuple[int, ...]) -> str:
    """The product of integers, with the range of `x` measured while it runs."""
    from onnx import TensorProto

    assert weights.data is not None
    assert weights.scales is not None
    builder.notes.append(
        "The range of what dense layers take is measured over all items given at once; one at a "
        "time they answer as in TFLite, which takes no more."
    )
    given = builder.shapes.get(x, ())
    codes, step, zero = builder.emit_many("DynamicQuantizeLinear", [x], [given, (), ()])
    name = f"{builder.scope}.weight_int8"
    stored = builder.store(name, weights.data.T)
    scale = weights.scales.scale
    factor = builder.store(f"{name}_scale", scale if scale.size > 1 else scale.reshape(()))
    sums = builder.emit("MatMulInteger", [codes, stored, zero], shape)
    floats = builder.emit("Cast", [sums], shape, to=TensorProto.FLOAT)
    scales = builder.emit("Mul", [step, factor], np.shape(builder.stored[factor]))
    return builder.emit("Mul", [floats, scales], shape)


def product_of_values(builder: Builder, operation: Operation) -> None:
    """BATCH_MATMUL: either side may be turned."""
    shape = builder.shape(operation)
    moving = [p for p in operation.inputs[:2] if not builder.is_constant(p)]
    if any(builder.rank(p) != len(shape) or builder.batch(p) > len(shape) - 3 for p in moving):
        raise operation.unsupported(
            "multiplies items of a batch with each other",
            "Export the model with the batch as first axis of both sides.",
        )
    if len(moving) == 2 and len({builder.file.tensors[p].shape[0] for p in moving}) > 1:
        raise operation.unsupported("mixes the items of a batch", "Put the batch first.")
    names = [side(builder, operation, 0, "AdjX"), side(builder, operation, 1, "AdjY")]
    builder.give(operation, builder.emit("MatMul", names, shape))


def side(builder: Builder, operation: Operation, index: int, turned: str) -> str:
    rank = builder.rank(builder.place(operation, index))
    if rank < 2:
        raise damaged(f"{operation.code} multiplies {rank} axes")
    axes = list(range(rank))
    if operation.option(turned, False):
        axes[-2:] = axes[:-3:-1]
    place = builder.place(operation, index)
    if builder.is_constant(place):
        held = weights_of(builder, operation, index)
        builder.scope = builder.layer(operation, "product", index)
        return stored_weight(builder, held, axes)
    name = builder.take(operation, index)
    if axes == sorted(axes):
        return name
    shape = permuted(builder.file.tensors[place].shape, axes)
    turned_name = builder.emit("Transpose", [name], shape, perm=axes)
    return builder.paired(turned_name, builder.file.tensors[place], shape)


TRANSLATIONS: Mapping[str, Translation] = {
    "BATCH_MATMUL": product_of_values,
    "FULLY_CONNECTED": dense,
}
