"""A device measures: every figure it tells, the fastest choice, and its own rates from probes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_targets.agent.gauges import energy, gauged, temperature, watts
from edge_targets.places.target import Bench
from edge_targets.runtime.errors import UnknownNameError, UnsupportedError, UsageError
from edge_targets.runtime.events import QUIET
from toolkit import devices, on_device, probes, shelf, shipping
from toolkit.latency import Estimated, clock_for
from toolkit.on_device import UNTOLD
from toolkit.workspace import Workspace

# the shape of what `vcgencmd pmic_read_adc` prints on a Raspberry Pi 5, with round numbers
PMIC = """   3V3_SYS_A current(1)=0.10000000A
    DDR_VDD2_A current(3)=0.02000000A
    VDD_CORE_A current(7)=2.00000000A
   3V3_SYS_V volt(9)=3.30000000V
    DDR_VDD2_V volt(11)=1.10000000V
    VDD_CORE_V volt(15)=0.75000000V
      EXT5V_V volt(24)=5.10000000V
"""


@pytest.fixture
def desk(line: Workspace, tmp_path: Path) -> Iterator[str]:
    devices.add(line, "bench-desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    shipping.package(line, "m-int8.tflite", "simulator", "bench-served", None, QUIET)
    shipping.deploy(line, "bench-served", "bench-desk", QUIET)
    yield "bench-desk"
    devices.stop(line, "bench-desk")
    devices.remove(line, "bench-desk", False, QUIET)


def test_power_is_the_sum_of_the_rails_that_tell_both() -> None:
    # 0.1 A × 3.3 V + 0.02 A × 1.1 V + 2 A × 0.75 V = 0.33 + 0.022 + 1.5; EXT5V has no current
    assert watts(PMIC) == pytest.approx(1.852)
    assert watts('error=1 error_msg="Command not registered"') is None


def test_energy_is_power_times_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_targets.agent.gauges.POWER_S", 0.3)
    calls: list[int] = []

    found = energy(lambda: calls.append(1), lambda: 2.0)

    assert found is not None
    assert found * len(calls) == pytest.approx(2.0 * 0.3 * 1e3, rel=0.5)  # 2 W for 0.3 s, in mJ


def test_a_board_without_a_power_chip_has_no_energy() -> None:
    assert energy(lambda: pytest.fail("nothing needs to run"), lambda: None) is None


def test_the_temperature_is_in_thousandths(tmp_path: Path) -> None:
    (tmp_path / "temp").write_text("48312\n")

    assert temperature(tmp_path / "temp") == 48.312
    assert temperature(tmp_path / "none") is None


def test_memory_is_told_everywhere() -> None:
    figures: dict[str, float] = {}

    with gauged(figures):
        pass

    assert figures["rss_bytes"] > 1 << 20


def test_a_device_tells_what_a_model_costs_there(line: Workspace, desk: str) -> None:
    report = on_device.measure(line, "m-int8.onnx", "digits", desk, 1, QUIET)

    rows = {row.name: row for row in report.rows}
    p50, p90, p99 = (rows[f"latency p{n}"].value for n in (50, 90, 99))
    assert 0 < p50 <= p90 <= p99  # type: ignore[operator]
    assert int(rows["memory at most"].value or 0) > 10 << 20
    assert (rows["energy of a prediction"].value, rows["energy of a prediction"].bound) == (
        None, UNTOLD,
    )  # fmt: skip
    served = devices.status(line, desk)
    assert (served.state, served.model) == ("ready", "m-int8")


def test_a_figure_that_is_not_told_is_said_to_be_so() -> None:
    bare = Bench(1.0, 2.0, 1, 10)
    hot = dataclasses.replace(
        bare, p99_ms=3.0, temperature_before_c=50.0, temperature_c=82.5, throttled=True,
        energy_mj=4.2,
    )  # fmt: skip

    silent = {row.name: row for row in on_device.rows(bare)}
    told = {row.name: row for row in on_device.rows(hot)}

    for name in ("latency p99", "temperature after", "throttled", "energy of a prediction"):
        assert (silent[name].value, silent[name].bound) == (None, UNTOLD)
    assert (told["throttled"].value, told["energy of a prediction"].value) == ("yes", 4.2)
    assert "cool it" in told["throttled"].bound


def test_the_runtime_is_chosen_by_measuring(line: Workspace, desk: str) -> None:
    names = ("m-int8.onnx", "m-int8.tflite")

    found = on_device.fastest(line, names, "digits", desk, QUIET)

    assert {name for name, _ in found.rows} == set(names)
    times = [bench.p50_ms for _, bench in found.rows]
    assert times == sorted(times)
    assert found.artifact == found.rows[0][0]
    assert found.report.title == f"fastest: {found.artifact}, 1 thread"


def test_a_model_has_to_be_built_first(line: Workspace, desk: str) -> None:
    with pytest.raises(UnsupportedError, match="m is a model") as caught:
        on_device.measure(line, "m", "digits", desk, 1, QUIET)

    assert caught.value.hint == "Build one first: sanderling build m"
    with pytest.raises(UnknownNameError):
        on_device.measure(line, "m-int8.onnx", "digits", "nowhere", 1, QUIET)


def test_probes_are_kept_with_the_device_and_used_for_estimates(
    line: Workspace, desk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "PROBES", probes.PROBES[-2:])  # the smallest: it is about the way
    world = shelf.dataset(line, "digits")
    with pytest.raises(UnsupportedError, match="has not been probed"):
        clock_for(line, "simulator", desk, world, "estimated")

    probes.probe_device(line, desk, QUIET)

    clock = clock_for(line, "simulator", desk, world, "estimated")
    assert isinstance(clock, Estimated)
    assert set(clock.probed) == {"onnx", "tflite"}
    assert clock.probed["onnx"].source == f"probes on {desk}"
    assert devices.status(line, desk).model == "m-int8"


def test_the_fastest_of_nothing_is_wrong_usage(line: Workspace) -> None:
    with pytest.raises(UsageError, match="nothing to time") as caught:
        on_device.fastest(line, (), "tiny", "desk", QUIET)

    assert "device fastest desk" in caught.value.hint


def test_threads_that_cannot_be_are_not_asked_of_a_device(line: Workspace) -> None:
    with pytest.raises(UsageError, match="-4 threads"):
        on_device.measure(line, "m-int8.tflite", "tiny", "desk", -4, QUIET)
