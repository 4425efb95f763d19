"""How each ONNX operator is said in TFLite.

A translation reads its inputs with `compiler.take`, appends with `compiler.emit`, and names its
result with `compiler.give`. Whether it works on int8 or on floats shows only in the
quantization of its tensors.
"""

from collections.abc import Mapping

from toolkit.flatbuffer.operators import (
    convolution,
    dense,
    elementwise,
    normalization,
    pooling,
    recurrent,
    reduction,
    resizing,
    selection,
    shaping,
)
from toolkit.flatbuffer.operators.base import Translation

TRANSLATIONS: Mapping[str, Translation] = {
    **convolution.TRANSLATIONS,
    **dense.TRANSLATIONS,
    **elementwise.TRANSLATIONS,
    **normalization.TRANSLATIONS,
    **pooling.TRANSLATIONS,
    **recurrent.TRANSLATIONS,
    **reduction.TRANSLATIONS,
    **resizing.TRANSLATIONS,
    **selection.TRANSLATIONS,
    **shaping.TRANSLATIONS,
}
