"""Instructions of a prediction on an emulated core: exact, the same again, and what they tell.

The board's Debian packages and wheels are fetched once and kept in the user's cache.
"""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.emulation import counting
from edge_targets.emulation.counting import Instructions, compiled, count, missing
from edge_targets.emulation.sysroot import Sysroot, sysroot
from edge_targets.emulation.userland import python
from edge_targets.emulation.wheels import site_of
from edge_targets.places.known_good import ARM64
from edge_targets.runtime.errors import DeviceError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET

NEEDED = ARM64.requirements("numpy", "onnxruntime")

CALLED = re.findall(r"^extern .*?(qemu_plugin_\w+)\(", counting.SOURCE.read_text(), re.MULTILINE)


def product(rows: int, columns: int) -> bytes:
    """A matrix product: `rows` × `columns` multiplications."""
    weights = np.random.default_rng(0).random((rows, columns), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "product.onnx"
    file.write_bytes(product(256, 512))
    return file


def board() -> Sysroot:
    """What it is counted on; only where that cannot be had is nothing counted."""
    if lacking := missing():
        pytest.skip(f"nothing to count with: this machine lacks {', '.join(lacking)}")
    try:
        found = sysroot("bookworm", QUIET)
        site_of(NEEDED, found.python_version, ARM64.platforms, QUIET)
    except DeviceError as error:
        pytest.skip(f"no packages of the board: {error}")
    return found


def counted(model: Path, cpu: str) -> Instructions:
    """Counted now, whatever is known from before."""
    board()
    return count(model, "onnx", cpu, NEEDED, ARM64.platforms, anew=True)


def test_the_same_again_is_the_same_to_the_last_instruction(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "a folder with a longer name" / "another name.onnx"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(model.read_bytes())
    first = counted(model, "cortex-a72")
    monkeypatch.setenv("SOMETHING_LONG", "x" * 5000)

    again = counted(elsewhere, "cortex-a72")

    assert first == again
    monkeypatch.setattr(counting, "run", lambda *words: pytest.fail("it was counted once more"))
    assert count(elsewhere, "onnx", "cortex-a72", NEEDED, ARM64.platforms) == again
    assert first.runtime == f"onnxruntime {ARM64.pins['onnxruntime']}"
    assert first.total == sum(first.kinds.values())


def test_what_a_program_does_as_time_goes_by_it_does_not_do_here(tmp_path: Path) -> None:
    root = board()
    plugin = compiled(tmp_path)
    waits = (
        "import json, os, time; then = time.time(); time.sleep(1.5);"
        "print(json.dumps({'runtime': [time.time() - then, 'LD_PRELOAD' in os.environ]}))"
    )
    options = ["-plugin", f"{plugin},out={tmp_path / 'counts'}", *counting.UNSEEN]
    words = python(root, ["-c", waits], options=options)

    passed, preloaded = json.loads(counting.run(words, tmp_path, plugin, "waits").lower())

    assert 0 < passed < 0.01
    assert not preloaded


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_a_product_takes_a_multiplication_for_every_four_numbers(cpu: str, model: Path) -> None:
    found = counted(model, cpu)

    # 256 × 512 multiplications, four float32 in a vector: 32 768, and nothing else multiplies
    assert found.multiply == pytest.approx(256 * 512 / 4, rel=0.02)
    assert found.dot == 0
    assert found.cpu == cpu


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")

    with pytest.raises(IntegrityError, match=r"broken\.onnx does not run in the emulator"):
        counted(broken, "cortex-a72")


def test_a_format_without_a_runtime_there_is_refused(model: Path) -> None:
    with pytest.raises(UnsupportedError, match="core_ml"):
        count(model, "core_ml", "cortex-a72", NEEDED, ARM64.platforms)


def test_a_machine_without_the_emulator_says_what_it_lacks(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UnsupportedError, match="lacks qemu-aarch64, gcc") as caught:
        count(model, "onnx", "cortex-a72", NEEDED, ARM64.platforms, kept=tmp_path / "empty")

    assert "apt-get install" in caught.value.hint


def test_the_kinds_are_told_apart_by_the_encoding(tmp_path: Path) -> None:
    """Instructions as the assembler writes them (Arm DDI 0487), each of the kind it is."""
    if missing():
        pytest.skip("no gcc")
    cases = {
        0x8B020020: "integer",  # add x0, x1, x2
        0xD65F03C0: "branch",  # ret
        0xF9400020: "memory",  # ldr x0, [x1]
        0x3DC00020: "memory",  # ldr q0, [x1]
        0x4E22D420: "vector",  # fadd v0.4s, v1.4s, v2.4s
        0x4E22CC20: "multiply",  # fmla v0.4s, v1.4s, v2.4s
        0x4F821020: "multiply",  # fmla v0.4s, v1.4s, v2.s[0]
        0x4E420C20: "multiply",  # fmla v0.8h, v1.8h, v2.8h
        0x0E628020: "multiply",  # smlal v0.4s, v1.4h, v2.4h
        0x4E829420: "dot",  # sdot v0.4s, v1.16b, v2.16b
        0x4F82E020: "dot",  # sdot v0.4s, v1.16b, v2.4b[0]
        0x6E829420: "dot",  # udot v0.4s, v1.16b, v2.16b
    }
    stubs = "\n".join(f"void {name}(void) {{}}" for name in CALLED)
    (tmp_path / "stubs.c").write_text(stubs)
    program = tmp_path / "kinds.c"
    words = ", ".join(f"{word:#x}u" for word in cases)
    program.write_text(
        f'#include "{counting.SOURCE}"\n'
        f"int main(void) {{ uint32_t words[] = {{ {words} }};\n"
        "for (unsigned i = 0; i < sizeof words / 4; i++) puts(names[kind_of(words[i])]); }\n"
    )
    subprocess.run(["gcc", "-o", "kinds", "kinds.c", "stubs.c"], cwd=tmp_path, check=True)

    told = subprocess.run([tmp_path / "kinds"], capture_output=True, text=True, check=True)

    assert told.stdout.split() == list(cases.values())


def test_the_plugin_is_compiled_once(tmp_path: Path) -> None:
    if missing():
        pytest.skip("no gcc")

    first, again = compiled(tmp_path), compiled(tmp_path)

    assert first == again
    assert [file.name for file in tmp_path.iterdir()] == [first.name]


def test_what_was_disturbed_in_one_run_is_taken_from_two_others() -> None:
    def once(*totals: int) -> list[Instructions]:
        return [Instructions(total, 0, 0, 0, 0, 0, "cortex-a72", "any 1") for total in totals]

    assert counting.agreed([once(10, 8, 9)]) == []
    assert counting.agreed([once(10, 8, 9), once(10, 7, 9)]) == once(10, 9)  # too few or too many
    assert counting.agreed([once(10, 8, 9), once(10, 7, 9), once(11, 8, 9)]) == once(10, 8, 9)
