"""Operators that trade channels for pixels, or for each other."""

from collections.abc import Mapping

import numpy as np

from toolkit.flatbuffer.compiler import Compiler
from toolkit.flatbuffer.graph import Node
from toolkit.flatbuffer.layout import Layout, shape_in
from toolkit.flatbuffer.operators.base import Translation
from toolkit.flatbuffer.operators.shaping import selected
from toolkit.flatbuffer.writer import Tensor


def depth_to_space(compiler: Compiler, node: Node) -> None:
    """TFLite has the block's place in front of the channel; in CRD order it stands behind."""
    block = node.attributes["blocksize"]
    x = compiler.take(node, 0, Layout.LAST)
    if node.attributes.get("mode", "DCR") == "CRD":
        order = np.arange(x.shape[3], dtype=np.int32).reshape(-1, block * block)
        x = selected(compiler, x, order.T, 3)
    blocks(compiler, node, "DEPTH_TO_SPACE", x)


def channel_shuffle(compiler: Compiler, node: Node) -> None:
    """With channels last, groups and their members are the two last axes of one more."""
    x = compiler.take(node, 0, Layout.LAST)
    groups = node.attributes["groups"]
    split = compiler.reshape(x, (*x.shape[:3], groups, x.shape[3] // groups))
    compiler.give(
        node, compiler.reshape(compiler.transpose(split, (0, 1, 2, 4, 3)), x.shape), Layout.LAST
    )


def space_to_depth(compiler: Compiler, node: Node) -> None:
    if node.attributes.get("mode", "DCR") != "DCR":
        raise node.unsupported("is in CRD order", "Use DCR, or Reshape and Transpose.")
    blocks(compiler, node, "SPACE_TO_DEPTH", compiler.take(node, 0, Layout.LAST))


def blocks(compiler: Compiler, node: Node, code: str, x: Tensor) -> None:
    shape = shape_in(Layout.LAST, compiler.shape(node.outputs[0]))
    block = node.attributes["blocksize"]
    result = compiler.emit(code, [x], shape, quantization=x.quantization, blockSize=block)
    compiler.give(node, result, Layout.LAST)


TRANSLATIONS: Mapping[str, Translation] = {
    "ChannelShuffle": channel_shuffle,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
