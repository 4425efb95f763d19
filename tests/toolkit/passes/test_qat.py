"""Quantization-aware training: what was learned is what runs, in 8 bits and in 4."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import Cancelled, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.anatomy import layers_of
from toolkit.data import Dataset, Facts
from toolkit.data.dataset import Column
from toolkit.features import fit_features
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.networks import Network
from toolkit.networks.ds_cnn import DsCnn
from toolkit.networks.mlp import Mlp
from toolkit.networks.resnet8 import Resnet8
from toolkit.networks.small_cnn import SmallCnn
from toolkit.onnx_graph import decode, graph_of, operators
from toolkit.passes.qat import Qat, reached
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import plan_for
from toolkit.quantization.qdq import quantize_graph
from toolkit.training import Settings, fit, teach
from toolkit.training.fake_quant import Circuit, fake_quantized
from toolkit.training.fake_quant import trained as learned
from toolkit.training.run import unit_of

QUICK = Qat(epochs=2)
Outputs = NDArray[Any]


@pytest.fixture(scope="module")
def table() -> Dataset:
    """Numbers in the hundred thousands, of two columns of which one has gaps."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(400, 2)).astype(np.float32)
    targets = 200_000 + 50_000 * np.tanh(inputs[:, 0]) + 20_000 * inputs[:, 1]
    inputs[::9, 1] = np.nan
    facts = Facts(
        "made", TensorSpec("x", (-1, 2)), columns=(Column("a", "number"), Column("b", "number"))
    )
    split = (np.arange(400) % 5 % 3).astype(np.uint8)
    return Dataset("made", facts, inputs, targets.astype(np.float32), split)


def fitted(data: Dataset, network: Network, epochs: int = 3) -> Model:
    blank = Model(data.signature(), network, fit_features(data), data=data)
    settings = Settings(epochs=epochs, patience=epochs, batch_size=32, learning_rate=0.01)
    return fit(blank, settings, QUIET).model


def both(model: Model, step: Qat) -> tuple[Outputs, Outputs]:
    """What the rounding network and the graph that is written from it give for the same items."""
    data = model.need_data("")
    graph = prepared(graph_of(model, QUIET))
    plan = plan_for(graph, step.base)
    circuit = Circuit(graph, plan)
    ranges = ranges_for(graph, observe(graph, data.inputs[:128], QUIET), plan, step.base)
    module = fake_quantized(circuit, ranges, unit_of(data))
    inside = replace(data, inputs=reached(circuit, model, QUIET))
    settings = Settings(epochs=2, learning_rate=step.learning_rate, weight_decay=0)
    teach(module, inside, settings, QUIET)
    source, spans, scales = learned(module, circuit)
    written = quantize_graph(source, plan, spans, weight_scales=scales)
    with torch.no_grad():
        scores = module.eval()(torch.from_numpy(inside.part("test")[0]))
        expected = torch.softmax(scores, 1) if data.labels else scores
    return exact(written, data.part("test")[0]), expected.numpy()


def exact(graph: bytes, inputs: Outputs) -> Outputs:
    """What the graph means: fast kernels of older x86 processors cut off large sums."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(graph, options)
    [found] = session.run(None, {session.get_inputs()[0].name: inputs})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("network", "step"),
    [
        (SmallCnn(channels=(8, 16), hidden=32), Qat()),
        (SmallCnn(channels=(8, 16), hidden=32), Qat(bits=4)),
        (DsCnn(channels=8, blocks=2, dropout=0), Qat()),
        (Resnet8(), Qat(bits=4)),
        (Mlp(hidden=(32, 16)), Qat(bits=4, per_channel=False)),
    ],
    ids=str,
)
def test_the_graph_gives_what_was_learned(digits: Dataset, network: Network, step: Qat) -> None:
    found, expected = both(fitted(digits, network), step)

    labels = expected.argmax(axis=1)[:, None]
    shown = np.take_along_axis(found, labels, axis=1)[:, 0]  # few codes: two may be the largest
    assert (shown == found.max(axis=1)).mean() >= 0.99
    assert np.median(np.abs(found - expected).max(axis=1)) < 0.005


def test_numbers_keep_their_unit(table: Dataset) -> None:
    found, expected = both(fitted(table, Mlp(hidden=(16,)), epochs=20), Qat())

    step = 300_000 / 255  # of the codes of the output, whose range reaches from 0
    assert np.median(np.abs(found - expected)) <= step
    assert np.abs(found[:, 0] - table.part("test")[1]).mean() < 15_000


def test_four_bits_are_stored_and_hardly_less_is_known(trained: Model) -> None:
    found = Qat(bits=4, epochs=3).apply(trained, QUIET)

    inputs, targets = trained.need_data("").part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(1) == targets).mean() >= 0.95
    assert {layer.bits for layer in layers_of(found.graph)} == {4}
    assert {layer.name for layer in layers_of(found.graph)} == {
        layer.name for layer in layers_of(graph_of(trained, QUIET))
    }


def test_training_with_the_rounding_moves_the_weights(trained: Model) -> None:
    one, other = (QUICK.model_copy(update={"seed": seed}).apply(trained, QUIET) for seed in (0, 1))

    assert one.kind == "graph"
    assert operators(one.graph)["QuantizeLinear"] > 3
    assert one.stored() != other.stored()


def test_what_was_cancelled_goes_on_and_ends_the_same(trained: Model, tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if event.message.startswith("train") and event.done == 1:
            job.cancel()

    job = Job(listen, tmp_path)
    with pytest.raises(Cancelled):
        QUICK.apply(trained, job)
    [left] = tmp_path.iterdir()
    events: list[Event] = []

    resumed = QUICK.apply(trained, Job(events.append, tmp_path))

    assert any(event.message == "go on after epoch 1" for event in events)
    assert not left.exists()
    assert resumed.stored() == QUICK.apply(trained, QUIET).stored()


def test_only_what_learns_is_run_again_and_again(table: Dataset) -> None:
    model = fitted(table, Mlp(hidden=(4,)), epochs=1)
    graph = prepared(graph_of(model, QUIET))

    circuit = Circuit(graph, plan_for(graph, Qat().base))

    assert {node.op_type for node in circuit.nodes} == {"Gemm", "Relu"}
    assert len(decode(circuit.before()).graph.node) > 2
    assert np.isfinite(reached(circuit, model, QUIET)).all()  # the gaps are filled before


def test_a_finished_graph_cannot_learn(exported: Model) -> None:
    with pytest.raises(UnsupportedError, match="qat needs the trainable network"):
        Qat().apply(exported, QUIET)
