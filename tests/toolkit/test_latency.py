"""Latency: measured here, measured on a device, estimated."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.catalog import targets
from edge_targets.places.facts import Work
from edge_targets.runtime.errors import DeviceError, UnsupportedError
from edge_targets.runtime.events import QUIET
from tests.toolkit.test_memory import chain
from toolkit import devices, shelf, shipping
from toolkit.latency import Estimated, Finished, Here, clock_for, estimate, work_of
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import passes
from toolkit.workspace import Workspace

PI = "raspberry_pi_4"
MOBILENET = Work(569_000_000, 0, 28, 17_000_000)


def test_work_counts_what_is_computed() -> None:
    work = work_of(chain(100, 50, 10))

    assert (work.float_macs, work.int8_macs) == (100 * 50 + 50 * 10, 0)
    assert work.operators == 2  # Relu is a part of the layer before
    assert work.weight_bytes >= 4 * work.float_macs


def test_int8_weights_and_inputs_make_int8_work(trained: Model) -> None:
    plain = work_of(graph_of(trained, QUIET))
    quantized = work_of(passes["quantize_int8"]().apply(trained, QUIET).graph)

    assert plain.int8_macs == 0
    assert (quantized.float_macs, quantized.int8_macs) == (0, plain.float_macs)


def test_the_estimate_for_a_pi_is_what_ncnn_measured() -> None:
    def ms(work: Work, threads: int) -> float:
        return estimate(targets[PI](), work, "tflite", threads).latency_ms

    int8 = dataclasses.replace(MOBILENET, float_macs=0, int8_macs=MOBILENET.float_macs)

    # https://github.com/Tencent/ncnn/tree/master/benchmark, mobilenet on a Raspberry Pi 4
    assert ms(MOBILENET, 1) == pytest.approx(124, rel=0.05)
    assert ms(MOBILENET, 4) == pytest.approx(61, rel=0.05)
    assert ms(int8, 1) == pytest.approx(85, rel=0.05)
    assert ms(int8, 4) == pytest.approx(34, rel=0.25)


@pytest.mark.parametrize("name", targets.names())
def test_more_work_takes_longer_on_every_target_that_has_rates(name: str) -> None:
    target = targets[name]()
    if target.facts.rates is None:
        with pytest.raises(UnsupportedError):
            estimate(target, MOBILENET, "onnx", 1)
        return
    more = dataclasses.replace(MOBILENET, float_macs=2 * MOBILENET.float_macs)

    one, two = (estimate(target, work, "onnx", 1) for work in (MOBILENET, more))

    assert 0 < one.latency_ms < two.latency_ms
    assert one.off > 1
    assert f"estimated for {target.title}" in one.source
    assert "times off" in one.source


def test_four_threads_do_not_speed_up_a_tiny_network() -> None:
    tiny = Work(1000, 0, 3, 4000)

    alone, four = (estimate(targets[PI](), tiny, "onnx", n).latency_ms for n in (1, 4))

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
    assert clock(file, 1, QUIET) == estimate(targets[PI](), work_of(file.graph), "onnx", 1)


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
