"""Which types LiteRT's kernels compute on where nothing is quantized, and on how many axes.

Found by running each of them on each. A type that is missing here fails when the file is
loaded or run, ends the process, or gives other numbers: an int8 tensor without a scale is taken
for one with a scale of zero.
"""

from collections.abc import Mapping

FLOATS = frozenset({"float32"})
NUMBERS = FLOATS | {"int32"}
SHORT = frozenset({"int8", "uint8", "int16", "uint16"})
BYTES = NUMBERS | {"int8", "uint8"}
WHOLE = SHORT | {"int32", "uint32"}
BOOL = frozenset({"bool"})
ALL = FLOATS | WHOLE | BOOL

TYPES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("ADD", "DIV", "MUL", "SUB", "POW", "CUMSUM", "ABS", "NEG", "SIGN"), NUMBERS),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD", "SQUARED_DIFFERENCE", "SUM", "MEAN"), NUMBERS),
    **dict.fromkeys(("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"), NUMBERS),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), NUMBERS | BOOL),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR"), BOOL),
    **dict.fromkeys(("REDUCE_ALL", "REDUCE_ANY"), BOOL),
    **dict.fromkeys(("BITWISE_XOR", "RIGHT_SHIFT"), WHOLE),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN"), BYTES),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "REDUCE_PROD", "TOPK_V2"), BYTES),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), BYTES),
    **dict.fromkeys(("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SELECT_V2"), ALL),
    **dict.fromkeys(("BROADCAST_TO", "MIRROR_PAD", "TILE"), ALL),
    "DYNAMIC_UPDATE_SLICE": ALL,
    **dict.fromkeys(("GATHER", "GATHER_ND", "PAD", "PADV2", "REVERSE_V2"), BYTES | BOOL),
    "CONCATENATION": BYTES | BOOL | {"uint32"},
    "SCATTER_ND": BYTES | BOOL,
    "REVERSE_SEQUENCE": NUMBERS,
    "RESIZE_NEAREST_NEIGHBOR": WHOLE | FLOATS,
    "RESIZE_BILINEAR": FLOATS,
    "ONE_HOT": frozenset({"int32"}),
    "CAST": ALL | {"float16", "float64", "int64"},
    "DEQUANTIZE": ALL | {"float16", "int4"},  # it reads what is stored
}
"""By operator; all others compute on floats only."""

WIDENED = SHORT | BOOL
"""int32 holds these exactly, and casting back wraps around as they do."""

DATA = {"SCATTER_ND": 1, "SELECT_V2": 1, "TRANSPOSE_CONV": 2}
"""Where an operator has the values it works on, if not first."""


RANKS: Mapping[str, int] = {
    "BATCH_MATMUL": 6, "CONCATENATION": 6, "FULLY_CONNECTED": 6, "MEAN": 6, "PAD": 6, "PADV2": 5,
    "REDUCE_MAX": 6, "REDUCE_MIN": 6, "SOFTMAX": 6, "SUM": 6,
}  # fmt: skip
"""How many axes a kernel takes, where that is fewer than `MOST_AXES`."""

MOST_AXES = 8


def rank_of(code: str) -> int:
    return RANKS.get(code, MOST_AXES)


def types_of(code: str) -> frozenset[str]:
    return TYPES.get(code, FLOATS)
