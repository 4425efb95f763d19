"""Google's own converter as an oracle: its file and ours give the same numbers."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from benchmarks.compile_subjects import subjects
from benchmarks.hostile_specimens import network
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.translate import translate
from toolkit.formats import Wish, formats
from toolkit.inference import Runner
from toolkit.model import state_of
from toolkit.onnx_graph import answering, graph_of, parse
from toolkit.quiet import quiet

Array = np.ndarray[Any, Any]
Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
FEW = ["small_cnn", "ds_cnn", "transformer", "LSTM, 28 steps, last", "GRU, 28 steps, last"]


installed = pytest.mark.skipif(
    not find_spec("litert_torch"), reason="litert-torch is not installed"
)


@installed
def test_the_format_keeps_the_names_and_the_answers() -> None:
    model = network()
    model = model.with_weights(state_of(model.module()))
    graph, items = graph_of(model, QUIET), np.random.default_rng(0).random((20, 1, 8, 8), "f4")

    format_ = formats["litert_torch"].of(Wish(module=partial(answering, model)))
    made = format_.build(graph, model.signature, QUIET).data

    expected = Runner(graph, "onnx", model.signature).first_output(items, QUIET)
    found = Runner(made, "litert_torch", model.signature).first_output(items, QUIET)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_finished_graph_is_not_for_it() -> None:
    model = network()

    with pytest.raises(UnsupportedError, match="finished graph") as caught:
        formats["litert_torch"]().build(graph_of(model, QUIET), model.signature, QUIET)

    assert "Build tflite" in caught.value.hint


@pytest.mark.skipif(bool(find_spec("litert_torch")), reason="litert-torch is installed")
def test_where_it_is_not_installed_it_says_how() -> None:
    model = network()
    format_ = formats["litert_torch"].of(Wish(module=partial(answering, model)))

    with pytest.raises(UnsupportedError, match="not installed") as caught:
        format_.build(graph_of(model, QUIET), model.signature, QUIET)

    assert "sanderling[litert]" in caught.value.hint


@installed
@pytest.mark.parametrize("name", FEW)
def test_both_compilers_give_the_same_numbers(name: str, run_tflite: Run, tmp_path: Any) -> None:
    import litert_torch
    import torch

    from benchmarks.bench_compile import item_of, raw_onnx

    subject = subjects()[name]
    x = item_of(subject)
    with quiet():  # it warns about its own internals
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
