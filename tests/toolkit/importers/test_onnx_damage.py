"""Hundreds of damaged files, read in a child: a crash in a parser would end that one only."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Given, read_model

TRIES = 400
OPERATORS = (
    "Shape",
    "Reshape",
    "Concat",
    "Squeeze",
    "Slice",
    "Gather",
    "MatMul",
    "Loop",
    "If",
    "SequenceConstruct",
    "Range",
    "ConstantOfShape",
    "Tile",
    "NonZero",
    "LSTM",
    "Resize",
)
SIZES = (-1, 0, 1, 2, 5, 1 << 33, 1 << 40)
SLOW_S = 5  # no damaged file may keep a reader busy for longer
GRAPH = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,1,4,4] x) => (float[1,3] y)
<int64[2] s = {1, 16}, int64[1] zero = {0}, int64[1] one = {1}> {
  a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, c)
  b = Relu(a) d = Slice(b, zero, one, zero) e = Reshape(d, s) f = Gemm <transB = 1> (e, w)
  y = Softmax <axis = 1> (f)
}"""


def mutated(whole: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """Bytes changed, cut off, taken out or put in between."""
    data, place = whole.copy(), int(rng.integers(len(whole)))
    match rng.integers(4):
        case 0:
            return data[:place].tobytes()
        case 1:
            return np.delete(data, slice(place, place + int(rng.integers(1, 20)))).tobytes()
        case 2:
            return np.insert(data, place, rng.integers(0, 256, 5)).tobytes()
    data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
    return data.tobytes()


def rewired(whole: bytes, rng: np.random.Generator) -> bytes:
    """A well-formed file whose graph makes no sense: such ones get past the decoder."""
    model = onnx.load_from_string(whole)
    graph = model.graph
    for _ in range(int(rng.integers(1, 4))):
        node = graph.node[int(rng.integers(len(graph.node)))]
        value = [*graph.input, *graph.output][int(rng.integers(2))].type.tensor_type
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        match rng.integers(5):
            case 0:
                node.op_type = str(rng.choice(OPERATORS))
            case 1:
                names = [name for one in graph.node for name in (*one.input, *one.output)]
                node.input[int(rng.integers(len(node.input)))] = str(rng.choice(names))
            case 2:
                tensor.dims[int(rng.integers(len(tensor.dims)))] = int(rng.choice(SIZES))
            case 3:
                dim = value.shape.dim[int(rng.integers(len(value.shape.dim)))]
                dim.dim_value = int(rng.choice(SIZES))
            case _:
                value.elem_type = int(rng.integers(25))
    content: bytes = model.SerializeToString()
    return content


def read_all(file: Path) -> None:
    """In the child: print how often each thing happened."""
    whole, rng = np.frombuffer(file.read_bytes(), np.uint8), np.random.default_rng(0)
    seen: dict[str, int] = {}
    for turn in range(TRIES):
        change = rewired(whole.tobytes(), rng) if turn % 2 else mutated(whole, rng)
        file.write_bytes(change)
        try:
            onnx.load_from_string(read_model(file, Given(), QUIET).model.graph)
            what = "read"
        except EdgeError as error:
            what = type(error).__name__ if error.hint else "no hint"
        seen[what] = seen.get(what, 0) + 1
    print(json.dumps(seen))  # noqa: T201 - to the test


def test_damaged_files_give_a_model_or_two_clear_lines(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "model.onnx"
    model = onnx.parser.parse_model(GRAPH)
    for name, shape in (("c", (1, 1, 3, 3)), ("w", (3, 16))):
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    file.write_bytes(model.SerializeToString())
    assert read_model(file, Given(), QUIET).notes == ("Its batch of 1 was made free.",)

    child = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(file)],
        capture_output=True, text=True, check=False, timeout=SLOW_S * TRIES,
    )  # fmt: skip

    assert child.returncode == 0, child.stderr[-2000:]
    seen = json.loads(child.stdout.splitlines()[-1])
    assert sum(seen.values()) == TRIES
    assert set(seen) == {"read", "IntegrityError", "UnsupportedError"}


if __name__ == "__main__":
    read_all(Path(sys.argv[1]))
