"""What runs inside the emulated board: load a model, predict, and mark the predictions to count.

`python guest.py FORMAT MODEL`. It needs numpy and the runtime of the format, and nothing of ours.
One JSON object comes out: the runtime's version, and what the prediction answered.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

MARK = -424242  # the same as in insncount.c
WARM_UP = 8  # predictions: memory is laid out, weights are packed
RUNS = 8  # counted; a thread of the runtime that wakes meanwhile is not in all of them


def main(format_name: str, path: str) -> None:
    prepare = {"onnx": onnx, "tflite": tflite}[format_name]
    predict, version = prepare(path)
    for _ in range(WARM_UP):
        predict()
    gc.disable()
    for _ in range(RUNS):
        mark(1)
        predict()
        mark(2)
    json.dump({"runtime": version}, sys.stdout)


def mark(which: int) -> None:
    try:
        os.lseek(MARK, which, 0)
    except OSError:
        return


def onnx(path: str) -> tuple[Callable[[], Any], str]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # its thread makes every run a little different
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {
        given.name: values([d if isinstance(d, int) else 1 for d in given.shape], given.type)
        for given in session.get_inputs()
    }
    outputs = [made.name for made in session.get_outputs()]
    return lambda: session.run(outputs, feeds), f"onnxruntime {onnxruntime.__version__}"


def tflite(path: str) -> tuple[Callable[[], Any], str]:
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], values(given["shape"], given["dtype"].__name__))
    return interpreter.invoke, f"ai-edge-litert {version('ai-edge-litert')}"


def values(shape: Any, kind: str) -> Any:
    """Numbers between 0 and 1; zeros where whole numbers or words are asked for."""
    import numpy as np

    if "float" not in kind:
        name = kind.removeprefix("tensor(").removesuffix(")")
        return np.zeros(shape, {"string": "object", "bool_": "bool"}.get(name, name))
    return np.random.default_rng(0).random(shape, np.float32)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
