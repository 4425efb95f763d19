"""Google's own converter as an oracle: its file and ours give the same numbers."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from benchmarks.compile_subjects import subjects
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate
from toolkit.onnx_graph import parse

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
FEW = ["small_cnn", "ds_cnn", "transformer", "LSTM, 28 steps, last", "GRU, 28 steps, last"]


@pytest.mark.skipif(not find_spec("litert_torch"), reason="litert-torch is not installed")
@pytest.mark.parametrize("name", FEW)
def test_both_compilers_give_the_same_numbers(name: str, run_tflite: Run, tmp_path: Any) -> None:
    import litert_torch
    import torch

    from benchmarks.bench_compile import item_of, raw_onnx

    subject = subjects()[name]
    x = item_of(subject)
    litert_torch.convert(subject.module, (torch.from_numpy(x),)).export(str(tmp_path / "peer"))
    theirs = (tmp_path / "peer").read_bytes()

    [found] = run_tflite(translate(parse(raw_onnx(subject)), QUIET), {"x": x})

    np.testing.assert_allclose(found, only_answer(theirs, x), atol=1e-4)


def only_answer(model: bytes, x: Array) -> Array:
    """Its tensors have names of its own."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=model, num_threads=1)
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], x)
    runner.invoke()
    answer: Array = runner.get_tensor(runner.get_output_details()[0]["index"])
    return answer
