"""TFLite to our graph, and back: every station answers alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.importers.drawn_tflite import Draw
from tests.toolkit.importers.tflite_files import Array, found_in, litert, onnx_answers
from toolkit.data import Dataset
from toolkit.features import fit_features
from toolkit.formats import formats
from toolkit.importers import Given, read_model
from toolkit.model import Model
from toolkit.networks import networks
from toolkit.onnx_graph import graph_of, operators
from toolkit.passes import passes
from toolkit.quantization.calibrate import ranges_for
from toolkit.quantization.fold import prepared
from toolkit.quantization.observe import observe
from toolkit.quantization.plan import LayerPlan, plan_for
from toolkit.quantization.qdq import quantize_graph

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
LABELS = 0.99  # share of labels that stay, of int8 files
COUNT = 100


def shared(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not here: it lies beside the checkout, in shared/data")
    return path


def photographs(count: int = COUNT) -> Array:
    """Pieces of two photographs, 32 pixels wide, 0 to 255."""
    from sklearn.datasets import load_sample_images

    random, images = np.random.default_rng(0), load_sample_images().images
    found = []
    for _ in range(count):
        image, step = images[random.integers(len(images))], int(random.choice([2, 4, 6, 8]))
        top, left = (random.integers(n - 32 * step + 1) for n in image.shape[:2])
        piece = image[top : top + 32 * step, left : left + 32 * step]
        found.append(piece.reshape(32, step, 32, step, 3).mean((1, 3)))
    return np.rint(found).astype(np.float32)


def cepstra(count: int = COUNT) -> Array:
    """As of speech: ten coefficients that change slowly, the first far below zero."""
    random, spread = np.random.default_rng(0), np.array([30, 12, 9, 7, 6, 5, 4, 4, 3, 3])
    level = np.array([-50, 4, *[0] * 8]) + random.standard_normal((count, 1, 10)) * spread
    steps = random.standard_normal((count, 49, 10)) * spread
    smooth = sum(np.roll(steps, shift, axis=1) for shift in range(4)) / 2
    return np.asarray((level + smooth).clip(-123, 26)[..., None], np.float32)


def hands(count: int = COUNT) -> Array:
    rows = np.loadtxt(shared("hand_gesture/keypoint.csv"), delimiter=",", dtype=np.float32)
    return rows[:: len(rows) // count, 1:][:count]


REAL: dict[str, Callable[[], Array]] = {
    "mlperf_tiny/resnet_fp32.tflite": photographs,
    "mlperf_tiny/kws_fp32.tflite": cepstra,
    "hand_gesture/keypoint_classifier.tflite": hands,
    "mlperf_tiny/resnet_int8.tflite": photographs,
    "mlperf_tiny/kws_int8.tflite": cepstra,
}


def built(model: Model) -> bytes:
    return formats["tflite"]().build(model.graph, model.signature, QUIET).data


def answers(model: Model, items: Array) -> Array:
    [taken], outputs = model.signature.inputs, [s.name for s in model.signature.outputs]
    return onnx_answers(model.graph, {taken.name: items}, outputs)[0]


def labels(found: Array) -> Array:
    return np.asarray(found.reshape(len(found), -1).argmax(1))


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_answers_alike_on_the_whole_way(name: str) -> None:
    path = shared(name)
    items = REAL[name]()
    [expected] = litert(path.read_bytes(), [items])
    expected = expected[:, 0]

    model = read_model(path, Given(), QUIET).model
    found, back = answers(model, items), litert(built(model), [items])[0][:, 0]

    assert len(set(labels(expected))) > 1
    for one in (found, back):
        if "int8" in name:
            assert (labels(one) == labels(expected)).mean() >= LABELS
        else:
            np.testing.assert_allclose(one, expected, rtol=0, atol=1e-5)


PAIRS = {
    "resnet": ("mlperf_tiny/resnet_int8.tflite", "mlperf_tiny/resnet_int8_qdq.onnx", photographs),
    "kws": ("mlperf_tiny/kws_int8.tflite", "mlperf_tiny/kws_int8_qdq.onnx", cepstra),
}


@pytest.mark.parametrize("case", PAIRS)
def test_two_int8_models_of_one_network_agree_as_their_makers_do(case: str) -> None:
    """They were quantized apart: what they agree on is counted, and may not be lost here."""
    name, other, inputs = PAIRS[case]
    path, items = shared(name), inputs()
    theirs = shared(other).read_bytes()
    taken = onnx.load_from_string(theirs).graph.input[0]
    shape = [dim.dim_value for dim in taken.type.tensor_type.shape.dim]

    rows = [onnx_answers(theirs, {taken.name: item.reshape(shape)}, ["dense"]) for item in items]
    expected = labels(np.concatenate([row[0] for row in rows]))
    original = labels(litert(path.read_bytes(), [items])[0][:, 0])
    ours = labels(answers(read_model(path, Given(), QUIET).model, items))

    agreed = (original == expected).mean()
    assert (ours == expected).mean() >= agreed - 0.02


@pytest.mark.parametrize("name", networks.names())
def test_a_network_of_ours_survives_the_way_there_and_back(
    name: str, digits: Dataset, tmp_path: Path
) -> None:
    model = Model(digits.signature(), networks[name](), fit_features(digits), data=digits)
    try:
        model = model.with_graph(graph_of(model, QUIET))
    except UnsupportedError as error:
        pytest.skip(str(error))
    quantized = passes["quantize_int8"]().apply(model, QUIET)
    items = digits.part("validation")[0][:40]

    again, codes = (found_in(built(one), tmp_path).model for one in (model, quantized))

    np.testing.assert_allclose(answers(again, items), answers(model, items), rtol=1e-5, atol=1e-5)
    expected, found = answers(quantized, items), answers(codes, items)
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
    assert operators(codes.graph)["QuantizeLinear"] > 0


@pytest.mark.parametrize("seed", range(25))
def test_a_random_network_survives_the_way_there_and_back(seed: int, tmp_path: Path) -> None:
    model = Draw(seed).model()
    shape = model.signature.inputs[0].shape[1:]
    items = np.random.default_rng(seed).standard_normal((12, *shape)).astype(np.float32)

    again = found_in(built(model), tmp_path).model

    expected = answers(model, items)
    reach = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(answers(again, items), expected, atol=2e-5 * reach)


@pytest.mark.parametrize("seed", range(25))
def test_a_random_int8_network_survives_the_way_there_and_back(seed: int, tmp_path: Path) -> None:
    """The file, and our graph of it, hold the same integers; those of the first graph nearly."""
    model = Draw(seed).model()
    shape = model.signature.inputs[0].shape[1:]
    items = np.random.default_rng(seed).standard_normal((64, *shape)).astype(np.float32)
    graph = prepared(model.graph)
    base = LayerPlan()
    plan = plan_for(graph, base, ())
    ranges = ranges_for(graph, observe(graph, items, QUIET), plan, base, 99.99)
    quantized = model.with_graph(quantize_graph(graph, plan, ranges))
    data = built(quantized)

    again = found_in(data, tmp_path).model

    [expected] = litert(data, [items[:12]])
    found = answers(again, items[:12])
    spread = float(np.ptp(expected))
    assert np.abs(found - expected[:, 0]).mean() <= 0.01 * spread
    assert operators(again.graph)["QuantizeLinear"] > 0
