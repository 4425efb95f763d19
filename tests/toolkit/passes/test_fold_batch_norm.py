"""Folding batch norms, as a pass: on graphs from elsewhere, and nothing where there is none."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import BATCH, operators
from toolkit.passes.fold_batch_norm import FoldBatchNorm


@pytest.fixture
def imported() -> Model:
    """A convolution with a batch norm, as frameworks write them that do not fold."""
    rng = np.random.default_rng(0)
    stored = {
        "0.weight": rng.normal(0, 1, (4, 2, 3, 3)), "s": rng.uniform(0.5, 2, 4),
        "b": rng.normal(0, 1, 4), "m": rng.normal(0, 1, 4), "v": rng.uniform(0.5, 2, 4),
    }  # fmt: skip
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "0.weight"], ["c"], name="conv"),
            helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], name="norm"),
        ],
        "imported",
        [helper.make_tensor_value_info("x", float32, [BATCH, 2, 5, 5])],
        [helper.make_tensor_value_info("y", float32, [BATCH, 4, 3, 3])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    signature = Signature((TensorSpec("x", (-1, 2, 5, 5)),), (TensorSpec("y", (-1, 4, 3, 3)),))
    return Model(signature, graph=model.SerializeToString())


def test_the_batch_norm_is_gone_and_the_answers_are_the_same(imported: Model) -> None:
    items = np.random.default_rng(1).normal(0, 1, (6, 2, 5, 5)).astype(np.float32)

    found = FoldBatchNorm().apply(imported, QUIET)

    assert operators(found.graph) == {"Conv": 1}
    before, after = (
        Runner.of_model(model, QUIET).first_output(items, QUIET) for model in (imported, found)
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_where_there_is_none_the_graph_stays_as_it_is(exported: Model) -> None:
    assert FoldBatchNorm().apply(exported, QUIET).graph == exported.graph
