"""Latency: measured here, measured on a device, estimated."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.catalog import targets
from edge_targets.places.rates import Macs, Work
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.test_memory import chain
from toolkit import devices, shelf, shipping
from toolkit.latency import Estimated, Finished, Here, clock_for, predict, work_of
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import passes
from toolkit.workspace import Workspace

PI = "raspberry_pi_4"
# Howard et al. 2017 (arXiv:1704.04861), table 1 for an image of 224 × 224
MOBILENET = Work(Macs(10.8e6, 540e6, 17.4e6), Macs(), 10.3e6, 16.8e6, 30)
IN_INT8 = dataclasses.replace(MOBILENET.in_int8(), weight_bytes=4.2e6)


def test_work_counts_what_is_computed() -> None:
    work = work_of(chain(100, 50, 10))

    assert (work.floats, work.int8) == (Macs(point=100 * 50 + 50 * 10), Macs())
    assert work.operators == 2  # Relu is a part of the layer before
    assert work.weight_bytes >= 4 * work.floats.total


def test_int8_weights_and_inputs_make_int8_work(trained: Model) -> None:
    plain = work_of(graph_of(trained, QUIET))
    quantized = work_of(passes["quantize_int8"]().apply(trained, QUIET).graph)

    assert plain.int8.total == 0
    assert (quantized.floats, quantized.int8) == (Macs(), plain.floats)
    assert (plain.number_type, quantized.number_type) == ("float32", "int8")


@pytest.mark.parametrize(
    ("name", "float_ms", "int8_ms"),
    [  # https://github.com/Tencent/ncnn/tree/master/benchmark, mobilenet on one thread and on four
        ("raspberry_pi_zero_2w", (394, 163), (287, 91)),
        ("raspberry_pi_3", (205, 108), (181, 67)),
        ("raspberry_pi_4", (124, 61), (85, 34)),
        ("raspberry_pi_5", (20.2, 9.0), (14.4, 8.7)),
    ],
)
def test_the_estimate_for_a_board_is_near_what_ncnn_measured(
    name: str, float_ms: tuple[float, float], int8_ms: tuple[float, float]
) -> None:
    def ms(work: Work, threads: int) -> float:
        rates = targets[name].facts.rates
        assert rates
        return rates.seconds(work, "ncnn", threads) * 1e3

    assert [ms(MOBILENET, n) for n in (1, 4)] == pytest.approx(float_ms, rel=0.45)
    assert [ms(IN_INT8, n) for n in (1, 4)] == pytest.approx(int8_ms, rel=0.45)


def test_a_board_between_one_thread_and_four_is_in_between() -> None:
    one, two, four = (predict(targets[PI](), MOBILENET, "onnx", n).latency_ms for n in (1, 2, 4))

    assert one > two > four


@pytest.mark.parametrize("name", targets.names())
def test_more_work_takes_longer_on_every_target_that_has_rates(name: str) -> None:
    target = targets[name]()
    if target.facts.rates is None:
        with pytest.raises(UnsupportedError):
            predict(target, MOBILENET, "onnx", 1)
        return
    more = dataclasses.replace(MOBILENET, floats=MOBILENET.floats + MOBILENET.floats)

    one, two = (predict(target, work, "onnx", 1) for work in (MOBILENET, more))

    assert 0 < one.latency_ms < two.latency_ms
    assert one.off > 1
    assert f"estimated for {target.title}" in one.source
    assert "times off" in one.source
    assert one.low_ms < one.latency_ms < one.high_ms


def test_four_threads_do_not_speed_up_a_tiny_network() -> None:
    tiny = Work(Macs(point=1000), Macs(), 100, 4000, 3)

    alone, four = (predict(targets[PI](), tiny, "onnx", n).latency_ms for n in (1, 4))

    assert four > alone


@pytest.fixture
def file(line: Workspace) -> Finished:
    """The int8 model of the line, compiled."""
    entry = line.get("models", "m-int8")
    data = line.read(entry, "model.onnx")
    return Finished(data, data, "onnx", True, shelf.signature_of(entry))


@pytest.fixture
def desk(line: Workspace, tmp_path: Path) -> Iterator[str]:
    devices.add(line, "desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    yield "desk"
    devices.stop(line, "desk")
    devices.remove(line, "desk", False, QUIET)


def test_this_machine_stands_for_the_simulator(line: Workspace, file: Finished) -> None:
    clock = clock_for(line, "simulator", None, shelf.dataset(line, "digits"))

    found = clock(file, 1, QUIET)

    assert isinstance(clock, Here)
    assert (found.source, found.off) == ("measured here", 1.0)
    assert found.latency_ms > 0


def test_a_pi_that_is_not_there_is_estimated(line: Workspace, file: Finished) -> None:
    clock = clock_for(line, PI, None, shelf.dataset(line, "digits"))

    assert isinstance(clock, Estimated)
    assert clock(file, 1, QUIET) == predict(targets[PI](), work_of(file.graph), "onnx", 1)


def test_a_device_measures_and_goes_on_serving_what_it_served(
    line: Workspace, desk: str, file: Finished
) -> None:
    shipping.package(line, "m-int8.tflite", "simulator", "served", None, QUIET)
    shipping.deploy(line, "served", desk, QUIET)
    before = devices.status(line, desk)
    clock = clock_for(line, "simulator", desk, shelf.dataset(line, "digits"))

    found = clock(file, 1, QUIET)

    assert found.source == "measured on desk"
    assert found.latency_ms > 0
    after = devices.status(line, desk)
    assert (after.state, after.model, after.version) == ("ready", before.model, before.version)


def test_a_device_that_does_not_answer_is_told(line: Workspace, desk: str) -> None:
    with pytest.raises(DeviceError, match="desk does not answer"):
        clock_for(line, "simulator", desk, shelf.dataset(line, "digits"))


def test_a_device_of_another_class_is_refused(line: Workspace, desk: str) -> None:
    with pytest.raises(UnsupportedError, match="desk is a simulator"):
        clock_for(line, PI, desk, shelf.dataset(line, "digits"))
