"""Cost in instructions: a clock for searches, and a check that fails when a model gets dearer."""

from pathlib import Path

import pytest

from edge_targets.catalog import targets
from edge_targets.emulation.counting import Instructions, missing
from edge_targets.runtime.errors import DeviceError, RecipeError, UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit import shelf
from toolkit.instructions import Counted, instructions, regression, report, rows
from toolkit.latency import Finished, clock_for
from toolkit.workspace import Workspace

PI = "raspberry_pi_4"
FOUND = Instructions(100, 20, 30, 40, 50, 60, "cortex-a76", "onnxruntime 1.31.1")


def built(line: Workspace, name: str) -> Finished:
    artifact = line.get("artifacts", name)
    [file] = artifact.files
    graph = line.read(line.get("models", "m-int8"), "model.onnx")
    facts = artifact.facts
    signature = shelf.signature_of(artifact)
    return Finished(graph, line.read(artifact, file), facts["format"], True, signature)


def test_a_search_can_count_instead_of_measuring(line: Workspace) -> None:
    if lacking := missing():
        pytest.skip(f"nothing to count with: this machine lacks {', '.join(lacking)}")
    clock = clock_for(line, PI, None, shelf.dataset(line, "digits"), "instructions")
    file = built(line, "m-int8.tflite")

    try:
        first, again = clock(file, 1, QUIET), clock(file, 1, QUIET)
    except DeviceError as error:
        pytest.skip(f"no packages of the board: {error}")

    assert isinstance(clock, Counted)
    assert first == again
    found = instructions(file.data, file.format, targets[PI](), QUIET)
    rate = targets[PI].facts.instructions_per_s
    assert first.latency_ms == pytest.approx(found.total / rate * 1e3)
    assert first.low_ms < first.latency_ms < first.high_ms
    assert first.source == f"{found.total:,} instructions of cortex-a72 ({found.runtime})"
    assert report(line, "m-int8.tflite", PI, QUIET, found.total).ok
    assert not report(line, "m-int8.tflite", PI, QUIET, found.total - 1).ok


def test_a_model_that_takes_more_instructions_than_it_may_fails_the_check() -> None:
    assert FOUND.total == 300
    assert regression(FOUND, 300).passed
    failed = regression(FOUND, 299)
    assert failed.passed is False
    assert failed.bound == "at most 299 on cortex-a76 with onnxruntime 1.31.1"


def test_a_report_names_every_kind() -> None:
    lines = {row.name: row.value for row in rows(FOUND)}

    assert lines["instructions"] == 300
    assert lines["instructions: dot"] == 60
    assert len(lines) == 7


@pytest.mark.parametrize("name", ["simulator", "browser", "linux_x86_64", "linux_armv7"])
def test_a_place_without_an_arm64_core_is_refused(name: str, tmp_path: Path) -> None:
    target = targets[name]()

    with pytest.raises(UnsupportedError, match="cannot be counted") as caught:
        instructions(b"", target.formats[0], target, QUIET, tmp_path)

    assert "raspberry_pi_4" in caught.value.hint


def test_an_unknown_cost_is_told_what_there_is(line: Workspace) -> None:
    with pytest.raises(RecipeError, match="'cycles'") as caught:
        clock_for(line, PI, None, shelf.dataset(line, "digits"), "cycles")

    assert "instructions" in caught.value.hint
