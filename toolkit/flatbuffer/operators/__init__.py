"""How each ONNX operator is said in TFLite.

A translation reads its inputs with `compiler.take`, appends with `compiler.emit` or
`compiler.compute`, and names its result with `compiler.give`. Whether it works on int8 or on
floats shows only in the quantization of its tensors.
"""

from collections.abc import Mapping

from toolkit.flatbuffer.operators import (
    activations,
    arithmetic,
    blocks,
    convolution,
    dense,
    einsum,
    functions,
    indexing,
    logic,
    normalization,
    pooling,
    ranking,
    recurrent,
    reduction,
    resizing,
    selection,
    shaping,
    transposed,
)
from toolkit.flatbuffer.operators.base import Translation

TRANSLATIONS: Mapping[str, Translation] = {
    **activations.TRANSLATIONS,
    **arithmetic.TRANSLATIONS,
    **blocks.TRANSLATIONS,
    **convolution.TRANSLATIONS,
    **dense.TRANSLATIONS,
    **einsum.TRANSLATIONS,
    **functions.TRANSLATIONS,
    **indexing.TRANSLATIONS,
    **logic.TRANSLATIONS,
    **normalization.TRANSLATIONS,
    **pooling.TRANSLATIONS,
    **ranking.TRANSLATIONS,
    **recurrent.TRANSLATIONS,
    **reduction.TRANSLATIONS,
    **resizing.TRANSLATIONS,
    **selection.TRANSLATIONS,
    **shaping.TRANSLATIONS,
    **transposed.TRANSLATIONS,
}
