"""A weight as a chain of smaller ones: fewer numbers and multiplications for nearly the same sum.

A dense layer is split by its singular values (Denton et al. 2014, arXiv:1404.0736; Xue et al.
2013). A convolution is split into 1x1, kxk, 1x1 (Tucker-2, Kim et al. 2016, arXiv:1511.06530),
into 1x1, kx1 and 1xk of each channel, 1x1 (CP, Lebedev et al. 2015, arXiv:1412.6553), or into
kx1, 1xk (Jaderberg et al. 2014, arXiv:1405.3866). Weights are (outputs, inputs, *kernel).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sizes = tuple[int, ...]

TUCKER_ROUNDS = 5  # of alternating bases: what they still gain is in the third digit after that
CP_ROUNDS = 60  # of alternating least squares, at most
SETTLED = 1e-4  # of the squared weights: a round that gains less is the last one
RIDGE = 1e-9  # of the mean square: keeps the least squares solvable when two terms grow alike


def svd(weight: NDArray[Any], rank: int) -> tuple[Array, ...]:
    """The nearest weight of that rank, as two factors; a kernel stays with the first one."""
    left, singular, right = decomposed(weight)
    root = np.sqrt(singular[:rank])
    ones = (1,) * (weight.ndim - 2)
    first = (root[:, None] * right[:rank]).reshape(rank, *weight.shape[1:])
    return first, (left[:, :rank] * root).reshape(weight.shape[0], rank, *ones)


def spatial(weight: NDArray[Any], rank: int) -> tuple[Array, ...]:
    """A convolution over the height, then one over the width."""
    outputs, inputs, height, width = weight.shape
    left, singular, right = decomposed(columns_first(weight))
    root = np.sqrt(singular[:rank])
    rows = (left[:, :rank] * root).T.reshape(rank, inputs, height, 1)
    columns = (root[:, None] * right[:rank]).reshape(rank, outputs, 1, width)
    return rows, columns.transpose(1, 0, 2, 3)


def columns_first(weight: NDArray[Any]) -> NDArray[Any]:
    """As a matrix: inputs and height by outputs and width."""
    outputs, inputs, height, width = weight.shape
    return weight.transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)


def tucker(weight: NDArray[Any], ranks: tuple[int, int]) -> tuple[Array, ...]:
    """1x1 to fewer inputs, the kernel, 1x1 from fewer outputs; `ranks` are outputs, inputs."""
    exact = weight.astype(np.float64)
    outputs, inputs = (decomposed(unfolded(exact, axis))[0] for axis in (0, 1))
    outputs, inputs = outputs[:, : ranks[0]], inputs[:, : ranks[1]]
    for _ in range(TUCKER_ROUNDS):  # higher-order orthogonal iteration
        part = np.einsum("oi...,ir->or...", exact, inputs)
        outputs = decomposed(unfolded(part, 0))[0][:, : ranks[0]]
        part = np.einsum("oi...,or->ri...", exact, outputs)
        inputs = decomposed(unfolded(part, 1))[0][:, : ranks[1]]
    core = np.einsum("oi...,or,is->rs...", exact, outputs, inputs)
    ones = (1,) * (weight.ndim - 2)
    return inputs.T.reshape(*inputs.T.shape, *ones), core, outputs.reshape(*outputs.shape, *ones)


def cp(weight: NDArray[Any], rank: int) -> tuple[Array, ...]:
    """1x1, one kernel of a single axis after another for each channel, 1x1."""
    exact = weight.astype(np.float64)
    generator = np.random.default_rng(0)
    bases = [generator.normal(size=(size, rank)) for size in exact.shape]
    matrix = exact.reshape(exact.shape[0] * exact.shape[1], -1)  # channels by kernel
    energy, missed = float((exact**2).sum()), float("inf")
    for _ in range(CP_ROUNDS):
        for side in (slice(0, 2), slice(2, None)):  # what both halves share is summed up once
            others = khatri_rao(bases[2:] if side.start == 0 else bases[:2])
            met = (matrix if side.start == 0 else matrix.T) @ others
            met = met.reshape(*exact.shape[side], rank)
            for axis in range(*side.indices(exact.ndim)):
                wanted = summed(met, bases[side], axis - side.start)
                bases[axis] = solved(wanted, bases[:axis] + bases[axis + 1 :])
        # of least squares: what is left is what there was less what was met
        before, missed = missed, energy - float((wanted * bases[-1]).sum())
        if before - missed < SETTLED * energy:
            break
    outputs, inputs, *kernel = balanced(bases)
    ones = (1,) * len(kernel)
    chain = [inputs.T.reshape(rank, -1, *ones)]
    for axis, basis in enumerate(kernel):
        window = [1] * len(kernel)
        window[axis] = len(basis)
        chain.append(basis.T.reshape(rank, 1, *window))
    return (*chain, outputs.reshape(-1, rank, *ones))


def summed(tensor: Array, bases: Sequence[Array], axis: int) -> Array:
    """Weighted with the basis of every axis but one, and summed up along it; terms come last."""
    others = [other for other in range(len(bases)) if other != axis]
    for other in others:
        flat = [place for place in range(len(bases)) if place != other]
        tensor = tensor * np.expand_dims(bases[other], tuple(flat))
    return np.asarray(tensor.sum(axis=tuple(others)))


def solved(wanted: Array, others: Sequence[Array]) -> Array:
    """The basis that together with the others comes nearest to the tensor."""
    gram = np.prod([basis.T @ basis for basis in others], axis=0)
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram, wanted.T).T


def khatri_rao(bases: Sequence[Array]) -> Array:
    """Column by column the outer product, flattened."""
    product = bases[0]
    for basis in bases[1:]:
        product = (product[:, None] * basis[None]).reshape(-1, basis.shape[1])
    return product


def balanced(bases: Sequence[Array]) -> list[Array]:
    """The same product, every term of one size in all bases: training takes even steps then."""
    sizes = np.array([np.linalg.norm(basis, axis=0) for basis in bases])
    sizes = np.maximum(sizes, np.finfo(float).tiny)
    each = np.exp(np.log(sizes).mean(axis=0))
    return [basis / size * each for basis, size in zip(bases, sizes, strict=True)]


def decomposed(weight: NDArray[Any]) -> tuple[Array, Array, Array]:
    """Singular vectors and values of the weight as a matrix with a row an output."""
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    signs = np.where(left[np.abs(left).argmax(axis=0), range(left.shape[1])] < 0, -1.0, 1.0)
    return left * signs, singular, right * signs[:, None]  # the same signs on every machine


def unfolded(tensor: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)


def rank_of(weight: NDArray[Any], energy: float) -> int:
    """The smallest rank that keeps `energy` of the squared singular values of the matrix."""
    squares = decomposed(weight)[1] ** 2
    kept = np.cumsum(squares)
    return int(np.searchsorted(kept, energy * kept[-1] * (1 - 1e-12))) + 1


def restored(factors: Sequence[NDArray[Any]]) -> Array:
    """The one weight that answers like the chain."""
    first, *others = factors
    product = first.astype(np.float64)
    for factor in others:
        if len(product) != factor.shape[1]:  # a kernel of its own for each channel
            product = np.einsum("oi...,o...->oi...", product, factor[:, 0])
        else:
            product = np.einsum("ri...,or...->oi...", product, factor)
    return product


def kept(weight: NDArray[Any], factors: Sequence[NDArray[Any]]) -> float:
    """The share of the squared weights that the factors give back, at most 1."""
    missed = float(((weight - restored(factors)) ** 2).sum())
    whole = float((weight.astype(np.float64) ** 2).sum())
    return 1 - missed / whole if whole else 1.0


def owners(kernel: Sizes, shapes: Sequence[Sizes]) -> tuple[int, ...]:
    """For every axis of the kernel the factor that strides and pads along it.

    Stored weights do not say so: it is the first one with the whole kernel along that axis.
    """
    return tuple(
        next(i for i, shape in enumerate(shapes) if shape[2 + axis] == size)
        for axis, size in enumerate(kernel)
    )


def groups_of(shapes: Sequence[Sizes]) -> tuple[int, ...]:
    """Of every factor, that it takes all channels the one before gives."""
    given = [shapes[0][1], *(shape[0] for shape in shapes[:-1])]
    return tuple(count // shape[1] for count, shape in zip(given, shapes, strict=True))


def parameters(shapes: Sequence[Sizes]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def macs(kernel: Sizes, shapes: Sequence[Sizes], before: Sizes, after: Sizes) -> int:
    """Multiplications of a chain on a plane of `before`, which the layer turns into `after`."""
    owner = owners(kernel, shapes)
    total = 0
    for index, shape in enumerate(shapes):
        plane = [
            end if index >= at else start
            for start, end, at in zip(before, after, owner, strict=True)
        ]
        total += math.prod(shape) * math.prod(plane)
    return total
