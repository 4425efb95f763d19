"""Graphs that nobody thought of: onnxruntime and LiteRT agree on each that is not refused."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.formats.random_graphs import graphs
from toolkit.flatbuffer.translate import translate

EXAMPLES = 400
REFUSED = 0.05  # the largest share that may be refused: each names what stands in the way


def test_random_graphs_agree_or_are_refused(run_onnx: Callable[..., Any]) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(graphs())
    def run(model: onnx.ModelProto) -> None:
        rng = np.random.default_rng(0)
        feeds = {
            value.name: rng.standard_normal(
                [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            ).astype(np.float32)
            for value in model.graph.input
        }
        try:
            compiled = translate(model, QUIET)
        except UnsupportedError as error:
            outcomes[f"{error} {error.hint}"] += 1
            return
        expected = run_onnx(model.SerializeToString(), feeds)
        names = [value.name for value in model.graph.output]
        found = answers(compiled, feeds)
        outcomes["agree"] += 1
        for name, array in zip(names, expected, strict=True):
            assert found[name].shape == array.shape
            scale = max(1.0, float(np.abs(array).max(initial=0)))
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4 * scale)

    run()

    assert outcomes["agree"] >= (1 - REFUSED) * outcomes.total(), outcomes.most_common(8)


def answers(compiled: bytes, feeds: dict[str, Any]) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=compiled, num_threads=1)
    runner.allocate_tensors()
    for detail in runner.get_input_details():
        runner.set_tensor(detail["index"], feeds[detail["name"]])
    runner.invoke()
    return {d["name"]: runner.get_tensor(d["index"]) for d in runner.get_output_details()}
