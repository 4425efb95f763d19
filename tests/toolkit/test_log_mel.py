"""The log-mel step: what numpy's own transform gives, in torch, in ONNX and in TFLite."""

import math
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from scipy import signal  # type: ignore[import-untyped]

from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset, Facts
from toolkit.data.audio import audio_spec
from toolkit.features import fit_features
from toolkit.features.log_mel import FLOOR, LOWEST_HZ, QUIETEST, LogMel, mel_bands
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.model import Model, state_of
from toolkit.networks.ds_cnn import DsCnn
from toolkit.onnx_graph import graph_of
from toolkit.passes.prune_channels import PruneChannels
from toolkit.passes.quantize_int8 import QuantizeInt8

Array = np.ndarray[Any, Any]
RATE = 8000
BARE = LogMel(sample_rate=RATE, window=256, mels=24)


def sounds(count: int = 12, samples: int = 2000) -> Array:
    """Tones of different height and loudness in a little noise."""
    rng = np.random.default_rng(3)
    pitch, loud = np.geomspace(100, 3500, count), np.geomspace(0.5, 0.01, count)
    tones = np.sin(2 * np.pi * pitch[:, None] * np.arange(samples) / RATE) * loud[:, None]
    return (tones + rng.normal(0, 1e-3, tones.shape)).astype(np.float32)[:, None]


def dataset(inputs: Array | None = None) -> Dataset:
    given = sounds() if inputs is None else inputs
    facts = Facts("words", audio_spec(RATE, given.shape[-1]), ("low", "high"), "class")
    count = len(given)
    split = np.resize(np.array([0, 0, 1, 2], np.uint8), count)
    return Dataset("words", facts, given, (np.arange(count) * 2 >= count).astype(np.int64), split)


def applied(step: LogMel, values: Array) -> Array:
    with torch.no_grad():
        return np.asarray(step.module().eval()(torch.from_numpy(values)))


def mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def expected(values: Array, rate: int, window: int, mels: int) -> Array:
    """By numpy's and scipy's own means, straight from the textbook, in float64."""
    taper = signal.windows.hann(window, sym=False)
    hop = window // 2
    count = values.shape[-1] // hop - 1
    heard = values[:, 0, : (count + 1) * hop].astype(np.float64)
    heard = heard / (np.sqrt(np.mean(heard**2, axis=1, keepdims=True)) + QUIETEST)
    frames = np.stack([heard[:, i * hop : i * hop + window] for i in range(count)], axis=1)
    power = np.abs(np.fft.rfft(frames * taper * 2 / taper.sum())) ** 2
    edges = [
        700 * (10 ** (m / 2595) - 1) for m in np.linspace(mel(LOWEST_HZ), mel(rate / 2), mels + 2)
    ]
    bins = np.arange(window // 2 + 1) * rate / window
    triangles = [np.interp(bins, edges[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(mels)]
    found: Array = np.log(power @ np.stack(triangles, axis=1) + FLOOR)
    return found


# an even and an odd number of doublings: the two steps of the transform are of other sizes
@pytest.mark.parametrize(("window", "samples"), [(16, 100), (128, 2000), (256, 2000), (512, 8000)])
def test_the_step_is_the_spectrogram_of_the_textbook(window: int, samples: int) -> None:
    step = LogMel(sample_rate=RATE, window=window, mels=6)
    values = sounds(3, samples)

    found = applied(step, values)

    assert found.shape[1:] == step.shape((1, samples))
    np.testing.assert_allclose(found[:, 0], expected(values, RATE, window, 6), atol=2e-4)


def test_a_sine_has_its_power_where_its_band_is() -> None:
    frequency = 32 * RATE / 256  # the middle of a bin
    sine = np.sin(2 * np.pi * frequency * np.arange(1024) / RATE).astype(np.float32)

    power = np.exp(applied(BARE, sine[None, None])[0, 0])

    # with a mean square of 1 its amplitude is the root of 2, and its power 2. Von Hann's window
    # leaks a quarter of that to each side: 2 + 2/4 + 2/4 in all bands together, which overlap so
    # that all shares of a frequency are 1
    np.testing.assert_allclose(power.sum(axis=1) - 24 * FLOOR, 3, rtol=1e-3)


def test_a_quiet_speaker_sounds_as_a_loud_one_and_silence_stays_silent() -> None:
    loud = sounds()[:3]

    found = applied(BARE, loud / 20)

    np.testing.assert_allclose(found, applied(BARE, loud), atol=0.1)
    assert applied(BARE, np.full((1, 1, 512), 1e-7, np.float32)).max() < math.log(2 * FLOOR)


def test_silence_is_the_floor_and_no_infinity() -> None:
    found = applied(BARE, np.zeros((1, 1, 512), np.float32))

    np.testing.assert_allclose(found, math.log(FLOOR), atol=1e-5)


# every rate that an audio folder may have: a band without a bin would be a dead input
@pytest.mark.parametrize("rate", [4000, 5000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_every_band_hears_something(rate: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 1, rate)).astype(np.float32)

    step = LogMel.fit(noise, Facts("noise", audio_spec(rate, rate), ("a", "b")))

    assert step
    assert 0.015 < step.window / rate <= 0.032
    bare = step.model_copy(update={"minus": (), "times": ()})
    assert (np.exp(applied(bare, noise)).mean(axis=(0, 1, 2)) > 10 * FLOOR).all()


def test_bands_hold_every_frequency_once() -> None:
    p, q = np.arange(9), np.arange(16)

    shares = mel_bands(BARE, p, q)

    # between the middles of the first and the last band, triangles add up to one
    k = np.add.outer(p, 16 * q).reshape(-1)
    frequency = np.minimum(k, 256 - k) * RATE / 256
    inner = (frequency > 200) & (frequency < 3500)
    by_frequency = [shares[frequency == f].sum() for f in np.unique(frequency[inner])]
    np.testing.assert_allclose(by_frequency, 1, atol=1e-12)


def test_only_sounds_get_the_step_and_they_get_no_other(digits: Dataset) -> None:
    assert [type(step).__name__ for step in fit_features(dataset())] == ["LogMel"]
    assert [type(step).__name__ for step in fit_features(digits)] == ["Scale"]


def test_every_training_band_comes_out_with_mean_0_and_deviation_1() -> None:
    data = dataset()
    [step] = fit_features(data)
    assert isinstance(step, LogMel)

    found = applied(step, data.part("train")[0])

    np.testing.assert_allclose(found.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=(0, 1, 2)), 1, atol=1e-3)


def test_nothing_is_learned_from_what_is_not_training_data() -> None:
    data = dataset()
    moved = data.inputs.copy()
    moved[data.split > 0] = 0.9

    assert fit_features(dataset(moved)) == fit_features(data)


def test_silent_training_data_is_not_blown_up() -> None:
    [step] = fit_features(dataset(np.zeros((8, 1, 800), np.float32)))
    assert isinstance(step, LogMel)

    assert step.times == (1.0,) * step.mels


def test_a_step_survives_json() -> None:
    [step] = fit_features(dataset())

    assert LogMel(**step.model_dump(mode="json")) == step


@pytest.fixture(scope="module")
def model() -> Model:
    data = dataset()
    blank = Model(data.signature(), DsCnn(channels=8, blocks=1), fit_features(data), data=data)
    torch.manual_seed(0)
    return blank.with_weights(state_of(blank.module()))


@pytest.fixture(scope="module")
def graph(model: Model) -> bytes:
    return graph_of(model, QUIET)


def test_graph_and_tflite_file_answer_as_torch_does(model: Model, graph: bytes) -> None:
    values = sounds()
    file = formats["tflite"]().build(graph, model.signature, QUIET).data

    found = Runner(graph, "onnx", model.signature).first_output(values, QUIET)
    small = Runner(file, "tflite", model.signature).first_output(values, QUIET)

    with torch.no_grad():
        answers = torch.softmax(model.module()(torch.from_numpy(values)), dim=1).numpy()
    spread = np.ptp(answers)
    np.testing.assert_allclose(found, answers, atol=1e-4 * spread)
    np.testing.assert_allclose(small, answers, atol=1e-4 * spread)


def test_the_step_adds_little_to_a_file_and_its_numbers_are_known_by_name(graph: bytes) -> None:
    stored = {t.name: math.prod(t.dims) for t in onnx.load_from_string(graph).graph.initializer}
    of_step = {name for name in stored if name.startswith("0.0.")}

    assert of_step == {
        f"0.0.{name}"
        for name in ("taper", "first", "cosine", "sine", "second", "bands", "minus", "times")
    }
    # a convolution with the kernels of the transform alone would be 2 x 129 x 256 = 66,048
    assert sum(stored[name] for name in of_step) < 6_000


@pytest.fixture(scope="module")
def quantized(model: Model) -> bytes:
    return QuantizeInt8(samples=4).apply(model, QUIET).graph


def test_quantization_leaves_the_step_in_floats(graph: bytes, quantized: bytes) -> None:
    before, after = (onnx.load_from_string(g).graph for g in (graph, quantized))
    old, new = ({t.name: t for t in g.initializer if t.name[:2] == "0."} for g in (before, after))
    assert new == old
    coded = {node.output[0] for node in after.node if node.op_type == "DequantizeLinear"}
    readers = [node for node in after.node if set(node.input) & set(new)]
    assert coded
    assert not any(set(node.input) & coded for node in readers)


def test_an_int8_file_hears_what_its_graph_hears(model: Model, quantized: bytes) -> None:
    values = sounds()
    file = formats["tflite"]().build(quantized, model.signature, QUIET).data

    found = Runner(file, "tflite", model.signature).first_output(values, QUIET)

    expected = Runner(quantized, "onnx", model.signature).first_output(values, QUIET)
    # engines round a sum that lies between two codes differently: one code of the last layer
    np.testing.assert_allclose(found, expected, atol=0.02 * np.ptp(expected))


def test_a_pruned_listener_is_stored_and_had_back(model: Model) -> None:
    smaller = PruneChannels(ratio=0.5, epochs=0).apply(model, QUIET)

    again = Model.from_facts(smaller.facts(), smaller.stored()[1], model.data)

    assert smaller.parameters < model.parameters
    assert again.weights["1.3.weight"].shape == (4, 1, 3, 3)
    with torch.no_grad():
        answers = [m.module()(torch.from_numpy(sounds())) for m in (smaller, again)]
    torch.testing.assert_close(*answers)
