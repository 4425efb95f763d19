"""Einstein's sums of one or two operands, as a matrix product between transpositions."""

import math
from collections.abc import Mapping

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.reduction import reduced
from toolkit.flatbuffer.writer import Tensor


def einsum(compiler: Compiler, node: Node) -> None:
    terms, output = parsed(node)
    if len(terms) != len(node.inputs) or len(terms) > 2 or "." in output.join(terms):
        raise node.unsupported(
            f"computes {node.attributes['equation']!r}",
            "Use one or two operands, and a letter for each axis.",
        )
    if any(len(set(term)) < len(term) for term in terms):
        raise node.unsupported("takes a diagonal", "Use a letter once an operand.")
    tensors = [compiler.take(node, index) for index in range(len(terms))]
    for index, term in enumerate(terms):
        others = set(output).union(*(t for place, t in enumerate(terms) if place != index))
        tensors[index], terms[index] = summed(compiler, tensors[index], term, others)
    if len(terms) == 1:
        result, order = tensors[0], terms[0]
    else:
        result, order = product(compiler, tensors, terms, output)
    compiler.give(node, compiler.transpose(result, [order.index(letter) for letter in output]))


def parsed(node: Node) -> tuple[list[str], str]:
    """The letters of each operand, and of the result; not given, those that occur once."""
    left, arrow, right = node.attributes["equation"].replace(" ", "").partition("->")
    once = "".join(sorted(letter for letter in set(left) if left.count(letter) == 1))
    return left.split(","), right if arrow else once.replace(",", "")


def summed(compiler: Compiler, x: Tensor, term: str, wanted: set[str]) -> tuple[Tensor, str]:
    """Over the letters that nobody else has."""
    axes = [place for place, letter in enumerate(term) if letter not in wanted]
    kept = "".join(letter for letter in term if letter in wanted)
    total = reduced(compiler, "SUM", x, axes)
    shape = [size for place, size in enumerate(x.shape) if place not in axes]
    return compiler.reshape(total, shape), kept


def product(
    compiler: Compiler, tensors: list[Tensor], terms: list[str], output: str
) -> tuple[Tensor, str]:
    """As a product of matrices: the letters of both that stay are a batch, others summed over."""
    first, second = terms
    both = [letter for letter in first if letter in second]
    batch = "".join(letter for letter in both if letter in output)
    inner = "".join(letter for letter in both if letter not in output)
    rows = "".join(letter for letter in first if letter not in both)
    columns = "".join(letter for letter in second if letter not in both)
    sizes = dict(zip(first, tensors[0].shape, strict=True))
    sizes |= dict(zip(second, tensors[1].shape, strict=True))
    a = arranged(compiler, tensors[0], first, (batch, rows, inner), sizes)
    b = arranged(compiler, tensors[1], second, (batch, inner, columns), sizes)
    result = compiler.emit("BATCH_MATMUL", [a, b], (a.shape[0], a.shape[1], b.shape[2]))
    order = batch + rows + columns
    return compiler.reshape(result, [sizes[letter] for letter in order]), order


def arranged(
    compiler: Compiler, x: Tensor, term: str, parts: tuple[str, ...], sizes: Mapping[str, int]
) -> Tensor:
    """With three axes, each of the letters of one part."""
    moved = compiler.transpose(x, [term.index(letter) for letter in "".join(parts)])
    shape = [math.prod(sizes[letter] for letter in part) for part in parts]
    return compiler.reshape(moved, shape)


TRANSLATIONS: Mapping[str, Translation] = {"Einsum": einsum}
